"""Poses a fault to devicepipe: a whole session, bounded in time, and afterwards a look at what it left."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devicepipe.bench.session import run_session
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import DevicepipeError
from devicepipe.evidence.results import TestRun
from tests.bench.lab import lab_device
from tests.bench.samples import Firmware, board, spec_for
from tests.bench_faults.fault import Fault

BOUND = 60.0
"""The longest that a session may take, in seconds; a session that takes longer hangs."""

_MARK = "DEVICEPIPE_FAULT"


@dataclass(frozen=True)
class Outcome:
    """What became of a fault.

    Attributes:
        verdict: Of `test_fault`; `refused` where the session raised, `hang` where it did not end.
        reason: What was said of it.
        seconds: How long it took.
        processes: The processes that were left.
        files: The files that were left outside of the output folder.
    """

    verdict: str
    reason: str
    seconds: float
    processes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def wrong(self, fault: Fault) -> list[str]:
        """What of it is not as it must be; empty where all is well."""
        complaints = []
        if self.verdict != fault.verdict:
            complaints.append(f"verdict {self.verdict}, not {fault.verdict}")
        complaints += [f"the reason does not say {word!r}" for word in fault.says if word not in self.reason]
        complaints += [f"left running: {process}" for process in self.processes]
        complaints += [f"left behind: {file}" for file in self.files]
        return complaints


def pose(fault: Fault, firmware: Firmware, folder: Path) -> Outcome:
    """Run a fault as a session of devicepipe in an empty folder."""
    changes = dict(fault.changes)
    if emulator := changes.pop("emulator", None):
        changes["board"] = board(firmware.board.name, emulator=emulator)
    with ExitStack() as stack:
        if fault.lab:
            device = stack.enter_context(lab_device(firmware.board)).entry(**{"serial-number": "emulated"})
            changes |= {"device": device, "leases": folder / "out" / "leases"}
        spec = spec_for(
            folder, firmware, fault.modules, mood=fault.mood, script=fault.script, says=fault.identity, **changes
        )
        return _pose(spec, folder)


def _pose(spec: SessionSpec, folder: Path) -> Outcome:
    before = files_in(folder)
    with marked(folder):
        began = time.monotonic()
        ended = _bounded(spec, folder)
        seconds = time.monotonic() - began
        processes = tuple(command for _, command in processes_marked(folder))
    end_marked(folder)
    return Outcome(*_said(ended, "::test_fault"), seconds, processes, _left(folder, before, spec))


def pose_together(faults: Sequence[Fault], firmware: Firmware, folder: Path) -> dict[str, Outcome]:
    """Run faults that leave a session in order as one session, each in a folder of its own: name → outcome."""
    modules = {f"{fault.name}/{name}": source for fault in faults for name, source in fault.modules.items()}
    spec = spec_for(folder, firmware, modules)
    before = files_in(folder)
    with marked(folder):
        began = time.monotonic()
        ended = _bounded(spec, folder)
        seconds = time.monotonic() - began
        processes = tuple(command for _, command in processes_marked(folder))
    end_marked(folder)
    left = _left(folder, before, spec)
    return {
        fault.name: Outcome(*_said(ended, f"/{fault.name}/test_fault.py::test_fault"), seconds, processes, left)
        for fault in faults
    }


def _left(folder: Path, before: set[str], spec: SessionSpec) -> tuple[str, ...]:
    """The files that came into being outside of the session's output."""
    out = spec.output.relative_to(folder).as_posix() + "/"
    return tuple(sorted(name for name in files_in(folder) - before if not name.startswith(out)))


def _bounded(spec: SessionSpec, folder: Path) -> TestRun | BaseException | None:
    """What a session returned or raised; None where it did not end in time."""
    ended: list[TestRun | BaseException] = []

    def session() -> None:
        try:
            ended.append(run_session(spec))
        except BaseException as error:  # noqa: BLE001 - judged below
            ended.append(error)

    thread = threading.Thread(target=session, daemon=True)
    thread.start()
    thread.join(BOUND)
    if not ended:
        end_marked(folder)
        thread.join(BOUND)
        return None
    return ended[0]


def _said(ended: TestRun | BaseException | None, name: str) -> tuple[str, str]:
    """The verdict of the case whose name ends so, and its reason."""
    match ended:
        case None:
            return "hang", f"the session did not end within {BOUND:g} s"
        case TestRun() as run:
            case = next(case for case in run.cases if case.id.endswith(name))
            return str(case.verdict), case.reason
        case DevicepipeError() as error:
            return "refused", str(error)
        case error:
            return "traceback", f"{type(error).__name__}: {error}"


@contextmanager
def marked(folder: Path) -> Iterator[None]:
    """Processes that are started meanwhile carry a mark in their environment, and have their own folder for temporary files."""
    temporary = folder / "temporary"
    temporary.mkdir()
    changes = {_MARK: str(folder), "TMPDIR": str(temporary)}
    earlier = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def processes_marked(folder: Path) -> list[tuple[int, str]]:
    """The living processes, but this one, that carry the folder's mark: process id and command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{_MARK}={folder}".encode() in environment:
            found.append((int(entry.name), command.strip()))
    return found


def end_marked(folder: Path) -> None:
    """Kill the processes that carry the folder's mark."""
    for process, _ in processes_marked(folder):
        os.kill(process, signal.SIGKILL)


def files_in(folder: Path) -> set[str]:
    """The files in a folder, but for Python's own cache of what it compiled."""
    return {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if not file.is_dir() and "__pycache__" not in file.parts
    }
