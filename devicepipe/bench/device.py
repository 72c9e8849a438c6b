"""The device as a test sees it: reset it, talk to it, read and write its flash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from devicepipe.bench.channel import Channel
from devicepipe.bench.factory import flash_contents, load_factory
from devicepipe.bench.faults import DeviceFaultError, NoReplyError
from devicepipe.bench.protocol import REPLY, STARTED, parse_identity
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.predicates import Identity
from devicepipe.project.board import Board


@dataclass(frozen=True)
class Images:
    """The files under test, and what they are.

    Attributes:
        factory: Intel HEX of all that a new device's flash holds.
        signed: The MCUboot image in it.
        public_key: PEM public key that the bootloader trusts.
        digest: The image's MCUboot digest (SHA-256, hexadecimal).
        payload_digest: SHA-256 of the signed application binary.
    """

    factory: Path
    signed: Path
    public_key: Path
    digest: str
    payload_digest: str


class Device:
    """One device under test, with the factory image in its flash when a test begins.

    What a test does to the flash is undone before the next one. `install`, `install_factory` and `write_flash` stop the device: it
    runs again from `reset` on.

    Attributes:
        board: The board's manifest.
        images: The files under test.
        factory: The factory image: absolute address → bytes of each gapless segment.
        expected: What the device must say of itself.
        altered: Whether the test has changed the flash.
        boot_output: What the device sent between its last reset and the line that `wait_started` returned, with that line.
        on_reset: Called at each reset, to forget what was read ahead.
    """

    def __init__(self, spec: SessionSpec, start: Callable[[], Qemu]) -> None:
        self.board: Board = spec.board
        self.expected = spec.expected
        self.images = Images(
            factory=spec.factory,
            signed=spec.signed_image,
            public_key=spec.public_key,
            digest=spec.expected.digest,
            payload_digest=spec.payload_digest,
        )
        segments = load_factory(spec.factory)
        self.factory = MappingProxyType(segments)
        self._flash = flash_contents(spec.board, segments, file=spec.factory)
        self._boot_timeout = spec.boot_timeout
        self._start = start
        self._qemu: Qemu | None = None
        self._reset_at = 0
        self.altered = False
        self.boot_output = b""
        self.on_reset: Callable[[], None] = _nothing

    # --- for tests ------------------------------------------------------------------------------------------------

    def command(self, line: str, timeout: float = 5.0) -> str:
        """Send one command and return its reply line, without the line end.

        The reply is taken out of what `dut` sees; other lines (events) stay there.

        Args:
            line: The command, without a line end.
            timeout: The longest wait for the reply, in seconds.

        Raises:
            NoReplyError: No line beginning with OK or ERR came in time, or an OK that answers another command.
            BenchError: The device was lost.
        """
        reply = self.channel.take_line(REPLY, timeout, ask=line.encode("ascii") + b"\n")
        if reply is None:
            raise NoReplyError(f"no reply to {line!r} within {timeout:g} s; unread: {_excerpt(self.channel.unread)}")
        text = _text(reply)
        if text.startswith("OK") and text.split()[1:2] != line.split()[:1]:
            raise NoReplyError(f"the reply to {line!r} is that of another command: {text!r}")
        return text

    def identity(self, timeout: float = 5.0) -> Identity:
        """What the device says of itself now.

        Raises:
            NoReplyError: It does not answer within `timeout` seconds.
            BadIdentityError: The answer is no identity.
            BenchError: The device was lost.
        """
        return parse_identity(self.command("id", timeout))

    def reset(self) -> None:
        """Reset the device and let it run. What it had sent before and was not read yet is forgotten (but stays in the log)."""
        self.on_reset()
        self._reset_at = self._emulator.reset()

    def wait_started(self, timeout: float | None = None) -> str:
        """Wait after `reset` until the device says that its application is ready, or that its bootloader refuses the image.

        Args:
            timeout: In seconds; None: the board's longest boot time.

        Returns:
            That line without its line end, taken out of what `dut` sees; the lines before it stay there.

        Raises:
            NoReplyError: Neither came in time.
            BenchError: The device was lost.
        """
        limit = self._boot_timeout if timeout is None else timeout
        line = self.channel.take_line(STARTED, limit)
        sent = self.channel.log.read(self._reset_at)
        if line is None:
            raise NoReplyError(
                f"the device printed neither 'app: ready …' nor 'boot: refused …' within {limit:g} s after its reset; "
                f"it sent {_excerpt(sent)}"
            )
        self.boot_output = sent[: sent.index(line) + len(line)]
        return _text(line)

    def install(self, image: bytes | Path, region: str = "slot0") -> None:
        """Erase a region of the flash and write an image to its beginning, as a programmer does. The device stays stopped.

        Args:
            image: The bytes, or a binary file (not Intel HEX).
            region: A region of the board's manifest.

        Raises:
            UsageError: The board has no such region, or the image is larger than it.
        """
        if region not in self.board.regions:
            raise UsageError(
                f"board '{self.board.name}' has no region '{region}'", remedy=f"one of {', '.join(self.board.regions)}"
            )
        data = image if isinstance(image, bytes) else image.read_bytes()
        place = self.board.regions[region]
        if len(data) > place.size:
            raise UsageError(f"an image of {len(data)} bytes does not fit into region '{region}' of {place.size} bytes")
        self.write_flash(place.offset, data.ljust(place.size, bytes([self.board.flash.erased])))

    def install_factory(self) -> None:
        """Make the whole flash what production programming makes it. The device stays stopped."""
        self._emulator.write_flash(self._flash)
        self.altered = False

    def write_flash(self, offset: int, data: bytes) -> None:
        """Set bytes of the flash, whatever they were before. The device stays stopped.

        Args:
            offset: From the flash's first byte.
            data: At least one byte.

        Raises:
            UsageError: They do not lie inside the flash.
        """
        self._inside_flash(offset, len(data))
        self.altered = True
        self._emulator.stop()
        contents = bytearray(self._emulator.read_flash())
        contents[offset : offset + len(data)] = data
        self._emulator.write_flash(bytes(contents))

    def read_flash(self, offset: int, size: int) -> bytes:
        """Bytes of the flash as the processor sees them. The device keeps running.

        Args:
            offset: From the flash's first byte.
            size: In bytes, at least 1.

        Raises:
            UsageError: They do not lie inside the flash.
        """
        self._inside_flash(offset, size)
        return self._emulator.read_flash()[offset : offset + size]

    def guest_resets(self) -> int:
        """How often the device has reset itself (by command, watchdog or fault) since the test began or last called `reset`."""
        return self._emulator.guest_resets()

    # --- for the harness ------------------------------------------------------------------------------------------

    @property
    def channel(self) -> Channel:
        """The serial line of the running device."""
        return self._emulator.channel

    def prepare(self) -> Identity:
        """Make the device as new: factory image, reset, application ready. Its identity is returned, not judged.

        Raises:
            DeviceFaultError: The device does not start, or does not say who it is.
            BenchError: The device cannot be started, or was lost.
        """
        if self._qemu is not None:
            self._retire_unless_clean(self._qemu)
        if self._qemu is None:
            self._qemu = self._start()
        self.on_reset = _nothing
        self.install_factory()
        self.reset()
        started = self.wait_started()
        if started.startswith("boot: refused"):
            raise DeviceFaultError(f"the bootloader does not start the factory image: {started!r}")
        identity = self.identity(timeout=self._boot_timeout)
        self.channel.discard()
        return identity

    def recheck(self) -> Identity:
        """The identity once more, without a reset if the device still answers.

        Raises:
            DeviceFaultError: It does not say who it is, even after a reset.
            BenchError: The device was lost.
        """
        try:
            reply = self.command("id", timeout=1.0)
        except NoReplyError:
            reply = "ERR"
        # An ERR may be the answer to what the test had begun to type.
        if reply.startswith("ERR"):
            self._start_again()
            self.wait_started()
            reply = self.command("id", timeout=self._boot_timeout)
        return parse_identity(reply)

    def pause(self) -> None:
        """Stop the device where it is: it sends nothing until it is prepared again."""
        if self._qemu is not None and self._qemu.alive:
            self._qemu.stop()
            self._qemu.channel.discard()

    def close(self) -> None:
        """End the device."""
        if self._qemu is not None:
            self._qemu.close()
            self._qemu = None

    def _start_again(self) -> None:
        """Reset the device; one that holds input which it never took is replaced by a new one with the same flash.

        A reset would not take that input back, and the device would obey it.
        """
        qemu = self._emulator
        qemu.stop()
        if qemu.channel.untaken:
            flash = qemu.read_flash()
            self.close()
            self._qemu = self._start()
            self._qemu.write_flash(flash)
        self.reset()

    def _retire_unless_clean(self, qemu: Qemu) -> None:
        """End an emulator that died, or that still holds input of an earlier test: a reset would not take that back."""
        if qemu.alive:
            qemu.stop()
        if not qemu.alive or qemu.channel.untaken:
            qemu.close()
            self._qemu = None

    @property
    def _emulator(self) -> Qemu:
        if self._qemu is None:
            raise BenchError("the device is not running", remedy="use the fixtures 'device' and 'dut' inside a test")
        return self._qemu

    def _inside_flash(self, offset: int, size: int) -> None:
        if offset < 0 or size < 1 or offset + size > self.board.flash.size:
            raise UsageError(
                f"{size} bytes at offset {offset:#x} do not lie inside the flash of {self.board.flash.size:#x} bytes"
            )


def _nothing() -> None:
    """What happens at a reset where nobody else keeps unread bytes."""


def _text(line: bytes) -> str:
    return line.decode("ascii", "backslashreplace").rstrip("\r\n")


def _excerpt(data: bytes) -> str:
    return repr(data[-300:].decode("ascii", "backslashreplace")) if data else "nothing"
