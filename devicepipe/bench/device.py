"""The device as a test sees it: reset it, talk to it, read and write its flash."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from devicepipe.bench.channel import Channel
from devicepipe.bench.debugger import Debugger
from devicepipe.bench.factory import load_factory
from devicepipe.bench.faults import DeviceFaultError, NoReplyError, UnaskedReplyError, UnexpectedResetError
from devicepipe.bench.images import images_of
from devicepipe.bench.link import Link
from devicepipe.bench.lockstep import LockStep, VirtualTime
from devicepipe.bench.protocol import (
    ANSWER,
    ECHO,
    REPLY,
    REPLY_OR_STARTED,
    STARTED,
    Pattern,
    parse_identity,
    pattern_of,
)
from devicepipe.bench.spec import SessionSpec
from devicepipe.bench.target import WRITE_FLASH, Target, lacks
from devicepipe.errors import UsageError
from devicepipe.evidence.results import Identity
from devicepipe.project.board import Board

# How late the answer to a question may be that waited for the device to start, in seconds.
_LATE = 1.0


class Device:
    """One device under test, with the factory image in its flash when a test begins.

    What a test does to the flash is undone before the next one. `install`, `install_factory` and `write_flash` stop the device: it
    runs again from `reset` on. What not every device can do, such as that, is refused with a `LacksError` by one that cannot.

    Args:
        spec: The session.
        target: The device itself, emulated or real.

    Attributes:
        board: The board's manifest.
        images: The files under test.
        target: As given; for the harness.
        expected: What the device must say of itself.
        altered: Whether the test has changed the flash.
        unspoilt: Whether the last test is known to have left the device as it was; set by the harness.
        boot_output: What the device sent between its last reset and the line that `wait_started` returned, with that line.
        on_reset: Called at each reset, to forget what was read ahead.
    """

    def __init__(self, spec: SessionSpec, target: Target) -> None:
        self.board: Board = spec.board
        self.expected = spec.expected
        self.images = images_of(spec)
        self.target = target
        self._boot_timeout = spec.boot_timeout
        self._began_at = 0
        self._answered = False
        self._reset_at = 0
        self._prepared_at = 0
        self._sent_before = (0, 0)
        self._resets_noticed = 0
        self._resets_at_start = 0
        self._reset_itself = False
        self.altered = False
        self.unspoilt = False
        self.boot_output = b""
        self.on_reset: Callable[[], None] = _nothing

    # --- for tests ------------------------------------------------------------------------------------------------

    def command(self, line: str, timeout: float = 5.0, *, not_matching: Pattern | None = None) -> str:
        """Send one command and return its reply line, without the line end.

        The reply is taken out of what `dut` sees; other lines (events) stay there.

        Args:
            line: The command, without a line end.
            timeout: The longest wait for the reply, in seconds.
            not_matching: A regular expression of what must not come before the reply.

        Raises:
            UnwantedOutputError: What must not come came, at once.
            NoReplyError: No line beginning with OK or ERR came in time, or an OK that answers another command.
            BenchError: The device was lost.
        """
        unwanted = None if not_matching is None else pattern_of(not_matching)
        reply = self.channel.take_line(REPLY, timeout, ask=line.encode("ascii") + b"\n", not_matching=unwanted)
        if reply is None:
            self.demand_thawed()
            unread = _excerpt(self.channel.unread)
            raise NoReplyError(
                f"no reply to {line!r} within {timeout:g} s; unread: {unread}; see {self.channel.log.path}"
            )
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
        """Reset the device and let it run, in virtual time as soon as something is waited for.

        What it had sent before and was not read yet is forgotten (but stays in the log).
        """
        self._restarted(self.target.reset)

    def wait_started(self, timeout: float | None = None, *, not_matching: Pattern | None = None) -> str:
        """Wait after `reset` until the device says that its application is ready, or that its bootloader refuses the image.

        Args:
            timeout: In seconds; None: the board's longest boot time.
            not_matching: A regular expression of what must not come before that line.

        Returns:
            That line without its line end, taken out of what `dut` sees; the lines before it stay there.

        Raises:
            UnwantedOutputError: What must not come came, at once.
            NoReplyError: Neither came in time.
            BenchError: The device was lost.
        """
        limit = self._boot_timeout if timeout is None else timeout
        unwanted = None if not_matching is None else pattern_of(not_matching)
        line = self.channel.take_line(STARTED, limit, not_matching=unwanted)
        sent = self.channel.log.read(self._reset_at)
        if line is None:
            self.demand_thawed()
            resets = self.target.guest_resets()
            again = f" and reset itself {resets} times" if resets else ""
            raise NoReplyError(
                f"the device printed neither 'app: ready …' nor 'boot: refused …' within {limit:g} s after its reset{again}; "
                f"it sent {_excerpt(sent)}; see {self.channel.log.path}"
            )
        self.boot_output = sent[: sent.index(line) + len(line)]
        self.guest_resets()
        if (lockstep := self.target.lockstep) is not None and line.startswith(b"app:"):
            lockstep.settle(limit)
        return _text(line)

    def link(self, name: str) -> Link:
        """A further serial line of the device, as its board's manifest names it.

        Raises:
            UsageError: The board has none of that name.
        """
        if name not in self.board.links:
            known = ", ".join(self.board.links) or "none"
            raise UsageError(f"board '{self.board.name}' has no link '{name}', but {known}", key="devicepipe.links")
        return Link(name, lambda: self.target.link(name))

    # --- virtual time: for tests marked `virtual_time` --------------------------------------------------------------

    def on_exchange(self, callback: Callable[[], object] | None) -> None:
        """Have a function called at each exchange until the test ends, while the device stands; None: no more.

        It may read what the device has sent and write answers, but not wait for anything.
        """
        self._in_lockstep.on_exchange = callback

    def advance(self, exchanges: int = 1) -> None:
        """Let the device run for a number of exchanges.

        Raises:
            NoExchangeError: It does not come to the next one: it halted, or resets again and again.
            BenchError: The device was lost.
        """
        self._in_lockstep.advance(exchanges)

    def run_for(self, milliseconds: float) -> None:
        """Let the device run for some of its own time, rounded up to whole exchanges.

        Raises:
            NoExchangeError: It does not come to the next exchange: it halted, or resets again and again.
            BenchError: The device was lost.
        """
        lockstep = self._in_lockstep
        lockstep.advance(math.ceil(milliseconds / lockstep.mode.every))

    @property
    def exchanges(self) -> int:
        """How many exchanges there were since the test began."""
        return self._in_lockstep.exchanges - self._began_at

    @property
    def time(self) -> float:
        """The device's time since the test began, in milliseconds: that of all exchanges."""
        return self.exchanges * self._in_lockstep.mode.every

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
        self.target.program()
        self.altered = False

    def write_flash(self, offset: int, data: bytes) -> None:
        """Set bytes of the flash, whatever they were before. The device stays stopped.

        Args:
            offset: From the flash's first byte.
            data: At least one byte.

        Raises:
            UsageError: They do not lie inside the flash.
            LacksError: The device's flash can be written as a whole only.
        """
        self._inside_flash(offset, len(data))
        if WRITE_FLASH not in self.target.can:
            raise lacks(WRITE_FLASH)
        self.altered = True
        self.target.write_flash(offset, data)

    def read_flash(self, offset: int, size: int) -> bytes:
        """Bytes of the flash as the processor sees them. The device keeps running.

        Args:
            offset: From the flash's first byte.
            size: In bytes, at least 1.

        Raises:
            UsageError: They do not lie inside the flash.
            LacksError: The device's flash cannot be read.
        """
        self._inside_flash(offset, size)
        return self.target.read_flash(offset, size)

    def debugger(self) -> Debugger:
        """The debugger of the device, which is stopped by its methods and runs freely again from `reset` or `release` on.

        Its first program is the application, the second the bootloader, as far as the session knows them.

        Raises:
            UsageError: The test is in virtual time, which has the device halted in its own way.
            LacksError: The device has no debugger.
        """
        if self.virtual_time:
            raise UsageError("a test in virtual time has no debugger", remedy="leave the mark 'virtual_time' out")
        return self.target.debugger()

    def guest_resets(self) -> int:
        """How often the device has reset itself (by command, watchdog or fault) since the test began or last called `reset`.

        A reset that happens after the last call, and whose start the test does not wait for either, fails the test at its end.
        """
        self._resets_noticed = self.target.guest_resets()
        return self._resets_noticed

    # --- for the harness ------------------------------------------------------------------------------------------

    @property
    def channel(self) -> Channel:
        """The serial line of the running device."""
        return self.target.channel

    def prepare(self, mode: VirtualTime | None = None) -> Identity:
        """Make the device as new: factory image, reset, application ready. Its identity is returned, not judged.

        Args:
            mode: None: the device's time is ours; otherwise it is virtual, and the device stands at its first exchange.

        Raises:
            DeviceFaultError: The device does not start, does not say who it is, or does not come to its first exchange.
            BenchError: The device cannot be started, or was lost.
            UsageError: The application has no such function to halt at.
        """
        answered, self._answered = self._answered, False
        needed, self.unspoilt = self.altered or not self.unspoilt, False
        self.target.begin(mode, answered=answered)
        self.on_reset = _nothing
        self.target.program(needed=needed)
        self.altered = False
        self.reset()
        self._reset_itself = False
        self._prepared_at, self._sent_before = self._reset_at, self.target.lines_sent()
        started = self.wait_started()
        if started.startswith("boot: refused"):
            raise DeviceFaultError(f"the bootloader does not start the factory image: {started!r}")
        sees = self.target.sees_resets
        identity = self.identity(timeout=self._boot_timeout) if sees else self._identity_once_started()
        self._resets_at_start = self._resets_noticed
        self._demand_asked()
        if ECHO.search(self.channel.unread):
            raise DeviceFaultError(
                "the device echoes what it is sent, so that a test would find its own words: turn that off"
            )
        self.channel.discard()
        if (lockstep := self.target.lockstep) is not None:
            self._began_at = lockstep.exchanges
        return identity

    def _identity_once_started(self) -> Identity:
        """The identity of a device that may have been running when it was reset, and have said that it is ready before that."""
        line = self.channel.take_line(REPLY_OR_STARTED, self._boot_timeout, ask=b"id\n")
        if line is not None and STARTED.match(line):
            self.guest_resets()
            # It is ready now. The question may have waited for that; if not, it was lost with the reset.
            line = self.channel.take_line(REPLY, _LATE) or self.channel.take_line(
                REPLY, self._boot_timeout, ask=b"id\n"
            )
        if line is None:
            raise NoReplyError(
                f"no reply to 'id' within {self._boot_timeout:g} s; unread: {_excerpt(self.channel.unread)}"
            )
        return parse_identity(_text(line))

    def clock(self) -> float:
        """Seconds that pass as the device's own do: virtual ones, or ours."""
        lockstep = self.target.lockstep
        return self.target.clock() if lockstep is None else lockstep.milliseconds / 1000

    @property
    def virtual_time(self) -> bool:
        """Whether the device's time is virtual."""
        return self.target.lockstep is not None

    def demand_thawed(self) -> None:
        """BenchError where the device cannot answer for a reason of the bench's: no fault of the product's."""
        self.target.demand_thawed()

    def demand_honest(self) -> None:
        """Raise where the device has, since the test began, done what the test did not notice and cannot have meant.

        Raises:
            UnexpectedResetError: It reset itself, and the test has neither seen it start nor asked how often.
            UnaskedReplyError: It sent more replies than it was sent commands.
            LockupError: It locked up.
            BenchError: It was lost.
        """
        self.demand_thawed()
        self._demand_noticed()
        self._demand_asked()

    def _demand_noticed(self) -> None:
        if unnoticed := self.target.guest_resets() - self._resets_noticed:
            raise UnexpectedResetError(
                f"the device reset itself {unnoticed} times during the test, which did not notice: a test that means it waits "
                f"for the start ('wait_started', 'dut.expect') or asks 'guest_resets'"
            )

    def _demand_asked(self) -> None:
        """An `OK` answers a command. An `ERR` may also answer the rest of a link's line that a reset has cut in two."""
        sent = self.channel.log.read(self._prepared_at)
        commands, lines = (
            now - before for now, before in zip(self.target.lines_sent(), self._sent_before, strict=True)
        )
        answers, replies = len(ANSWER.findall(sent)), len(REPLY.findall(sent))
        if answers > commands or replies > lines:
            raise UnaskedReplyError(
                f"the device sent {replies} replies to {commands} commands, so that none is known to answer what was asked; "
                f"it sent {_excerpt(sent)}"
            )

    def recheck(self) -> Identity:
        """The identity once more, without a reset if the device still answers.

        Raises:
            DeviceFaultError: It does not say who it is, even after a reset; or its exchanges did not come as often as was said.
            BenchError: The device was lost.
        """
        self.target.release()
        if (lockstep := self.target.lockstep) is not None:
            lockstep.on_exchange = None
            lockstep.audit()
        try:
            reply = self.command("id", timeout=1.0)
        except NoReplyError:
            reply = "ERR" if self.target.sees_resets else self._late_answer()
        # An ERR may be the answer to what the test had begun to type.
        if reply.startswith("ERR"):
            self._restarted(self.target.restart)
            self.wait_started()
            reply = self.command("id", timeout=self._boot_timeout)
        # What a real device did before it answered has arrived by now.
        self._demand_noticed()
        self._answered = True
        return parse_identity(reply)

    def _late_answer(self) -> str:
        """What a real device says that did not answer at once: ERR where it is nothing.

        It may be starting, and have lost the question with its reset: to reset it now would hide that.
        """
        line = self.channel.take_line(REPLY_OR_STARTED, self._boot_timeout)
        self._demand_noticed()
        return _text(line) if line is not None and line.startswith(b"OK id ") else "ERR"

    def pause(self) -> None:
        """Stop the device where it is: it sends nothing until it is prepared again."""
        self.target.pause()

    def close(self) -> None:
        """End the device's part in the session."""
        self.target.close()

    @cached_property
    def factory(self) -> Mapping[int, bytes]:
        """The factory image: absolute address → bytes of each gapless segment."""
        return MappingProxyType(load_factory(self.images.factory))

    def has_reset_itself(self) -> bool:
        """Whether the device has reset itself since it was prepared, more often than it does when it starts."""
        return self._reset_itself or self.target.guest_resets() > self._resets_at_start

    def _restarted(self, reset: Callable[[], int]) -> None:
        if not self.target.sees_resets:
            self._reset_itself = self.has_reset_itself()
        self.on_reset()
        self._resets_noticed = 0
        self._reset_at = reset()

    @property
    def _in_lockstep(self) -> LockStep:
        if (lockstep := self.target.lockstep) is None:
            raise UsageError(
                "the test is not in virtual time", remedy='mark it, e.g. @pytest.mark.virtual_time(at="exchanged")'
            )
        return lockstep

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
