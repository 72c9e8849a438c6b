"""Driver `pyocd`: flash and reset of Cortex-M devices with pyOCD and any probe that it knows (CMSIS-DAP, J-Link, ST-Link).

pyOCD verifies nothing that it writes, so the flash is read back; and it matches a probe's id by any part of it, so `check` demands
that the settings name the whole one.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from devicepipe.bench.drivers.driver import DriverConfig, FlashDriver, FlashImages, Place, ResetDriver, Timeout
from devicepipe.bench.drivers.flash_image import compare, flash_segments
from devicepipe.bench.drivers.program import failure, run
from devicepipe.errors import BenchError
from devicepipe.project.toml_file import Text

_INSTALL = "install pyOCD (pip install 'devicepipe[pyocd]')"
_REMEDY = "check the device's power, the probe and its wiring; `pyocd list` tells the probes, `pyocd list --targets` the targets"


class PyocdConfig(DriverConfig):
    """`target` as `pyocd list --targets` names it, `probe` the whole unique id as `pyocd list` tells it; `frequency` in Hz."""

    target: Text
    probe: Text
    frequency: Annotated[int, Field(gt=0)] | None = None
    connect: Literal["halt", "pre-reset", "under-reset", "attach"] = "halt"
    program: Text = "pyocd"


class FlashConfig(PyocdConfig):
    """With `erase` the flash is erased where the image has nothing."""

    erase: bool = True
    timeout: Timeout = 180.0


class ResetConfig(PyocdConfig):
    """`method` is one of pyOCD's reset types."""

    # `pyocd reset` ends with exit code 0 when it is given another, and resets nothing.
    method: Literal["default", "hw", "sysresetreq", "vectreset", "emulated"] = "default"
    timeout: Timeout = 30.0


class PyocdFlash(FlashDriver):
    """Writes the flash with `pyocd load`, and reads it back with `pyocd commander`."""

    Config = FlashConfig
    config: FlashConfig

    def check(self) -> str:
        """See `Driver`; also that the probe is connected."""
        return _check(self.config, self.place)

    def write(self, images: FlashImages) -> None:
        """See `FlashDriver`. The device stands afterwards."""
        config, place = self.config, self.place
        segments = flash_segments(images, place, erase=config.erase)
        with tempfile.TemporaryDirectory(prefix="devicepipe-") as folder:
            file = [str(images.factory.absolute())]
            if config.erase:
                ((base, whole),) = segments.items()
                binary = Path(folder) / "flash.bin"
                binary.write_bytes(whole)
                file = ["--base-address", f"{base:#x}", str(binary)]
            load = [*_command(config, "load"), "--erase", "sector", "--no-reset", *file]
            run(load, place, config.timeout, _REMEDY, install=_INSTALL)
            reads = {address: Path(folder) / f"{address:x}.read" for address in segments}
            command = _command(config, "commander")
            for address, read in reads.items():
                command += ["--command", f"savemem {address:#x} {len(segments[address])} '{read}'"]
            output = run(command, place, config.timeout, _REMEDY, install=_INSTALL)
            compare(segments, lambda address, _: _read(reads[address], place, output), place)


class PyocdReset(ResetDriver):
    """Resets with `pyocd reset`."""

    Config = ResetConfig
    config: ResetConfig

    def check(self) -> str:
        """See `Driver`; also that the probe is connected."""
        return _check(self.config, self.place)

    def reset(self) -> None:
        """See `ResetDriver`."""
        command = [*_command(self.config, "reset"), "--method", self.config.method]
        run(command, self.place, self.config.timeout, _REMEDY, install=_INSTALL)


def _command(config: PyocdConfig, name: str) -> list[str]:
    # Without --no-wait it waits for a probe that is not connected.
    command = [config.program, name, "--no-wait", "--uid", config.probe, "--target", config.target]
    if config.frequency is not None:
        command += ["--frequency", str(config.frequency)]
    return [*command, "--connect", config.connect]


def _check(config: PyocdConfig, place: Place) -> str:
    """The program's version, once the probe is found."""
    output = run([config.program, "json", "--probes"], place, 60.0, _REMEDY, install=_INSTALL)
    try:
        answer = json.loads(output)
        version, probes = str(answer["pyocd_version"]), [str(probe["unique_id"]) for probe in answer["boards"]]
    except (ValueError, KeyError, TypeError) as error:
        raise failure(place, "`pyocd json --probes` says what is not understood", output, _REMEDY) from error
    if config.probe not in probes:
        raise BenchError(
            f"device '{place.device}': the probe '{config.probe}' is not connected; "
            f"pyOCD {version} sees {', '.join(probes) or 'none'}",
            remedy="connect it, and give its whole id in bench.toml",
        )
    return f"pyOCD {version}"


def _read(file: Path, place: Place, output: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise failure(place, "pyocd ended well, but has not read the flash", output, _REMEDY) from error
