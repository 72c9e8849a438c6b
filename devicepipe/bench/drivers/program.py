"""One run of a driver's program: bounded, in a process group of its own, its output in the device's log.

What always holds: when `run` returns or raises, every process of the group that it started has ended or was killed; should this
process be killed itself, the kernel ends the program.
"""

from __future__ import annotations

import os
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from devicepipe.bench.drivers.driver import Place
from devicepipe.bench.tied_process import die_with_parent
from devicepipe.errors import BenchError

_GRACE = 1.0  # s that a program has to leave its probe as it should, once it is told to end
_OUTPUT_LIMIT = 256 << 20  # bytes that a program may print (or write to any file): more fills the disk
_KEPT = 65536
_LINES = 8


def find(program: str, place: Place, remedy: str) -> Path:
    """Where a program is: a path, of the project where it is relative, or a name, looked up in PATH and beside this Python.

    Raises:
        BenchError: It is not installed.
    """
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    found = shutil.which(str(place.root / program) if "/" in program else program, path=beside)
    if found is None:
        raise BenchError(f"device '{place.device}': the program '{program}' is not installed", remedy=remedy)
    return Path(found).absolute()


def run(
    command: Sequence[str], place: Place, timeout: float, remedy: str, *, install: str = "", exit_code: int = 0
) -> str:
    """Run a program in the project's folder, and return what it printed, at most the last 64 KiB.

    Args:
        command: Program and arguments.
        place: Whose log gets the command line, and the output while the program runs.
        timeout: The longest it may run, in seconds.
        remedy: What to do where it fails.
        install: What to do where it is not installed; "": the same.
        exit_code: What it must end with.

    Raises:
        BenchError: It is not installed, was not done in time, or ended otherwise; with the last lines of its output.
    """
    program = find(command[0], place, install or remedy)
    place.log.parent.mkdir(parents=True, exist_ok=True)
    with place.log.open("a+b", buffering=0) as log:
        log.write(f"$ {shlex.join(command)}\n".encode())
        start = log.seek(0, os.SEEK_END)
        began = time.monotonic()
        try:
            code = _run([str(program), *command[1:]], place.root, log.fileno(), start + _OUTPUT_LIMIT, timeout)
        except OSError as error:
            raise BenchError(f"device '{place.device}': {program} cannot be started: {error}", remedy=remedy) from error
        log.seek(max(start, log.seek(0, os.SEEK_END) - _KEPT))
        output = log.read().decode(errors="backslashreplace")
        how = _how(code, timeout)
        log.write(f"\n[{program.name} {how} after {time.monotonic() - began:.1f} s]\n".encode())
    if code != exit_code:
        raise failure(place, f"{program.name} {how}", output, remedy)
    return output


def failure(place: Place, what: str, output: str, remedy: str) -> BenchError:
    """An error with the last lines of what a program printed; all of it is in the log."""
    last = [line.rstrip() for line in output.splitlines() if line.strip()][-_LINES:]
    shown = "\n    ".join(last) if last else "it printed nothing"
    return BenchError(f"device '{place.device}': {what}:\n    {shown}", remedy=f"{remedy}; all output: {place.log}")


def _run(command: list[str], folder: Path, output: int, limit: int, timeout: float) -> int | None:
    """The exit code, negative for a signal; None where it was not done in time.

    An interrupt is raised in the main thread, wherever it is: a thread of its own starts the program and ends it, come what may.
    """
    stop = os.eventfd(0)
    ended: Future[int | None] = Future()

    def supervise() -> None:
        try:
            ended.set_result(_supervise(command, folder, output, limit, timeout, stop))
        except OSError as error:
            ended.set_exception(error)

    thread = threading.Thread(target=supervise, name=f"devicepipe-{command[0]}")
    try:
        thread.start()
        return ended.result()
    finally:
        os.eventfd_write(stop, 1)
        thread.join()
        os.close(stop)


def _supervise(command: list[str], folder: Path, output: int, limit: int, timeout: float, stop: int) -> int | None:
    owner = os.getpid()

    def tie_to_owner() -> None:
        die_with_parent()
        allowed = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        bound = limit if allowed == resource.RLIM_INFINITY else min(limit, allowed)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bound, bound))
        if os.getppid() != owner:
            os._exit(1)

    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        # Only async-signal-safe calls happen in it, and only the kernel can end a child whatever happens to us.
        preexec_fn=tie_to_owner,  # noqa: PLW1509
    )
    handle = os.pidfd_open(process.pid)
    ended = handle in select.select((handle, stop), (), (), timeout)[0]
    if not ended:
        os.killpg(process.pid, signal.SIGTERM)
        select.select((handle,), (), (), _GRACE)
    # Before the leader is reaped, so that its number cannot belong to another group yet; and also after its own end, because a
    # grandchild must not go on using the probe.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    os.close(handle)
    return process.returncode if ended else None


def _how(code: int | None, timeout: float) -> str:
    """How a program ended."""
    if code is None:
        return f"was not done within {timeout:g} s"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
