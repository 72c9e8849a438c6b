"""A real device as a target: serial ports, and drivers for its flash, its reset and its power.

What always holds: a port that a driver uses itself is closed while the driver works; the flash is written at the first test of a
session, and before another one unless all that is known says that nobody changed it (ADR 0016).
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from devicepipe.bench.channel import Channel, SerialLoop, Stream
from devicepipe.bench.debugger import Debugger
from devicepipe.bench.drivers.driver import Driver, FlashDriver, FlashImages, Place, PowerDriver, ResetDriver
from devicepipe.bench.drivers.registry import make_driver
from devicepipe.bench.lockstep import LockStep, VirtualTime
from devicepipe.bench.ports import open_port
from devicepipe.bench.protocol import READY
from devicepipe.bench.routing import owners
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.target import DEBUGGER, READ_FLASH, VIRTUAL_TIME, WRITE_FLASH, lacks
from devicepipe.errors import BenchError, UsageError
from devicepipe.project.board import Board
from devicepipe.project.config import Project
from devicepipe.project.inventory import DeviceEntry, Inventory

_REAPPEARS, _LOOK_AGAIN = 10.0, 0.05  # s
_BOOT = re.compile(rb"^boot: [^\r\n]*(?=[\r\n])", re.MULTILINE)


@dataclass(frozen=True)
class Parts:
    """The drivers of a real device. One that has no driver for its reset is reset by its power."""

    flash: FlashDriver | None
    reset: ResetDriver | None
    power: PowerDriver | None

    @property
    def drivers(self) -> dict[str, Driver]:
        """Those that it has, by role."""
        every: dict[str, Driver | None] = {"flash": self.flash, "reset": self.reset, "power": self.power}
        return {role: driver for role, driver in every.items() if driver is not None}


def make_parts(device: DeviceEntry, board: Board, inventory: Inventory, root: Path, log: Path) -> Parts:
    """The drivers of a device. Nothing is run and no device touched.

    Args:
        device: The device.
        board: Its board.
        inventory: Where it stands, for errors.
        root: The folder that relative paths of the settings are relative to.
        log: What the drivers' programs print is appended to this file.

    Raises:
        UsageError: The device cannot be reset, a driver is unknown, or a setting of it is wrong.
        BenchError: Another package's driver cannot be loaded.
    """
    if device.reset is None and device.power is None:
        raise inventory.error(
            f"missing key: device '{device.id}' can neither be reset nor switched off and on",
            device.id,
            "reset",
            remedy="add [device.reset], or [device.power]; see docs/reference/bench.md",
        )
    place = Place(device.id, board, device.port or "", root, log)
    return Parts(
        flash=make_driver("flash", device.flash, place, inventory) if device.flash is not None else None,
        reset=make_driver("reset", device.reset, place, inventory) if device.reset is not None else None,
        power=make_driver("power", device.power, place, inventory) if device.power is not None else None,
    )


def check_devices(inventory: Inventory, project: Project) -> None:
    """Look whether the drivers of all real devices of this machine can be made as bench.toml says. Nothing is run or touched.

    Raises:
        UsageError: A device cannot be reset, a driver is unknown, or a setting of it is wrong; at file, line and key.
    """
    host = socket.gethostname()
    for device in inventory.devices.values():
        # Another machine has other drivers.
        if not device.emulated and not inventory.wrong_host(device, host):
            # Another package's driver that cannot be loaded is told where it is used: it must not hide the other devices.
            with suppress(BenchError):
                make_parts(device, project.board(device.board).board, inventory, project.root, Path(os.devnull))


class ComposedTarget:
    """See `Target`.

    Args:
        device: The device, as the inventory has it.
        board: Its board.
        parts: Its drivers.
        images: What `program` writes; None: nothing will be written.
        logs: The records of the serial lines: one for each of the board's UARTs.
        loop: Receives the serial lines.
        on_program: Called after each time that the flash was written.
    """

    sees_resets = False
    can: frozenset[str] = frozenset()
    lockstep: LockStep | None = None

    def __init__(
        self,
        device: DeviceEntry,
        board: Board,
        parts: Parts,
        images: FlashImages | None,
        logs: Mapping[int, SerialLog],
        loop: SerialLoop,
        on_program: Callable[[], object] = lambda: None,
    ) -> None:
        self.device = device
        self.parts = parts
        self._board = board
        self._images = images
        self._logs = logs
        self._loop = loop
        self._on_program = on_program
        self._channels: dict[int, Channel] = {}
        self._sent = (0, 0)
        self._start = 0
        self._programmed = False

    @property
    def channel(self) -> Channel:
        """See `Target`."""
        if not self._channels:
            raise BenchError(
                f"the port of device '{self.device.id}' is not open",
                remedy="use the fixtures 'device' and 'dut' inside a test",
            )
        return self._channels[self._board.console.uart]

    def link(self, name: str) -> Stream:
        """See `Target`."""
        uart = self._board.links[name].uart
        return (self._channels[uart] if self._channels else self.channel).links[name]

    def lines_sent(self) -> tuple[int, int]:
        """See `Target`."""
        commands, lines = self._sent
        if not self._channels:
            return commands, lines
        sent = self.channel.line_ends
        return commands + sent, lines + sent + sum(link.line_ends for link in self.channel.links.values())

    def open(self) -> None:
        """Open the ports, where they are not.

        Raises:
            BenchError: One cannot be opened.
        """
        if self._channels:
            return
        rates = {link.uart: link.baud for link in self._board.links.values()}
        rates[self._board.console.uart] = self._board.console.baud
        channels: dict[int, Channel] = {}
        try:
            for uart in self._board.uarts:
                url = self._port(uart)
                port = open_port(url, rates[uart])
                channels[uart] = Channel(
                    port, self._logs[uart], self._loop, self._lost(url), *owners(self._board, uart)
                )
        except BaseException:
            for channel in channels.values():
                channel.close()
            raise
        self._channels = channels

    def begin(self, mode: VirtualTime | None, *, answered: bool) -> None:  # noqa: ARG002 - a port keeps no input that it sent
        """See `Target`: a port that was lost, or that still holds what the device never took, is opened anew."""
        if mode is not None:
            raise lacks(VIRTUAL_TIME)
        if any(channel.ended or channel.untaken for channel in self._channels.values()):
            self.close()
        self.open()

    def program(self, *, needed: bool = True) -> None:
        """See `Target`."""
        if self._programmed and not needed and self.device.reflash == "when-changed":
            return
        if self.parts.flash is None or self._images is None:
            raise UsageError(
                f"device '{self.device.id}' has no driver for its flash", remedy="add [device.flash] to bench.toml"
            )
        self._programmed = False
        with self._without_ports(self.parts.flash):
            self.parts.flash.write(self._images)
        self._programmed = True
        self._on_program()

    def reset(self) -> int:
        """See `Target`."""
        if self.parts.reset is not None:
            with self._without_ports(self.parts.reset):
                self._forget()
                self.parts.reset.reset()
        elif self.parts.power is not None:
            with self._without_ports(self.parts.power):
                self.parts.power.switch(False)
                self._forget()
                self.parts.power.switch(True)
            self._open_again()
        return self._start

    def restart(self) -> int:
        """See `Target`."""
        if any(channel.untaken for channel in self._channels.values()):
            self.close()
            self.open()
        return self.reset()

    def guest_resets(self) -> int:
        """See `Target`: by how often the first line of its bootloader, and the application's ready line, came."""
        self.channel.receive()
        sent = self.channel.log.read(self._start)
        first = _BOOT.search(sent)
        # Not at the beginning of a line only: a reset may come in the middle of one.
        starts = max(sent.count(first.group()) if first else 0, len(READY.findall(sent)))
        return max(0, starts - 1)

    def clock(self) -> float:
        """See `Target`."""
        return time.monotonic()

    def demand_thawed(self) -> None:
        """See `Target`."""
        for channel in self._channels.values():
            if channel.ended:
                raise channel.lost()

    def write_flash(self, offset: int, data: bytes) -> None:  # noqa: ARG002 - it has none of these
        """See `Target`."""
        raise lacks(WRITE_FLASH)

    def read_flash(self, offset: int, size: int) -> bytes:  # noqa: ARG002
        """See `Target`."""
        raise lacks(READ_FLASH)

    def debugger(self) -> Debugger:
        """See `Target`."""
        raise lacks(DEBUGGER)

    def release(self) -> None:
        """See `Target`: nobody has it."""

    def pause(self) -> None:
        """See `Target`: it runs on."""
        for channel in self._channels.values():
            channel.discard()

    def close(self) -> None:
        """See `Target`: the device runs on."""
        if self._channels:
            self._sent = self.lines_sent()
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.close()

    def _forget(self) -> None:
        for channel in self._channels.values():
            channel.discard()
        self._start = self._logs[self._board.console.uart].offset

    def _open_again(self) -> None:
        """Open ports that went with the power, such as those of a USB adapter on the board, as soon as they are there again."""
        for channel in self._channels.values():
            channel.receive()
        if not any(channel.ended for channel in self._channels.values()):
            return None
        self.close()
        deadline = time.monotonic() + _REAPPEARS
        while True:
            try:
                return self.open()
            except BenchError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_AGAIN)

    @contextmanager
    def _without_ports(self, driver: Driver) -> Iterator[None]:
        """Close the ports while a driver needs the console's for itself."""
        if not driver.needs_port:
            yield
            return
        was_open = bool(self._channels)
        self.close()
        yield
        if was_open:
            self.open()

    def _port(self, uart: int) -> str:
        return (self.device.port or "") if uart == self._board.console.uart else self.device.ports[str(uart)]

    def _lost(self, url: str) -> Callable[[], Exception]:
        return lambda: BenchError(
            f"device '{self.device.id}' was lost: its port '{url}' was closed",
            remedy="check its cable and its power; then: devicepipe bench health " + self.device.id,
        )
