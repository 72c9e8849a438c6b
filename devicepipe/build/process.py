"""One child process in its own process group: bounded, cancellable, its output in a file.

What always holds: when `run_logged` returns or raises, every process of the group that it started has ended or was killed; and they
are killed where this process dies of SIGKILL, so that nothing writes into a folder that the next run makes anew.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from devicepipe.errors import BenchError

_TICK_MS = 100


def run_logged(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    timeout: float,
    cancel: threading.Event,
    umask: int = -1,
) -> int:
    """Run a command, its standard output and error together in `log`, and return its exit code.

    Args:
        command: Program and arguments.
        cwd: Working folder.
        environment: The whole environment of the child.
        log: File that is written anew.
        timeout: The longest it may run, in seconds.
        cancel: When set, the whole process group is killed.
        umask: The child's file mode creation mask; -1: this process's.

    Raises:
        BenchError: Cancelled, or not done in time.
    """
    deadline = time.monotonic() + timeout
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=umask,
        )
    try:
        with _guarded(process.pid):
            ended = _ended(process.pid, deadline, cancel)
    finally:
        # Before the leader is reaped, so that its number cannot belong to another group yet; and also after its own
        # end, because a grandchild must not outlive it and write into a folder that is being collected.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not ended:
        why = "was cancelled" if cancel.is_set() else f"was not done within {timeout:.0f} s"
        raise BenchError(f"{Path(command[0]).name} {why}", remedy=f"its output is in {log}; run it again")
    return process.returncode


@contextmanager
def _guarded(group: int) -> Iterator[None]:
    """Have a process group killed when this process ends, however it does: a shell waits for the end of a pipe of ours."""
    reader, writer = os.pipe()
    try:
        guard = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; kill -KILL "-$1"', "guard", str(group)],
            stdin=reader,
            start_new_session=True,
        )
    finally:
        os.close(reader)
    try:
        yield
    finally:
        guard.kill()
        guard.wait()
        os.close(writer)


def _ended(pid: int, deadline: float, cancel: threading.Event) -> bool:
    """Wait until the process ends (true), the deadline or cancellation (false)."""
    handle = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while time.monotonic() < deadline and not cancel.is_set():
            if poll.poll(_TICK_MS):
                return True
        return False
    finally:
        os.close(handle)
