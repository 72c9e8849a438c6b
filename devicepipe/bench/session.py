"""One board's test session: pytest in a process group of its own, bounded in time, read back into evidence.

What always holds: when `run_session` returns or raises, no process of the session is left; what pytest prints, its exit status
and its summary are never evidence by themselves: only the record is, and only where it is whole.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import devicepipe
from devicepipe.bench.factory import flash_contents, load_factory
from devicepipe.bench.qemu import emulator_program, emulator_tool
from devicepipe.bench.record import CaseEnd, parse_entries
from devicepipe.bench.results import Ending, SessionResult
from devicepipe.bench.spec import SessionFile, SessionSpec
from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.predicates import Device, TestCase, TestRun, Tool, Verdict

Progress = Callable[[TestCase], None]

_TICK = 0.1
_GRACE = 3.0
_TAIL_LINES = 25


class SessionCancelledError(BenchError):
    """The session was stopped because its caller asked for it."""


@dataclass(frozen=True)
class _Files:
    """What a session leaves in its output folder."""

    folder: Path
    serial_log: Path

    @property
    def session(self) -> Path:
        return self.folder / "session.json"

    @property
    def record(self) -> Path:
        return self.folder / "record.jsonl"

    @property
    def timed_log(self) -> Path:
        return self.serial_log.with_name(f"{self.serial_log.name}.timed")

    @property
    def emulator_log(self) -> Path:
        return self.folder / "emulator.log"

    @property
    def pytest_log(self) -> Path:
        return self.folder / "pytest.log"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"


def run_session(
    spec: SessionSpec, *, progress: Progress | None = None, cancel: threading.Event | None = None
) -> TestRun:
    """Run a board's device tests and give a verdict for every case.

    The session ends with the thread that calls this, whatever ends it. In the output folder it leaves `record.jsonl`, the raw
    serial log and its timed twin, `emulator.log` and `pytest.log`.

    Args:
        spec: What to do. Its output folder must not hold a session already.
        progress: Called in this thread as each case ends, with its own verdict; the final one can be worse, never better.
        cancel: When set, the session is stopped within about 3 s and nothing of it is left running.

    Raises:
        UsageError: A path of the spec is missing or wrong, the board has no emulator, or no case was collected.
        IntegrityError: The factory image does not hold the signed image in slot 0: not what ships would be tested.
        BenchError: The emulator is not installed, or tests cannot be collected; with the end of pytest's output.
        SessionCancelledError: `cancel` was set.
    """
    _check(spec)
    tools = _tools(spec)
    files = _Files(spec.output, spec.output / Path(spec.serial_log).name)
    spec.output.mkdir(parents=True, exist_ok=True)
    if files.record.exists() or files.serial_log.exists():
        raise UsageError(
            f"'{spec.output}' already holds a session", remedy="give every session an output folder of its own"
        )
    started_on = utc_now("microseconds")
    try:
        ending = _run_pytest(spec, files, progress, cancel)
    finally:
        shutil.rmtree(files.temporary, ignore_errors=True)
    if cancel is not None and cancel.is_set() and ending.stopped:
        raise SessionCancelledError(f"the test session of board '{spec.board.name}' was cancelled")
    result = SessionResult(parse_entries(files.record.read_bytes()) if files.record.exists() else ())
    _demand_cases(spec, files, result, ending)
    log = files.serial_log.read_bytes()
    cases = result.test_cases(ending, whole=not spec.pytest_arguments, log_size=len(log))
    return TestRun(
        board=spec.board.name,
        device=Device(
            id=f"qemu-{spec.board.name}",
            board=spec.board.name,
            serial=result.identity_before.serial if result.identity_before else "",
            driver="qemu",
            emulated=True,
            emulator=tools[0],
        ),
        image_digest=spec.expected.digest,
        payload_digest=spec.payload_digest,
        identity_before=result.identity_before,
        identity_after=result.identity_after,
        identity_errors=result.identity_errors(result.disorder(ending)),
        tools=tools,
        tester=spec.tester,
        started_on=started_on,
        finished_on=utc_now("microseconds"),
        serial_log=spec.serial_log,
        serial_log_sha256=hashlib.sha256(log).hexdigest(),
        cases=cases,
    )


def _check(spec: SessionSpec) -> None:
    """Refuse before anything starts what could only end in errors, or in verdicts about something that does not ship."""
    if not spec.tests.is_dir():
        raise UsageError("is not a folder of tests", file=spec.tests, remedy="set [tests] path in devicepipe.toml")
    if not spec.public_key.is_file():
        raise UsageError("is no public key file", file=spec.public_key, remedy="make the keys first")
    try:
        image = spec.signed_image.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}", file=spec.signed_image, remedy="build and sign first"
        ) from error
    flash = flash_contents(spec.board, load_factory(spec.factory), file=spec.factory)
    start = spec.board.slot0.offset
    if not image or flash[start : start + len(image)] != image:
        raise IntegrityError(
            f"'{spec.factory.name}' does not hold '{spec.signed_image.name}' in slot 0",
            link=spec.factory.name,
            remedy="make the factory image from the signed image again",
        )
    emulator_program(spec.board)


def _tools(spec: SessionSpec) -> list[Tool]:
    names = ("pytest", "pytest-embedded", "pytest-embedded-serial", "pexpect", "pyserial")
    return [
        emulator_tool(spec.board),
        Tool(name="devicepipe", version=importlib.metadata.version("devicepipe")),
        Tool(name="python", version=platform.python_version()),
        *(Tool(name=name, version=importlib.metadata.version(name)) for name in names),
    ]


def _command(spec: SessionSpec, files: _Files) -> list[str]:
    """The pytest command: no configuration file and no plugin but the named ones has a say in what counts as a test."""
    command = [
        sys.executable,
        "-P",  # the product's folder must not come before the installed packages
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(spec.root),
        "--confcutdir",
        str(spec.tests),
    ]
    command += ["-p", "pytest_embedded", "-p", "devicepipe.bench.plugin", "--device-session", str(files.session)]
    # A test that returns a comparison or asserts a tuple has asserted nothing.
    command += ["-W", "error::pytest.PytestWarning", "-W", "error::SyntaxWarning"]
    command += ["--import-mode=importlib", "--strict-markers", "-o", "xfail_strict=true"]
    command += ["--color=no", "--tb=short", "-ra", "--basetemp", str(files.temporary)]
    command += ["-p", "no:cacheprovider"] if spec.cache is None else ["-o", f"cache_dir={spec.cache}"]
    return [*command, *spec.pytest_arguments, str(spec.tests)]


def _environment() -> dict[str, str]:
    unwanted = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_CURRENT_TEST", "PYTHONOPTIMIZE")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    # pytest must find this very devicepipe, wherever it was imported from.
    path = [str(Path(devicepipe.__file__).parent.parent), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(path)}


def _run_pytest(spec: SessionSpec, files: _Files, progress: Progress | None, cancel: threading.Event | None) -> Ending:
    reader, writer = os.pipe()
    session = SessionFile(
        spec=spec,
        record=files.record,
        serial_log=files.serial_log,
        timed_log=files.timed_log,
        emulator_log=files.emulator_log,
        progress=writer,
        owner=os.getpid(),
    )
    files.session.write_text(session.model_dump_json(indent=2) + "\n", encoding="utf-8")
    try:
        with files.pytest_log.open("xb") as output:
            process = subprocess.Popen(
                _command(spec, files),
                cwd=spec.root,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(writer,),
                start_new_session=True,
            )
        os.close(writer)
        writer = -1
        try:
            stopped = _watch(process, reader, time.monotonic() + spec.timeout, spec, progress, cancel)
        finally:
            # The dead leader is not reaped yet, so that its group's number cannot have become another's.
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    return Ending(status, stopped, last_words=" | ".join(_lines(files.pytest_log)[-3:]))


def _watch(
    process: subprocess.Popen[bytes],
    reader: int,
    deadline: float,
    spec: SessionSpec,
    progress: Progress | None,
    cancel: threading.Event | None,
) -> str:
    """Follow the session until its process has ended or has to be killed; returns why it was stopped, or ""."""
    stopped, give_up = "", 0.0
    follower = _Follower(progress)
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if selector.get_map():
                if selector.select(_TICK) and not follower.feed(os.read(reader, 65536)):
                    selector.unregister(reader)
            else:
                time.sleep(0.005)
            cancelled = cancel is not None and cancel.is_set()
            if not stopped and (cancelled or time.monotonic() > deadline):
                stopped = "the session was cancelled" if cancelled else f"the session exceeded {spec.timeout:g} s"
                give_up = time.monotonic() + _GRACE
                # An interrupt lets pytest say in its log where it was.
                process.send_signal(signal.SIGINT)
            if stopped and time.monotonic() > give_up:
                return stopped
        while selector.get_map() and selector.select(0) and follower.feed(os.read(reader, 65536)):
            pass
    return stopped


class _Follower:
    """Reports cases as they end, from the copies of the entries that arrive while the session runs."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._buffer = b""
        self._result = SessionResult()

    def feed(self, data: bytes) -> bool:
        """Take what arrived; False at the end of it."""
        lines, _, self._buffer = (self._buffer + data).rpartition(b"\n")
        for entry in parse_entries(lines + b"\n") if lines else []:
            self._result.add(entry)
            if isinstance(entry, CaseEnd) and self._progress is not None:
                case = self._result.cases[entry.id]
                verdict, reason = case.verdict() or (Verdict.ERROR, "the test did not end in order")
                self._progress(case.test_case(verdict, reason, entry.log_offset))
        return bool(data)


