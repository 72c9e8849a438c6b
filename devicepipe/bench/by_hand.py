"""What a person does with one device, outside of a session: look whether it is well, write its flash, reset it, talk to it.

What always holds: the device is this process's own meanwhile; nothing of it, and no port, is left open afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.composed import ComposedTarget, make_parts
from devicepipe.bench.drivers.driver import FlashImages
from devicepipe.bench.emulated import EmulatedTarget
from devicepipe.bench.faults import DeviceFaultError, NoReplyError
from devicepipe.bench.holding import Held, holding
from devicepipe.bench.lease import LeaseStore
from devicepipe.bench.protocol import REPLY, STARTED, identity_errors, parse_identity
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.service import Health
from devicepipe.bench.spec import SessionSpec
from devicepipe.bench.target import Target
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.results import Identity
from devicepipe.project.board import Board
from devicepipe.project.inventory import DeviceEntry, Inventory

_START, _REPLY = 20.0, 20.0  # s


class Unit:
    """A device in one's hand.

    Args:
        device: The device, as the inventory has it.
        board: Its board.
        inventory: Where it stands, for errors.
        root: The folder that relative paths of its drivers' settings are relative to.
        folder: For logs; must be empty.
        spec: A session whose images can be written to it; None: there are none.
        loop: Receives its serial lines.

    Raises:
        UsageError: It is emulated, and there are no images; or a driver of it is unknown, or a setting wrong.
    """

    def __init__(
        self,
        device: DeviceEntry,
        board: Board,
        inventory: Inventory,
        root: Path,
        folder: Path,
        spec: SessionSpec | None,
        loop: SerialLoop,
    ) -> None:
        self.device = device
        self.board = board
        self.spec = spec
        self._loop = loop
        self._log = folder / "device.log"
        self._logs = {uart: SerialLog(folder / f"uart{uart}.log") for uart in board.uarts}
        self.target: Target = self._target(inventory, root)

    def _target(self, inventory: Inventory, root: Path) -> Target:
        device, spec = self.device, self.spec
        if not device.emulated:
            parts = make_parts(device, self.board, inventory, root, self._log)
            images = FlashImages(spec.factory, spec.signed_image) if spec is not None else None
            return ComposedTarget(device, self.board, parts, images, self._logs, self._loop)
        if spec is None:
            raise UsageError(
                f"device '{device.id}' is emulated: it is made anew each time, and needs images to run",
                remedy="devicepipe sign makes them, or name a bundle with --bundle",
            )
        return EmulatedTarget(spec, lambda _: Qemu(self.board, self._log, self._logs, self._loop))

    @property
    def composed(self) -> ComposedTarget:
        """The device where it is a real one.

        Raises:
            UsageError: It is emulated.
        """
        if not isinstance(self.target, ComposedTarget):
            raise UsageError(
                f"device '{self.device.id}' is emulated: it is made anew each time, and has no drivers",
                remedy=f"use console, flash or health for it: devicepipe bench console {self.device.id}",
            )
        return self.target

    def start(self) -> None:
        """Have the device running: an emulated one is made, with its images in it, and takes input once it has started."""
        self.target.begin(None, answered=True)
        if self.device.emulated:
            self.target.program()
            self.target.reset()
            channel = self.target.channel
            channel.wait(lambda: channel.ended or STARTED.search(channel.unread) is not None, _START)

    def flash(self) -> Identity:
        """Write the images, and have the device say who it is with them.

        Raises:
            DeviceFaultError: It does not start, or is not what was written.
            BenchError: It cannot be written, or was lost.
        """
        if self.spec is None:
            raise UsageError("there are no images to write", remedy="devicepipe sign makes them, or name a bundle")
        self.target.begin(None, answered=True)
        self.target.program()
        return self._judged(self.spec.expected)

    def identify(self) -> Identity:
        """Reset the device, and have it say who it is.

        Raises:
            DeviceFaultError: It does not start, or is another device than the inventory says.
            BenchError: It cannot be reached, or was lost.
        """
        if self.device.emulated:
            return self.flash()
        for driver in self.composed.parts.drivers.values():
            driver.check()
        self.target.begin(None, answered=True)
        return self._judged(None)

    def health(self) -> Health:
        """Whether the device is well: its drivers can be used, it starts, and is who the inventory says."""
        wrong, says = "", ""
        try:
            identity = self.identify()
            says = " ".join(f"{name}={value}" for name, value in identity.model_dump().items() if value)
        except (BenchError, DeviceFaultError) as error:
            wrong = error.message if isinstance(error, BenchError) else str(error)
        return Health(device=self.device.id, time=utc_now(), wrong=wrong, says=says)

    def close(self) -> None:
        """Give everything back; a real device runs on."""
        self.target.close()
        for log in self._logs.values():
            log.close()

    def _judged(self, expected: Identity | None) -> Identity:
        self.target.reset()
        line = self.target.channel.take_line(STARTED, _START)
        if line is None:
            sent = self.target.channel.unread[-200:].decode("ascii", "backslashreplace")
            raise NoReplyError(
                f"it printed neither 'app: ready …' nor 'boot: refused …' within {_START:g} s after its reset; it sent {sent!r}"
            )
        if line.startswith(b"boot: refused"):
            raise DeviceFaultError(f"its bootloader does not start the image: {_text(line)!r}")
        reply = self.target.channel.take_line(REPLY, _REPLY, ask=b"id\n")
        if reply is None:
            raise NoReplyError(f"it does not answer 'id' within {_REPLY:g} s")
        identity = parse_identity(_text(reply))
        stated = self.device.serial_number or ""
        wanted = (expected or identity).model_copy(update={"board": self.board.name, "serial": stated})
        if errors := identity_errors(wanted, identity):
            raise DeviceFaultError("; ".join(errors))
        return identity


@contextmanager
def in_hand(
    device: DeviceEntry,
    board: Board,
    inventory: Inventory,
    root: Path,
    folder: Path,
    spec: SessionSpec | None,
    purpose: str,
) -> Iterator[tuple[Unit, Held]]:
    """Have a device, under a lease where it is real: this process's, or the user's own.

    Raises:
        LeaseHeldError: Somebody else has it.
        UsageError, BenchError: As `Unit`.
    """
    with ExitStack() as stack:
        held = stack.enter_context(holding(device, purpose, LeaseStore(), by_hand=True))
        loop = stack.enter_context(closing(SerialLoop()))
        unit = Unit(device, board, inventory, root, folder, spec, loop)
        stack.callback(unit.close)
        yield unit, held


def _text(line: bytes) -> str:
    return line.decode("ascii", "backslashreplace").rstrip("\r\n")
