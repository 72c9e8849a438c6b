"""Driver `esptool`: the real esptool and a device's ROM bootloader."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from devicepipe.bench.drivers.driver import FlashImages
from devicepipe.errors import BenchError
from tests.bench.drivers.conftest import MakeDriver
from tests.bench.drivers.esp_rom import EspRom

LINES = 'driver = "esptool"\nchip = "esp32"\nstub = false\nbefore = "no-reset"'


@pytest.fixture
def rom() -> Iterator[Callable[..., EspRom]]:
    made: list[EspRom] = []

    def make(**options: bool) -> EspRom:
        made.append(EspRom(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_the_flash_is_written(driver: MakeDriver, images: FlashImages, rom: Callable[..., EspRom]) -> None:
    device = rom()
    flash = driver("flash", f"{LINES}\nerase = false", device.url)
    assert flash.needs_port
    assert flash.check().startswith("esptool v")
    flash.write(images)
    assert device.flash[:0x800] == bytes(range(256)) * 8
    assert device.flash[0x8000:0x8400] == images.signed.read_bytes()
    assert device.flash[0x1000:0x8000] == bytes(0x7000)


def test_a_flash_that_does_not_take_it(driver: MakeDriver, images: FlashImages, rom: Callable[..., EspRom]) -> None:
    with pytest.raises(
        BenchError, match=r"esptool ended with exit code 2:(\n.*)*MD5 of file does not match data in flash"
    ):
        driver("flash", f"{LINES}\nerase = false", rom(worn=True).url).write(images)


def test_a_port_that_nobody_answers_on(driver: MakeDriver, images: FlashImages) -> None:
    with pytest.raises(BenchError, match=r"esptool ended with exit code [12]:") as raised:
        driver("flash", LINES, "/dev/no-such-port").write(images)
    assert raised.value.remedy.startswith("check the device's power and its port")


def test_the_reset_line_is_pulled_and_let_go(driver: MakeDriver, rom: Callable[..., EspRom]) -> None:
    device = rom(server=True)
    driver("reset", LINES, device.url).reset()
    assert device.lines is not None
    assert device.lines.pulled[-2:] == [True, False]


def test_a_port_that_cannot_reset(driver: MakeDriver) -> None:
    reset = driver("reset", LINES, "socket://127.0.0.1:9")
    for use in (reset.check, reset.reset):
        with pytest.raises(BenchError, match="has no line RTS to reset it with"):
            use()