def _demand_cases(spec: SessionSpec, files: _Files, result: SessionResult, ending: Ending) -> None:
    """Raise where there is nothing to give a verdict about: a session without a case must not look like one without a failure."""
    remedy = f"see {files.pytest_log}"
    if result.collection_errors:
        broken = ", ".join(error.id for error in result.collection_errors)
        raise BenchError(
            f"tests cannot be collected ({broken}); pytest says:\n{_tail(files.pytest_log)}", remedy=remedy
        )
    refused = result.end is not None and result.end.exit_status == pytest.ExitCode.USAGE_ERROR
    whole = not spec.pytest_arguments
    if not refused and (result.cases or (whole and result.left_out)):
        return
    if ending.stopped or ending.status not in {0, 5}:
        how = ending.stopped or f"pytest ended with exit status {ending.status} before it ran a test"
        raise BenchError(f"{how}; it says:\n{_tail(files.pytest_log)}", remedy=remedy)
    chosen = f" with {' '.join(spec.pytest_arguments)}" if spec.pytest_arguments else ""
    where = f"for board '{spec.board.name}' was collected in '{spec.tests.name}'{chosen}"
    raise UsageError(
        f"no test {where}; pytest says:\n{_tail(files.pytest_log)}",
        remedy="name a test that exists, or write one",
    )


def _tail(log: Path) -> str:
    return "\n".join(f"  {line}" for line in _lines(log)[-_TAIL_LINES:])


def _lines(log: Path) -> list[str]:
    """The lines of a log that say something."""
    return [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
