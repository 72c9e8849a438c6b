"""kill -9 of a process at one of the points where it touches files: forked, counted, killed, and looked at afterwards."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

CHANGES = frozenset(
    {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "os.chmod"}
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def how_many(usual: int) -> int:
    """How many random points are tried: what is usual in `make test`, or what `make kills` asks for."""
    return int(os.environ.get("DEVICEPIPE_KILL_POINTS", usual))


def points_of(action: Callable[[], object]) -> int:
    """How many points a process has that does it: each change of the file system, each file opened to write, each fsync."""
    reading, writing = os.pipe()
    assert _in_child(action, writing, stop_at=None) == 0
    with os.fdopen(reading) as told:
        return int(told.read().split()[-1])


def killed_at(action: Callable[[], object], point: int) -> bool:
    """Do it in a process that is killed at a point; whether it had acknowledged, that is returned, before."""
    reading, writing = os.pipe()
    status = _in_child(action, writing, stop_at=point)
    with os.fdopen(reading) as told:
        done = bool(told.read())
    assert status in (0, -signal.SIGKILL), f"the process did not end by the kill: {status}"
    assert done == (status == 0)
    return done


def _in_child(action: Callable[[], object], writing: int, stop_at: int | None) -> int:
    """Fork, act, and tell; the exit code, negative for a signal."""
    child = os.fork()
    if child:
        os.close(writing)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        count = _count(stop_at)
        action()
        os.write(writing, f"done {count()}".encode())
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a forked child must never come back
        traceback.print_exc()
        os._exit(1)


def _count(stop_at: int | None) -> Callable[[], int]:
    passed = 0

    def point() -> None:
        nonlocal passed
        if passed == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES):
            point()

    fsync = os.fsync

    def counted(file: Any) -> None:
        point()
        fsync(file)
        point()

    os.fsync = counted  # type: ignore[assignment]
    sys.addaudithook(hook)
    return lambda: passed
