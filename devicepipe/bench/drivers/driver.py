"""What a driver is: one part of a real device, under a name that bench.toml gives (registry.py).

A driver is a class with the settings it takes (`Config`, a pydantic model that forbids unknown keys) and a constructor of them and
of the place it is used at. It does one thing, bounded in time, and leaves no process and no port behind when it returns or raises.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from devicepipe.project.board import Board
from devicepipe.project.toml_file import Table

Timeout = Annotated[float, Field(gt=0, le=3600)]
"""The longest that one run of a driver's program, or one exchange with an instrument, may take, in seconds."""


class DriverConfig(Table):
    """The settings of a driver: the keys of its table in bench.toml but `driver`, in kebab case."""


@dataclass(frozen=True)
class Place:
    """What a driver is used at.

    Attributes:
        device: The device's id, for messages.
        board: Its board's manifest.
        port: Its console's port, a device file or URL.
        root: The folder that relative paths of the settings are relative to: the project's.
        log: What the driver's programs print is appended to this file.
    """

    device: str
    board: Board
    port: str
    root: Path
    log: Path


@dataclass(frozen=True)
class FlashImages:
    """What is to be in a device's flash.

    Attributes:
        factory: Intel HEX of all that a new device's flash holds: bootloader, application, data.
        signed: The MCUboot image in it, alone, for a driver that can write nothing but an update.
    """

    factory: Path
    signed: Path


class Driver:
    """One part of a device.

    Attributes:
        Config: The settings that it takes.
    """

    Config: ClassVar[type[DriverConfig]] = DriverConfig

    def __init__(self, config: DriverConfig, place: Place) -> None:
        self.config = config
        self.place = place

    @property
    def needs_port(self) -> bool:
        """Whether it uses the console's port itself: the channel is closed while it works, and opened again after it."""
        return False

    def check(self) -> str:
        """What can be found out without touching the device's state: the program or interface used, with its version.

        Raises:
            BenchError: It is not installed, or cannot be reached.
        """
        return ""


class FlashDriver(Driver, ABC):
    """Writes a device's flash."""

    @abstractmethod
    def write(self, images: FlashImages) -> None:
        """Make the flash hold the images, and read back that it does. The device may run or stand afterwards: reset it.

        Raises:
            BenchError: It cannot be written, with the last lines of what the driver's program said.
        """


class ResetDriver(Driver, ABC):
    """Resets a device."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the device and let it run.

        Raises:
            BenchError: It cannot be reset.
        """


class PowerConfig(DriverConfig):
    """`off_time`: how long the power is away when it is taken away and given back, in s: capacitors keep a device running."""

    off_time: Annotated[float, Field(ge=0, le=600)] = 1.0


class PowerDriver(Driver, ABC):
    """Switches a device's power."""

    Config: ClassVar[type[DriverConfig]] = PowerConfig
    config: PowerConfig

    @abstractmethod
    def switch(self, on: bool) -> None:
        """Switch the power on or off, and wait until it is.

        Raises:
            BenchError: It cannot be switched.
        """

    def cycle(self) -> None:
        """Take the power away and give it back."""
        self.switch(False)
        time.sleep(self.config.off_time)
        self.switch(True)
