"""One processor core for an emulator in lock-step and the thread that drives it.

They take turns, tens of times an exchange, and never work at once: on two cores each turn costs a wake-up of the other one. As
SCHED_BATCH (sched(7)) none of QEMU's threads interrupts another just because it was woken.

What always holds: a core is claimed by one lock-step of this machine at a time, and given back with the process at the latest;
where none is free, or it cannot be had, things run as without this; afterwards the thread is scheduled as before.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading


class SharedCore:
    """Keeps the calling thread, and the processes that it starts, on one core until `close`."""

    def __init__(self) -> None:
        self._thread = threading.get_native_id()
        self._allowed, self._policy = os.sched_getaffinity(0), os.sched_getscheduler(0)
        self._claim, core = _claim(self._allowed)
        if self._claim is not None:
            self._schedule({core}, os.SCHED_BATCH)

    def close(self) -> None:
        """Schedule the thread as before; harmless when that was done."""
        if self._claim is not None:
            self._schedule(self._allowed, self._policy)
            self._claim.close()
            self._claim = None

    def _schedule(self, cores: set[int], policy: int) -> None:
        # The thread may have ended, and a sandbox may forbid it: then it costs time only.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(self._thread, cores)
            os.sched_setscheduler(self._thread, policy, os.sched_param(0))


def _claim(cores: set[int]) -> tuple[socket.socket | None, int]:
    """A core that no other lock-step has, and the socket that says so by its name: no file, gone with the process (unix(7))."""
    for core in sorted(cores) if len(cores) > 1 else ():
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0devicepipe-core-{core}")
        except OSError:
            claim.close()
        else:
            return claim, core
    return None, -1
