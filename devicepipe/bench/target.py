"""What the bench's Device is put on: an emulator, or real hardware put together from drivers.

What always holds: a target is one device for a whole session; what it cannot do it says in `can` and refuses with a `LacksError`;
every wait of it is bounded; its loss is noticed by event, as an exception that says why.
"""

from __future__ import annotations

from typing import Protocol

from devicepipe.bench.channel import Channel, Stream
from devicepipe.bench.debugger import Debugger
from devicepipe.bench.lockstep import LockStep, VirtualTime
from devicepipe.errors import UsageError

READ_FLASH = "read-flash"
WRITE_FLASH = "write-flash"
DEBUGGER = "debugger"
VIRTUAL_TIME = "virtual-time"
_WORDS = {
    READ_FLASH: "its flash cannot be read",
    WRITE_FLASH: "no part of its flash can be written, only all of it",
    DEBUGGER: "it has no debugger",
    VIRTUAL_TIME: "its time is ours",
}


class LacksError(UsageError):
    """The device cannot do what a test wants of it: nothing is said of the product."""


def lacks(capability: str) -> LacksError:
    """The error that a device cannot do something."""
    return LacksError(
        f"the device cannot do that: {_WORDS[capability]}",
        remedy=f'mark the test @pytest.mark.requires("{capability}"), so that it is not run where it cannot',
    )


class Target(Protocol):
    """A device as the bench drives it.

    Attributes:
        sees_resets: Whether `guest_resets` knows of a reset at once, and not by what the device prints after it.
        can: What it can do of what not every device can: `READ_FLASH`, `WRITE_FLASH` (a part of it), `DEBUGGER`, `VIRTUAL_TIME`.
    """

    sees_resets: bool
    can: frozenset[str]

    @property
    def channel(self) -> Channel:
        """The serial line of the console. BenchError where the device is not running."""

    @property
    def lockstep(self) -> LockStep | None:
        """What runs the device in virtual time; None where its time is ours."""

    def link(self, name: str) -> Stream:
        """The stream of a link; KeyError where the board has none of that name."""

    def lines_sent(self) -> tuple[int, int]:
        """How many lines the console was sent, and how many the whole serial line that it is on."""

    def begin(self, mode: VirtualTime | None, *, answered: bool) -> None:
        """Make ready for a test: the device is there, and holds no input of an earlier one.

        Args:
            mode: None: the device's time is ours.
            answered: Whether the device has answered the last that it was sent.

        Raises:
            LacksError: It has no virtual time, and `mode` wants it.
            BenchError: It is not there.
        """

    def program(self, *, needed: bool = True) -> None:
        """Make the whole flash what production programming makes it. The device stays stopped, where it can be.

        Args:
            needed: False: nobody is known to have changed the flash since the last time, so that one that wears may be left.

        Raises:
            BenchError: It does not hold what was written.
        """

    def reset(self) -> int:
        """Reset the device and let it run; in virtual time as soon as something is waited for. What was not read is forgotten.

        Returns:
            The offset in the console's raw log at which the output of the new start begins.
        """

    def restart(self) -> int:
        """The same for a device that may hold input which it never took: a reset alone would have it obey that."""

    def guest_resets(self) -> int:
        """How often the device has reset itself since the last `reset`."""

    def clock(self) -> float:
        """Seconds as the device can have used them: ours, less what the machine kept an emulator from running."""

    def demand_thawed(self) -> None:
        """BenchError where the device cannot answer for a reason of the bench's; asked before a silent device is accused."""

    def write_flash(self, offset: int, data: bytes) -> None:
        """Set bytes of the flash. The device stays stopped, where it can be.

        Raises:
            LacksError: No part of it can be written.
        """

    def read_flash(self, offset: int, size: int) -> bytes:
        """Bytes of the flash. The device keeps running.

        Raises:
            LacksError: It cannot be read.
        """

    def debugger(self) -> Debugger:
        """The debugger of the device; its breakpoints end with `reset`.

        Raises:
            LacksError: It has none.
        """

    def release(self) -> None:
        """Let the device run freely where its debugger has it."""

    def pause(self) -> None:
        """Have the device send nothing until it is begun again, as far as it can be stopped; what was not read is forgotten."""

    def close(self) -> None:
        """Give everything back; harmless when that was done."""
