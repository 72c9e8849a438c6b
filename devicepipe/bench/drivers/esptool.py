"""Driver `esptool`: flash and reset of Espressif devices over their console's port, with esptool 5.

Reset and boot mode are set by the port's lines DTR and RTS, as on Espressif's own boards.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from devicepipe.bench.drivers.driver import Driver, DriverConfig, FlashDriver, FlashImages, ResetDriver, Timeout
from devicepipe.bench.drivers.flash_image import flash_segments
from devicepipe.bench.drivers.program import run
from devicepipe.errors import BenchError
from devicepipe.project.toml_file import Text

_INSTALL = "install esptool 5 (pip install 'devicepipe[esptool]')"
_REMEDY = "check the device's power and its port, and that the port's DTR and RTS set boot mode and reset"


class EsptoolConfig(DriverConfig):
    """`chip` as esptool names it, e.g. "esp32c3"; `before` as its option; without `stub` the chip's ROM does all itself."""

    chip: Annotated[str, StringConstraints(pattern=r"^esp[a-z0-9]+$")]
    before: Literal["default-reset", "usb-reset", "no-reset"] = "default-reset"
    stub: bool = True
    program: Text = "esptool"


class FlashConfig(EsptoolConfig):
    """`baud` is the rate while it writes; with `erase` the flash is erased where the image has nothing."""

    baud: Annotated[int, Field(gt=0)] = 460800
    erase: bool = True
    timeout: Timeout = 300.0


class ResetConfig(EsptoolConfig):
    """`after` is esptool's option: how it resets."""

    after: Literal["hard-reset", "watchdog-reset"] = "hard-reset"
    timeout: Timeout = 30.0


class _Esptool(Driver):
    config: EsptoolConfig

    @property
    def needs_port(self) -> bool:
        """See `Driver`."""
        return True

    def check(self) -> str:
        """See `Driver`."""
        return run([self.config.program, "version"], self.place, 60.0, _REMEDY, install=_INSTALL).splitlines()[0]

    def _command(self, after: str) -> list[str]:
        config = self.config
        command = [config.program, "--chip", config.chip, "--port", self.place.port]
        command += ["--before", config.before, "--after", after]
        return command if config.stub else [*command, "--no-stub"]


class EsptoolFlash(_Esptool, FlashDriver):
    """Writes the flash with `write-flash`, which compares the MD5 digest that the device makes of it."""

    Config = FlashConfig
    config: FlashConfig

    def write(self, images: FlashImages) -> None:
        """See `FlashDriver`. Addresses are offsets from the board's flash base. The device stands in its bootloader afterwards."""
        config, place = self.config, self.place
        command = [*self._command("no-reset"), "--baud", str(config.baud), "write-flash"]
        with tempfile.TemporaryDirectory(prefix="devicepipe-") as folder:
            for address, data in flash_segments(images, place, erase=config.erase).items():
                file = Path(folder) / f"{address:x}.bin"
                file.write_bytes(data)
                command += [f"{address - place.board.flash.base:#x}", str(file)]
            run(command, place, config.timeout, _REMEDY, install=_INSTALL)


class EsptoolReset(_Esptool, ResetDriver):
    """Resets by way of the bootloader, which says who it is."""

    Config = ResetConfig
    config: ResetConfig

    def check(self) -> str:
        """See `Driver`; also that the port has the line that resets."""
        self._demand_lines()
        return super().check()

    def reset(self) -> None:
        """See `ResetDriver`."""
        self._demand_lines()
        run([*self._command(self.config.after), "read-mac"], self.place, self.config.timeout, _REMEDY, install=_INSTALL)

    def _demand_lines(self) -> None:
        # Without them esptool says that it resets, does nothing, and ends well.
        if self.place.port.startswith("socket://"):
            raise BenchError(
                f"device '{self.place.device}': '{self.place.port}' has no line RTS to reset it with",
                remedy="use a device file or rfc2217://host:port, or another driver for the reset",
            )
