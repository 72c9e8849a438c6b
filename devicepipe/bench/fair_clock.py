"""Time as an emulated device can have used it: ours, less what the machine kept its emulator from running.

On a busy machine an emulator, or the test that it works with, can wait for a processor for longer than any answer takes. A device
that was silent for that long has done nothing wrong, so that waits for it are bounded by this clock instead of ours.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from devicepipe.bench.channel import Wait

# How much of a time without a processor is believed. So a wait takes ten times as long as it says, at most.
_BELIEVED = 0.9
# A wait that ends sooner, in seconds, never asks the kernel.
_QUICK = 0.05


class FairClock:
    """Seconds since it was made, less those in which the threads that it watches were ready to run and had no processor.

    The kernel counts those for each thread (proc(5), /proc/<pid>/task/<tid>/schedstat, the second figure, in nanoseconds). They are
    added up, since threads that work hand in hand wait one after the other; where they wait at once, the clock is slow for it.
    Where the kernel does not count, it is our clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._files: list[int] = []
        self._now = now
        self._seconds, self._read_at, self._waited = 0.0, now(), 0.0

    def watch(self, *folders: Path) -> None:
        """Watch threads, e.g. Path("/proc/4711/task/4711"), from now on."""
        with suppress(OSError):
            self._files += [os.open(folder / "schedstat", os.O_RDONLY | os.O_CLOEXEC) for folder in folders]
        self._waited = self._all_waited()

    def watch_emulator(self, pid: int) -> None:
        """Watch all threads that a process has now, and the one that calls."""
        ours = Path(f"/proc/self/task/{threading.get_native_id()}")
        self.watch(ours, *Path(f"/proc/{pid}/task").iterdir())

    def __call__(self) -> float:
        """The time, in seconds."""
        now, waited = self._now(), self._all_waited()
        passed = now - self._read_at
        self._seconds += passed - min(max(0.0, waited - self._waited), _BELIEVED * passed)
        self._read_at, self._waited = now, waited
        return self._seconds

    def wait(self, once: Wait, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until a condition holds, at most for `timeout` seconds of this clock.

        Args:
            once: Waits for a condition for some seconds of ours.
            condition: The condition.
            timeout: In seconds.
        """
        once(condition, min(timeout, _QUICK))
        left = timeout - _QUICK
        if left <= 0 or condition():
            return
        end = self() + left
        while left > 0:
            once(condition, left)
            if condition():
                return
            left = end - self()

    def close(self) -> None:
        """Watch no thread any more."""
        while self._files:
            os.close(self._files.pop())

    def _all_waited(self) -> float:
        return sum(map(_waited, self._files))


def _waited(file: int) -> float:
    """How long a thread has waited for a processor, in seconds; 0 for one that has ended."""
    try:
        return int(os.pread(file, 100, 0).split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
