"""bench.toml: what is right is read, what is wrong is named with file, line and key."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.project.config import load_project
from devicepipe.project.inventory import DeviceEntry, Inventory, load_inventory
from tests.project.test_config import GOOD, MANIFEST, QEMU

Load = Callable[[str | None], Inventory]

BENCH = """\
[[bench]]
name = "lab-1"
title = "The lab's first bench"

[[device]]
id = "one-1"
board = "one"
bench = "lab-1"
serial-number = "000683459284"
port = "/dev/serial/by-id/usb-SEGGER_J-Link_000683459284-if00"
ports = {1 = "/dev/serial/by-id/usb-FTDI_A50285BI-if00"}
tags = ["scale"]
calibration-due = 2027-03-01
fixture-revision = "C"

[device.flash]
driver = "pyocd"
probe = "000683459284"

[device.power]
driver = "uhubctl"
location = "1-1.2"

[[device]]
id = "two-1"
board = "two"
driver = "qemu"
in-service = false
reason = "its console hangs"
"""


@pytest.fixture
def inventory_of(tmp_path: Path) -> Load:
    for folder in ("firmware", "boards", "requirements", "hil"):
        (tmp_path / folder).mkdir()
    section = MANIFEST["devicepipe"] | {"emulator": QEMU, "links": {"plant": {"uart": 1}}}  # type: ignore[operator]
    (tmp_path / "boards/one.json").write_text(json.dumps({"name": "Board one", "devicepipe": section}))
    (tmp_path / "devicepipe.toml").write_text(GOOD)

    def load(text: str | None) -> Inventory:
        if text is not None:
            (tmp_path / "hil/bench.toml").write_text(text)
        return load_inventory(load_project(tmp_path / "devicepipe.toml"))

    return load


def test_without_a_file_there_are_the_emulated_devices(inventory_of: Load) -> None:
    inventory = inventory_of(None)
    assert [(device.id, device.board, device.emulated) for device in inventory.devices.values()] == [
        ("qemu-one", "one", True),
        ("qemu-two", "two", True),
    ]


def test_a_good_file_is_read(inventory_of: Load) -> None:
    inventory = inventory_of(BENCH)
    device = inventory.device("one-1")
    assert device.calibration_due == dt.date(2027, 3, 1)
    assert device.flash is not None
    assert (device.flash.driver, device.flash.settings) == ("pyocd", {"probe": "000683459284"})
    assert device.ports == {"1": "/dev/serial/by-id/usb-FTDI_A50285BI-if00"}
    assert list(inventory.devices) == ["one-1", "two-1", "qemu-one"]
    assert [device.id for device in inventory.of_board("one")] == ["qemu-one", "one-1"]


def test_a_device_crosses_to_another_process_and_back(inventory_of: Load) -> None:
    device = inventory_of(BENCH).device("one-1")
    assert DeviceEntry.model_validate_json(device.model_dump_json()) == device


@pytest.mark.parametrize(
    ("day", "reason"),
    [(dt.date(2027, 3, 1), ""), (dt.date(2027, 3, 2), "its calibration was due on 2027-03-01")],
)
def test_an_expired_calibration_is_a_reason(inventory_of: Load, day: dt.date, reason: str) -> None:
    inventory = inventory_of(BENCH)
    assert inventory.device("one-1").out_of_service(day) == reason
    assert inventory.device("two-1").out_of_service(day) == "its console hangs"


def test_an_unknown_device_is_told_with_the_known_ones(inventory_of: Load) -> None:
    with pytest.raises(UsageError, match=r"unknown device 'one'[^$]*known devices: one-1, two-1, qemu-one"):
        inventory_of(BENCH).device("one")


def test_a_mistake_of_a_driver_is_told_where_it_stands(inventory_of: Load) -> None:
    error = inventory_of(BENCH).error("no such probe", "one-1", "flash", "probe")
    assert (error.line, error.key) == (18, "device.0.flash.probe")
    assert inventory_of(BENCH).error("x", "qemu-one", "driver").line is None


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('board = "one"', 'board = "three"', 7, "unknown board 'three'"),
        ('bench = "lab-1"', 'bench = "lab-2"', 8, "unknown bench 'lab-2'"),
        ('id = "two-1"', 'id = "one-1"', 25, "device 'one-1' stands twice"),
        ("serial-number =", "serial =", 9, "unknown key"),
        ('tags = ["scale"]', 'tags = ["The scale"]', 12, "tags"),
        (
            'tags = ["scale"]',
            'tags = ["scale", "emulated"]',
            12,
            "'emulated' is what the bench knows of a device by itself",
        ),
        ("2027-03-01", '"soon"', 13, "expected a valid date"),
        ("calibration-due = 2027-03-01", "calibration-due = 2027-02-30", 13, "is not valid TOML"),
        ('port = "/dev/serial', 'port = "COM3 ', 10, "port"),
        (
            'port = "/dev/serial',
            'port = "htp://serial',
            10,
            "a URL that begins with unix:// or socket:// or rfc2217://",
        ),
        ("calibration-due = 2027-03-01", 'calibration-due = "2027-03-01"', 13, "write 2027-03-01 without quotes"),
        ('tags = ["scale"]', 'tags = "scale"', 12, "expected a list: […], found 'scale'"),
        ('tags = ["scale"]', 'tags = ["The scale"]', 12, "expected at most 32 small letters, digits"),
        ("{1 = ", "{2 = ", 11, "no link of board 'one' is on UART 2; UARTs of links: 1"),
        ('ports = {1 = "/dev/serial/by-id/usb-FTDI_A50285BI-if00"}\n', "", 5, "missing key: the ports of links plant"),
        ("usb-FTDI_A50285BI-if00", "usb-SEGGER_J-Link_000683459284-if00", 11, "is a port of device 'one-1' already"),
        ('driver = "pyocd"\n', "", 16, "missing key"),
        ('driver = "qemu"', 'driver = "renode"', 27, "driver: expected 'qemu'"),
        ('driver = "qemu"', 'driver = "qemu"\nport = "/dev/ttyACM0"', 28, "port: an emulated device"),
        ('driver = "qemu"\n', "", 24, "port: a device needs its console's port"),
        ('reason = "its console hangs"\n', "", 24, "reason: say why"),
        ('name = "lab-1"', 'name = "lab-1"\n[[bench]]\nname = "lab-1"', 4, "bench 'lab-1' stands twice"),
    ],
)
def test_a_mistake_is_told_with_its_line(inventory_of: Load, old: str, new: str, line: int, says: str) -> None:
    assert old in BENCH
    with pytest.raises(UsageError) as caught:
        inventory_of(BENCH.replace(old, new, 1))
    assert says in str(caught.value)
    assert caught.value.remedy
    # No Python, and the device by its name.
    assert not re.search(r"\{'|tuple|datetime\.|pattern", caught.value.message)
    assert "device" not in (caught.value.key or "") or re.search(r"(one|two)-1'", caught.value.message)
    assert caught.value.file is not None
    assert (caught.value.file.name, caught.value.line) == ("bench.toml", line)
