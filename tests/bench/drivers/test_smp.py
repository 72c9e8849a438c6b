"""Driver `smp`: the stock client and a device that serves SMP on its console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from smp.header import OP, Flag, Header, Version
from smp.packet import encode

from devicepipe.bench.drivers.driver import FlashImages
from devicepipe.errors import BenchError, UsageError
from tests.bench.drivers.conftest import MakeDriver
from tests.bench.drivers.smp_server import SmpDevice, mcuboot_image

OLD, NEW = mcuboot_image(b"old" * 500), mcuboot_image(bytes(range(256)) * 6, 1)
MakeDevice = Callable[..., SmpDevice]


@pytest.fixture
def device() -> Iterator[MakeDevice]:
    made: list[SmpDevice] = []

    def make(fault: str = "", running: bytes = OLD) -> SmpDevice:
        made.append(SmpDevice(running, fault))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def new(images: FlashImages, tmp_path: Path) -> FlashImages:
    (tmp_path / "new.bin").write_bytes(NEW)
    return replace(images, signed=tmp_path / "new.bin")


@pytest.mark.parametrize("mode", ["test", "confirm"])
def test_a_device_is_updated(driver: MakeDriver, root: Path, new: FlashImages, device: MakeDevice, mode: str) -> None:
    pump = device()
    flash = driver("flash", f'driver = "smp"\nmode = "{mode}"', pump.port)
    assert flash.needs_port
    assert flash.check().startswith("smpclient 7.")
    flash.write(new)
    assert pump.slots == [NEW, OLD]
    log = (root / "out/drivers.log").read_text()
    assert "smp: no answer yet: " in log
    assert ("smp: confirm\n" in log) == (mode == "test")
    flash.write(new)
    assert pump.uploads == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no room", "upload 1608 bytes: .*rc=2"),
        ("corrupted", "upload 1608 bytes: Upload failed, server reported mismatched SHA256"),
        ("line lost", "upload 1608 bytes: Failed to read from /dev/pts/"),
        (
            "refused by the bootloader",
            "the device did not start the image; slot 0: [0-9a-f]{16} active confirmed; slot 1: ",
        ),
        ("never confirmed", "the image runs, and is not confirmed; slot 0: [0-9a-f]{16} active; slot 1: "),
    ],
)
def test_a_device_that_is_not_updated(
    driver: MakeDriver, new: FlashImages, device: MakeDevice, fault: str, message: str
) -> None:
    with pytest.raises(BenchError, match=f"device 'one-1': update by SMP: .*{message}"):
        driver("flash", 'driver = "smp"', device(fault).port).write(new)


@pytest.mark.parametrize(
    "babble",
    [
        b"\x06\x09!\n",
        b"\x06\x09AAo=\n\x06\x09",
        b"\x06\x09AAYBAgMEAAA=\n",
        b"".join(encode(b"\1\2")),
        b"".join(encode(bytes(Header(OP.READ_RSP, Version.V2, Flag(0), 1, 1, 0, 0)) + b"\xff")),
    ],
    ids=["no base64", "cut off", "wrong CRC", "no header", "no CBOR"],
)
def test_a_device_that_babbles(driver: MakeDriver, new: FlashImages, device: MakeDevice, babble: bytes) -> None:
    pump = device()
    pump.babble = babble
    with pytest.raises(BenchError, match="update by SMP: read the images: "):
        driver("flash", 'driver = "smp"\nrequest-timeout = 0.5', pump.port).write(new)


def test_a_device_that_does_not_answer(driver: MakeDriver, new: FlashImages, device: MakeDevice) -> None:
    with pytest.raises(BenchError, match=r"read the images: Timeout \(0\.2s\) waiting for request"):
        driver("flash", 'driver = "smp"\nrequest-timeout = 0.2', device("silent").port).write(new)


def test_a_device_that_does_not_come_back(driver: MakeDriver, new: FlashImages, device: MakeDevice) -> None:
    with pytest.raises(BenchError, match=r"update by SMP: .*: was not done within 2 s"):
        driver("flash", 'driver = "smp"\ntimeout = 2', device("does not come back").port).write(new)


def test_a_port_that_is_not_there(driver: MakeDriver, new: FlashImages) -> None:
    with pytest.raises(BenchError, match="connect: serial port '/dev/no-such-port' cannot be opened"):
        driver("flash", 'driver = "smp"', "/dev/no-such-port").write(new)


@pytest.mark.parametrize("image", [b"", b"no image" * 8, NEW[:-1] + b"?"])
def test_an_image_that_is_none(driver: MakeDriver, new: FlashImages, image: bytes) -> None:
    new.signed.write_bytes(image)
    with pytest.raises(UsageError, match=r"new\.bin: is no MCUboot image: "):
        driver("flash", 'driver = "smp"').write(new)


def test_smpclient_that_is_not_installed(driver: MakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError, match="smpclient is not installed") as raised:
        driver("flash", 'driver = "smp"').check()
    assert raised.value.remedy == "pip install 'devicepipe[smp]'"
