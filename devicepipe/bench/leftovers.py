"""Processes that a session left: found by a mark in their environment, which a child keeps however it parts from its parent.

What always holds: when `end_leftovers` returns, no process with the mark runs; none without it was touched.
A process that is started with an environment of its own choosing loses the mark, and is not found.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from devicepipe.errors import BenchError

MARK = "DEVICEPIPE_SESSION"
"""The environment variable that holds the mark."""

_LIMIT = 5.0


def end_leftovers(mark: str, group: int) -> list[str]:
    """Kill all processes with a mark.

    Args:
        mark: The value of `MARK` in their environment.
        group: The process group that is ended already: its members are dying, and are no leftovers.

    Returns:
        The command lines of the others.

    Raises:
        BenchError: Some still run after 5 s.
    """
    left: dict[int, str] = {}
    deadline = time.monotonic() + _LIMIT
    while found := _marked(f"{MARK}={mark}".encode()):
        for process in found:
            try:
                handle = os.pidfd_open(process)
            except ProcessLookupError:
                continue
            try:
                # Looked at once more, now that its number cannot become another's.
                if process in _marked(f"{MARK}={mark}".encode(), process):
                    if os.getpgid(process) != group:
                        left[process] = _command(process)
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            except ProcessLookupError:
                pass
            finally:
                os.close(handle)
        if time.monotonic() > deadline:
            raise BenchError(f"processes of the session do not end: {', '.join(map(str, found))}", remedy="end them")
        time.sleep(0.002)
    return list(left.values())


def _marked(entry: bytes, *processes: int) -> list[int]:
    """Those of the processes (none named: all) that live and have an entry in their environment."""
    found = []
    for process in processes or (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            # It is empty for a process that has ended and was not waited for yet.
            if entry in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
                found.append(process)
        except OSError:
            continue
    return found


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return f"process {process}"
