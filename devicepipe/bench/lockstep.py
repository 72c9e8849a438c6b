"""Virtual time in lock-step: the device runs from one exchange with its surroundings to the next, and stands in between.

The device's time passes with the instructions it executes and takes no time while it sleeps, so an hour of it is a matter of a
minute. It stands at the function that it calls after each exchange, and runs only while a test waits for something.

What always holds: whatever waits is bounded in device time, by the number of exchanges, and in real time; a device that does not
come to its next exchange ends the wait, and is stopped where it is; after every wait all that it has sent can be read.
"""

from __future__ import annotations

import math
import os
import re
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from devicepipe.bench.channel import Channel
from devicepipe.bench.faults import DeviceFaultError
from devicepipe.bench.gdbstub import GdbStub
from devicepipe.bench.qemu import Qemu
from devicepipe.errors import BenchError, UsageError

PATIENCE = 10.0
"""The longest that an exchange may take on our clock, in seconds; it usually takes one or two thousandths of one."""

# The same where the exchange before did not come either.
_STALLED = 2.0
# How long a device is followed on our clock to its next exchange after what a test waits for has come.
_SETTLE = 1.0
# How long an exchange is waited for before what the device sends is received as it comes: each byte would wake us, and take the
# core from it. A socket holds far more than it sends in that time.
_QUICK = 0.02
# How long QEMU may take to take what was sent while the device stands, on our clock: more than it takes ahead stays in the socket.
_HAND_OVER = 0.002
# What may be between the exchanges' own account of the time and the emulator's: a part of it, and a number of exchanges.
_TOLERANCE, _EXCHANGES = 0.05, 3


@dataclass(frozen=True)
class VirtualTime:
    """Where a device is halted, and how its time is counted.

    Attributes:
        at: The function that the device calls after each exchange.
        every: The device's time from one exchange to the next, in milliseconds.
    """

    at: str
    every: float = 100.0

    def __post_init__(self) -> None:
        if not isinstance(self.at, str) or not self.at:
            raise ValueError(f"{self.at!r} is no function's name")
        if not isinstance(self.every, int | float) or not 0 < self.every < math.inf:
            raise ValueError(f"{self.every!r} is no time")


class NoExchangeError(DeviceFaultError):
    """The device did not come to its next exchange."""


