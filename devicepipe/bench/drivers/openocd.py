"""Driver `openocd`: flash and reset with OpenOCD, whatever probe and target it has configuration files for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from devicepipe.bench.drivers.driver import DriverConfig, FlashDriver, FlashImages, Place, ResetDriver, Timeout
from devicepipe.bench.drivers.flash_image import flash_segments
from devicepipe.bench.drivers.program import run
from devicepipe.project.toml_file import Text

_INSTALL = "install OpenOCD 0.12 (Debian or Ubuntu: apt-get install openocd)"
_REMEDY = "check the device's power, the probe and its wiring, then serial, interface and target in bench.toml"
_PORTS = ("gdb_port", "tcl_port", "telnet_port")


def _word(text: str) -> str:
    """It becomes a word of a Tcl command."""
    if not text.isprintable() or set(text) & set('{}[]$";\\') or " " in text:
        raise ValueError('expected one word without any of {}[]$";\\')
    return text


_Word = Annotated[Text, AfterValidator(_word)]


class OpenocdConfig(DriverConfig):
    """`interface` and `target`: OpenOCD's configuration files, or files of the project; `serial`: the probe's; `speed` in kHz."""

    interface: Text
    target: Text
    serial: _Word
    transport: _Word | None = None
    speed: Annotated[int, Field(gt=0)] | None = None
    program: Text = "openocd"


class FlashConfig(OpenocdConfig):
    """With `erase` the flash is erased where the image has nothing."""

    erase: bool = True
    timeout: Timeout = 180.0


class ResetConfig(OpenocdConfig):
    """`method`: `run` after OpenOCD's reset_config of the target, or with its line SRST."""

    method: Literal["run", "srst"] = "run"
    timeout: Timeout = 30.0


class OpenocdFlash(FlashDriver):
    """Writes the flash with `program`, which compares checksums before and after it."""

    Config = FlashConfig
    config: FlashConfig

    def check(self) -> str:
        """See `Driver`."""
        return _version(self.config, self.place)

    def write(self, images: FlashImages) -> None:
        """See `FlashDriver`. What is right already is not written. The device stands afterwards."""
        config, place = self.config, self.place
        segments = flash_segments(images, place, erase=config.erase)
        with tempfile.TemporaryDirectory(prefix="devicepipe-") as folder:
            if config.erase:
                ((base, whole),) = segments.items()
                file, address = Path(folder) / "flash.bin", f" {base:#x}"
                file.write_bytes(whole)
            else:
                file, address = Path(folder) / "flash.hex", ""
                file.write_bytes(images.factory.read_bytes())
            program = f"program {{{file}}}{address} preverify verify exit"
            run([*_command(config), "-c", program], place, config.timeout, _REMEDY, install=_INSTALL)


class OpenocdReset(ResetDriver):
    """Resets with `reset run`."""

    Config = ResetConfig
    config: ResetConfig

    def check(self) -> str:
        """See `Driver`."""
        return _version(self.config, self.place)

    def reset(self) -> None:
        """See `ResetDriver`."""
        srst = ["-c", "reset_config srst_only"] if self.config.method == "srst" else []
        command = [*_command(self.config), *srst, "-c", "init", "-c", "reset run", "-c", "shutdown"]
        run(command, self.place, self.config.timeout, _REMEDY, install=_INSTALL)


def _command(config: OpenocdConfig) -> list[str]:
    # Its servers have fixed ports: two devices could not be written at once. First of all, as a file may end the configuration.
    command = [config.program, *(word for port in _PORTS for word in ("-c", f"{port} disabled"))]
    command += ["-f", config.interface, "-c", f"adapter serial {config.serial}"]
    if config.transport is not None:
        command += ["-c", f"transport select {config.transport}"]
    command += ["-f", config.target]
    if config.speed is not None:
        command += ["-c", f"adapter speed {config.speed}"]
    return command


def _version(config: OpenocdConfig, place: Place) -> str:
    output = run([config.program, "--version"], place, 30.0, _REMEDY, install=_INSTALL)
    first = next(iter(output.splitlines()), "")
    return first.replace("Open On-Chip Debugger", "OpenOCD")
