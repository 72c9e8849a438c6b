"""Child processes: bounded, cancellable, none left behind."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from pathlib import Path

import pytest

from devicepipe.build.process import run_logged
from devicepipe.errors import BenchError

# Starts a grandchild that would run for an hour, tells its number, and waits for it.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
open("child", "w").write(str(child.pid))
print("started", flush=True)
{then}
"""


def run(folder: Path, then: str, *, timeout: float = 60, cancel: threading.Event | None = None) -> int:
    return run_logged(
        [sys.executable, "-c", PARENT.format(then=then)],
        cwd=folder,
        environment=dict(os.environ),
        log=folder / "log",
        timeout=timeout,
        cancel=cancel or threading.Event(),
    )


def has_ended(folder: Path) -> bool:
    """Whether the grandchild ends: it is woken by the kernel, so a killed process may take a moment to be gone."""
    try:
        handle = os.pidfd_open(int((folder / "child").read_text("ascii")))
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(5000))
    finally:
        os.close(handle)


def test_exit_code_and_output_are_kept_and_the_grandchild_is_gone(tmp_path: Path) -> None:
    assert run(tmp_path, "sys.exit(7)") == 7
    assert (tmp_path / "log").read_text("ascii") == "started\n"
    assert has_ended(tmp_path)


def test_overlong_run_is_a_bench_error_and_the_grandchild_is_gone(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="not done within 5 s"):
        run(tmp_path, "child.wait()", timeout=5)
    assert has_ended(tmp_path)


def test_cancelled_run_is_a_bench_error_and_the_grandchild_is_gone(tmp_path: Path) -> None:
    cancel = threading.Event()
    os.mkfifo(tmp_path / "ready")

    def cancel_when_started() -> None:
        (tmp_path / "ready").read_text("ascii")
        cancel.set()

    watcher = threading.Thread(target=cancel_when_started)
    watcher.start()
    with pytest.raises(BenchError, match="was cancelled"):
        run(tmp_path, "open('ready', 'w').write('x'); child.wait()", cancel=cancel)
    watcher.join()
    assert has_ended(tmp_path)


def test_killed_run_leaves_no_grandchild(tmp_path: Path) -> None:
    """Whoever runs it dies of SIGKILL, and cannot tidy up."""
    os.mkfifo(tmp_path / "ready")
    owner = os.fork()
    if owner == 0:
        try:
            run(tmp_path, "open('ready', 'w').write('x'); child.wait()")
        finally:
            os._exit(1)
    (tmp_path / "ready").read_text("ascii")
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    assert has_ended(tmp_path)