class LockStep:
    """Runs an emulated device from exchange to exchange.

    Args:
        qemu: The emulator, in virtual time.
        mode: Where it halts.
        where: Says where an address lies.

    Attributes:
        exchanges: How many there were.
        on_exchange: Called at each, while the device stands.
    """

    def __init__(self, qemu: Qemu, mode: VirtualTime, where: Callable[[int], str]) -> None:
        self.mode = mode
        self.exchanges = 0
        self.on_exchange: Callable[[], object] | None = None
        self._qemu = qemu
        self._where = where
        self._at_exchange = False
        self._stalled = False
        self._inside = False
        self._base: tuple[int, int, float] | None = None
        for channel in qemu.channels.values():
            channel.wait = self.wait
        # What begins on the way to a stop is an exchange like any other: the surroundings answer it.
        qemu.on_pass = self._exchange

    @property
    def milliseconds(self) -> float:
        """The device's time: that of all exchanges so far."""
        return self.exchanges * self.mode.every

    def begin(self) -> None:
        """Note that the device was reset and stands before its first instruction."""
        self._at_exchange = False
        self._stalled = False
        self._base = None

    def advance(self, exchanges: int, patience: float = PATIENCE) -> None:
        """Let the device run for a number of exchanges, each within `patience` seconds on our clock.

        Raises:
            NoExchangeError: The next one does not come.
            BenchError: The device was lost.
        """
        self._refuse_inside()
        patience = min(patience, _STALLED) if self._stalled else patience
        for _ in range(exchanges):
            if self._run(patience) is None:
                raise NoExchangeError(self.state(patience))

    def stop_at(self, address: int, patience: float = PATIENCE) -> None:
        """Let the device run until it begins the instruction at an address, and stop it there, whatever exchanges come before.

        Raises:
            NoExchangeError: It does not come there within `patience` seconds on our clock.
            BenchError: The device was lost.
        """
        self._refuse_inside()
        qemu = self._qemu
        qemu.stop()
        qemu.gdb.insert_breakpoint(address)
        qemu.run()
        end = time.monotonic() + patience
        while (now := time.monotonic()) < end:
            watched: list[socket.socket | GdbStub] = [qemu.halt, qemu.gdb]
            ready = select.select(watched, (), (), end - now)[0]
            if qemu.halt in ready and qemu.reached():
                self._exchange()
                qemu.proceed()
            if qemu.gdb in ready and qemu.wait_stop(0):
                break
        else:
            qemu.stop()
            raise NoExchangeError(self.state(patience))
        qemu.gdb.remove_breakpoint(address)
        self._at_exchange = False
        self._receive()

    def settle(self, patience: float) -> None:
        """Let the device run to its next exchange where it does not stand at one.

        Raises:
            NoExchangeError: It does not come within `patience` seconds on our clock.
            BenchError: The device was lost.
        """
        if not self._at_exchange:
            self.advance(1, patience)

    def wait(self, condition: Callable[[], bool], timeout: float) -> None:
        """Let the device run until a condition holds, at most for `timeout` seconds of its time.

        The wait ends at an exchange. Where none comes, it ends after as long on our clock, at least 10 s (1 s where the one
        before did not come either); or 1 s after the condition held.

        Raises:
            UsageError: Called from within `on_exchange`, where the device stands.
            BenchError: The device was lost.
        """
        if not self._inside:  # what the device sent until it stood has been received
            self._receive()
        if condition() or timeout <= 0:
            return
        self._refuse_inside()
        left: float | None = max(timeout, _SETTLE if self._stalled else PATIENCE)
        last = self.exchanges + math.ceil(timeout * 1000 / self.mode.every)
        while self.exchanges < last and left is not None:
            left = self._run(left, condition)
            if condition():
                return

    def state(self, patience: float) -> str:
        """Where the device is and what it did, for the message that it does not come to its next exchange."""
        registers = self._qemu.registers()
        resets = self._qemu.guest_resets()
        last = self._qemu.channel.log.read(max(0, self._qemu.channel.log.offset - 200)).splitlines()
        said = f"; it last said {last[-1].decode('ascii', 'backslashreplace')!r}" if last else ""
        return (
            f"the device did not come to '{self.mode.at}' within {patience:g} s: after {self.exchanges} exchanges it is at "
            f"{self._where(registers.pc)}, called from {self._where(registers.lr)}, and has reset itself {resets} times{said}"
        )

    def audit(self) -> None:
        """Compare the device's time, as its exchanges tell it, with the emulator's own, since the last reset's first exchange.

        Raises:
            DeviceFaultError: They differ: the exchanges do not come as often as `every` says.
        """
        if self._base is None or not self._at_exchange or self._qemu.guest_resets():
            return
        exchanges, drift, began = self._base
        told = (self.exchanges - exchanges) * self.mode.every
        # The emulator tells its clock as the difference to the time it ran on ours, of which we know the most it can be.
        least = drift - self._drift()
        most = least + (time.monotonic() - began) * 1000
        slack = _EXCHANGES * self.mode.every
        if not least * (1 - _TOLERANCE) - slack <= told <= most * (1 + _TOLERANCE) + slack:
            raise DeviceFaultError(
                f"{self.exchanges - exchanges} exchanges at '{self.mode.at}' took {least / 1000:.1f} to {most / 1000:.1f} s of the "
                f"device's time, not {told / 1000:.1f} s: one every {self.mode.every:g} ms was said"
            )

    def _run(self, patience: float, condition: Callable[[], bool] | None = None) -> float | None:
        """Run to the next exchange; None, and the device stopped where it is, if none came within `patience` seconds.

        Returns:
            What is left of the patience, of which an exchange that comes at once takes nothing.
        """
        qemu = self._qemu
        self._hand_over()
        self._at_exchange = False
        qemu.proceed()
        if select.select((qemu.halt,), (), (), min(_QUICK, patience))[0] and qemu.reached():
            self._arrive()
            return patience
        watched: list[socket.socket | Channel] = [qemu.halt, *qemu.channels.values()]
        end = qemu.clock() + patience
        while (now := qemu.clock()) < end:
            readable = select.select(watched, (), (), end - now)[0]
            if qemu.halt in readable and qemu.reached():
                self._arrive()
                return end - now
            if readable:
                self._receive()
            if condition is not None and condition():
                end, condition = min(end, now + _SETTLE), None
        before = self.exchanges
        qemu.stop()
        self._at_exchange = self.exchanges > before
        self._stalled = not self._at_exchange
        self._receive()
        return 0.0 if self._at_exchange else None

    def _hand_over(self) -> None:
        """Let QEMU take what was sent, as much as it takes ahead of the device: then it does not come late by chance."""
        end = time.monotonic() + _HAND_OVER
        while self._qemu.untaken and time.monotonic() < end:
            os.sched_yield()  # to QEMU, which shares the core

    def _arrive(self) -> None:
        self._at_exchange = True
        self._stalled = False
        if self._base is None:
            self._base = (self.exchanges + 1, self._drift(), time.monotonic())
        self._exchange()

    def _exchange(self) -> None:
        """What happens at each exchange, also where the device comes to one on its way to a stop."""
        self.exchanges += 1
        self._receive()
        if self.on_exchange is not None:
            self._inside = True
            try:
                self.on_exchange()
            finally:
                self._inside = False

    def _receive(self) -> None:
        for channel in self._qemu.channels.values():
            channel.receive()

    def _drift(self) -> int:
        """The time that the emulator ran on our clock less the device's, in milliseconds."""
        said = self._qemu.accelerator_report()
        found = re.search(r"Host - Guest clock\s+(-?\d+) ms", said)
        if found is None:
            raise BenchError(
                "QEMU does not tell the device's time", remedy="use QEMU 7.2 or another that reports it in x-query-jit"
            )
        return int(found[1])

    def _refuse_inside(self) -> None:
        if self._inside:
            raise UsageError(
                "the device stands while on_exchange is called: nothing can be waited for in it",
                remedy="take what has arrived with a time-out of 0",
            )
