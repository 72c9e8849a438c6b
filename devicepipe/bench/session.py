"""One board's test session: pytest in a process group of its own, bounded in time, read back into evidence.

What always holds: when `run_session` returns or raises, no process of the session is left; what pytest prints, its exit status
and its summary are never evidence by themselves: only the record is, and only where it is whole.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

import devicepipe
from devicepipe.bench.composed import make_parts
from devicepipe.bench.coverage_record import NAME as COVERAGE
from devicepipe.bench.emulator import emulator_program, emulator_tool
from devicepipe.bench.factory import flash_contents, load_factory
from devicepipe.bench.holding import Held, holding
from devicepipe.bench.lease import LeaseStore
from devicepipe.bench.leftovers import MARK, end_leftovers
from devicepipe.bench.record import CaseEnd, RecordLost, parse_entries
from devicepipe.bench.results import Ending, SessionResult
from devicepipe.bench.spec import SessionFile, SessionSpec
from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.facts import sha256_of, utc_now
from devicepipe.evidence.predicates import Tool
from devicepipe.evidence.results import Device, DriverUse, TestCase, TestRun, UartLog, Verdict
from devicepipe.project.inventory import EMULATED
from devicepipe.project.sections import Retries
from devicepipe.secret_variables import inherited

Progress = Callable[[TestCase], None]

_TICK = 0.1
_GRACE = 3.0
# The least time in seconds that pytest has for its start and the collection of tests.
_COLLECTION = 60.0
_TAIL_LINES = 25


class SessionCancelledError(BenchError):
    """The session was stopped because its caller asked for it."""


@dataclass(frozen=True)
class _Files:
    """What a session leaves in its output folder."""

    folder: Path
    logs: dict[int, Path]

    @property
    def session(self) -> Path:
        return self.folder / "session.json"

    @property
    def record(self) -> Path:
        return self.folder / "record.jsonl"

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
    serial logs and their timed twins, `emulator.log`, `pytest.log`, and `coverage.jsonl` where that is asked for.

    Args:
        spec: What to do. Its output folder must not hold a session already.
        progress: Called in this thread as each case ends, with its own verdict; the final one can be worse, never better.
        cancel: When set, the session is stopped within about 3 s and nothing of it is left running.

    Raises:
        UsageError: A path of the spec is missing or wrong, the board has no emulator, no case was collected, or pytest refuses
            its arguments or the tests, with what it says.
        IntegrityError: The factory image does not hold the signed image in slot 0: not what ships would be tested; or the record or
            a serial log is not what the session wrote.
        BenchError: The emulator is not installed, or tests cannot be collected; with the end of pytest's output.
        SessionCancelledError: `cancel` was set.
    """
    entry = spec.entry
    _check(spec)
    emulator = emulator_tool(spec.board) if entry.emulated else None
    logs = {uart: spec.output / Path(spec.log_name(uart)).name for uart in spec.board.uarts}
    files = _Files(spec.output, logs)
    spec.output.mkdir(parents=True, exist_ok=True)
    if files.record.exists() or any(log.exists() for log in logs.values()):
        raise UsageError(
            f"'{spec.output}' already holds a session", remedy="give every session an output folder of its own"
        )
    started_on = utc_now("microseconds")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, files.temporary, ignore_errors=True)
        held = stack.enter_context(_hold(spec))
        drivers = [] if entry.emulated or spec.out_of_service else _check_drivers(spec, files)
        ending, follower = _run_pytest(spec, files, held, progress, cancel)
    if cancel is not None and cancel.is_set() and ending.stopped:
        raise SessionCancelledError(f"the test session of board '{spec.board.name}' was cancelled")
    result = SessionResult(parse_entries(_demand_record(files.record, follower)), spec.retries)
    _demand_cases(spec, files, result, ending)
    _demand_logs(files, result)
    log = logs[spec.board.console.uart].read_bytes()
    cases = result.test_cases(ending, whole=not spec.pytest_arguments, log_size=len(log))
    return TestRun(
        board=spec.board.name,
        device=_device(spec, held, result).model_copy(update={"emulator": emulator, "drivers": drivers}),
        image_digest=spec.expected.digest,
        payload_digest=spec.payload_digest,
        identity_before=result.identity_before,
        identity_after=result.identity_after,
        identity_errors=result.identity_errors(result.disorder(ending)),
        tools=[*([emulator] if emulator else []), *_tools()],
        tester=spec.tester,
        started_on=started_on,
        finished_on=utc_now("microseconds"),
        serial_log=spec.serial_log,
        serial_log_sha256=hashlib.sha256(log).hexdigest(),
        uart_logs=[
            UartLog(
                uart=uart,
                links=[name for name, link in spec.board.links.items() if link.uart == uart],
                log=spec.log_name(uart),
                log_sha256=sha256_of(logs[uart]),
            )
            for uart in spec.board.uarts[1:]
        ],
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
    entry = spec.entry
    if entry.board != spec.board.name:
        raise UsageError(f"device '{entry.id}' is of board '{entry.board}', not '{spec.board.name}'")
    if entry.emulated:
        emulator_program(spec.board)
        return
    if spec.coverage:
        raise UsageError(
            f"device '{entry.id}' is real: coverage is counted in an emulator", remedy="use an emulated device"
        )
    if entry.flash is None:
        raise spec.inventory.error(
            f"missing key: the flash of device '{entry.id}' cannot be written, so that no test can begin with the factory image",
            entry.id,
            "flash",
            remedy="add [device.flash]; see docs/reference/bench.md",
        )
    make_parts(entry, spec.board, spec.inventory, spec.project or spec.root, spec.output / "emulator.log")


def _hold(spec: SessionSpec) -> AbstractContextManager[Held]:
    """The session's lease. A device that is out of service is not used, and needs none."""
    entry, purpose = spec.entry, f"tests of {spec.expected.version or spec.board.name} by {spec.tester}"
    if entry.emulated or spec.out_of_service:
        return nullcontext(Held(None, None, own=False))
    return holding(entry, purpose, LeaseStore(spec.leases))


def _check_drivers(spec: SessionSpec, files: _Files) -> list[DriverUse]:
    """Have each driver say what it works with, before anything of the device is touched."""
    entry, root = spec.entry, spec.project or spec.root
    parts = make_parts(entry, spec.board, spec.inventory, root, files.emulator_log)
    return [
        # Evidence names no folder of this machine.
        DriverUse(role=role, name=entry.drivers[role], says=re.sub(r"(?<![^\s,(])/\S*/", "", driver.check()))
        for role, driver in parts.drivers.items()
    ]


def _device(spec: SessionSpec, held: Held, result: SessionResult) -> Device:
    """What the evidence says of the device, but for what it was driven with."""
    entry = spec.entry
    return Device(
        id=entry.id,
        board=spec.board.name,
        serial=result.identity_before.serial if result.identity_before else "",
        driver=EMULATED if entry.emulated else "composed",
        emulated=entry.emulated,
        bench=entry.bench or "",
        stated_serial=entry.serial_number or "",
        tags=list(entry.tags),
        calibration_due=entry.calibration_due.isoformat() if entry.calibration_due else None,
        fixture_revision=entry.fixture_revision or "",
        out_of_service=spec.out_of_service,
        healthy_on=spec.healthy_on,
        lease_token=held.lease.token if held.lease else None,
        lease_holder=held.holder,
        reflash="" if entry.emulated else entry.reflash,
        flash_writes=None if entry.emulated else result.programmed,
    )


def _tools() -> list[Tool]:
    names = ("pytest", "pytest-embedded", "pytest-embedded-serial", "pexpect", "pyserial")
    return [
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


def _environment(mark: str) -> dict[str, str]:
    unwanted = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_CURRENT_TEST", "PYTHONOPTIMIZE")
    environment = {name: value for name, value in inherited().items() if name not in unwanted}
    # pytest must find this very devicepipe, wherever it was imported from.
    path = [str(Path(devicepipe.__file__).parent.parent), *filter(None, [environment.get("PYTHONPATH")])]
    return environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(path), MARK: mark}


def _run_pytest(
    spec: SessionSpec, files: _Files, held: Held, progress: Progress | None, cancel: threading.Event | None
) -> tuple[Ending, _Follower]:
    """How pytest ended, and what it said of its record while it ran."""
    reader, writer = os.pipe()
    mark, left, follower = uuid.uuid4().hex, list[str](), _Follower(progress, spec.retries)
    session = SessionFile(
        spec=spec,
        record=files.record,
        logs=files.logs,
        coverage=files.folder / COVERAGE if spec.coverage else None,
        emulator_log=files.emulator_log,
        progress=writer,
        owner=os.getpid(),
        lease=held.lease,
    )
    files.session.write_text(session.model_dump_json(indent=2) + "\n", encoding="utf-8")
    try:
        with files.pytest_log.open("xb") as output:
            process = subprocess.Popen(
                _command(spec, files),
                cwd=spec.root,
                env=_environment(mark),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(writer,),
                start_new_session=True,
            )
        os.close(writer)
        writer = -1
        try:
            stopped = _watch(process, reader, spec, follower, held, cancel)
        finally:
            # The dead leader is not reaped yet, so that its group's number cannot have become another's.
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            left = end_leftovers(mark, process.pid)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    last_words = " | ".join(_lines(files.pytest_log)[-3:])
    return Ending(status, stopped, last_words, tuple(left), follower.lost), follower


def _watch(
    process: subprocess.Popen[bytes],
    reader: int,
    spec: SessionSpec,
    follower: _Follower,
    held: Held,
    cancel: threading.Event | None,
) -> str:
    """Follow the session until its process has ended or has to be killed; returns why it was stopped, or ""."""
    stopped, give_up, collected = "", 0.0, False
    deadline = time.monotonic() + max(_COLLECTION, spec.timeout)
    any_change = os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while (change := os.waitid(os.P_PID, process.pid, any_change)) is None or change.si_code == os.CLD_STOPPED:
            if change is not None:
                # It would neither run on nor take an interrupt.
                return stopped or f"pytest was stopped by {signal.Signals(change.si_status).name}"
            if selector.get_map():
                if selector.select(_TICK) and not follower.feed(os.read(reader, 65536)):
                    selector.unregister(reader)
            else:
                time.sleep(0.005)
            if follower.collected and not collected:
                # What Python and the tests' own imports take is not the tests' time.
                collected, deadline = True, time.monotonic() + spec.timeout
            cancelled = cancel is not None and cancel.is_set()
            lost = "" if stopped else held.lost()
            if not stopped and (cancelled or lost or time.monotonic() > deadline):
                stopped = lost or (
                    "the session was cancelled" if cancelled else f"the session exceeded {spec.timeout:g} s"
                )
                give_up = time.monotonic() + _GRACE
                # An interrupt lets pytest say in its log where it was.
                process.send_signal(signal.SIGINT)
            if stopped and time.monotonic() > give_up:
                return stopped
        while selector.get_map() and selector.select(0) and follower.feed(os.read(reader, 65536)):
            pass
    return stopped


class _Follower:
    """Reports cases as they end, from the copies of the entries that arrive while the session runs.

    Attributes:
        told: The entries: what is in the record, too.
        ended: Whether they are all.
        lost: Why the record could not be written any more, or "".
    """

    def __init__(self, progress: Progress | None, retries: Retries) -> None:
        self.told = bytearray()
        self.ended = False
        self.lost = ""
        self._progress = progress
        self._buffer = b""
        self._result = SessionResult(retries=retries)

    @property
    def collected(self) -> bool:
        """Whether the tests are known."""
        return bool(self._result.cases)

    def feed(self, data: bytes) -> bool:
        """Take what arrived; False at the end of it."""
        lines, _, self._buffer = (self._buffer + data).rpartition(b"\n")
        for entry in parse_entries(lines + b"\n") if lines else []:
            if isinstance(entry, RecordLost):
                self.lost = entry.reason
                return bool(data)
            self._result.add(entry)
            if isinstance(entry, CaseEnd) and self._progress is not None:
                case = self._result.cases[entry.id]
                verdict, reason = case.verdict() or (Verdict.ERROR, "the test did not end in order")
                self._progress(case.test_case(verdict, reason, entry.log_offset))
        self.ended = self._result.end is not None
        self.told += lines + b"\n" if lines else b""
        return bool(data)


def _demand_record(path: Path, follower: _Follower) -> bytes:
    """The record, which must be what the session said of it while it ran, or begin with that where it died."""
    record = path.read_bytes() if path.exists() else b""
    if record == follower.told or (record.startswith(follower.told) and not follower.ended):
        return record
    how = "is not what the session wrote" if record else "is gone"
    raise IntegrityError(
        f"the session's record '{path.name}' {how}: somebody changed it while the session ran",
        link=path.name,
        remedy="let no test touch the output folder of its session; run again",
    )


def _demand_logs(files: _Files, result: SessionResult) -> None:
    """Refuse a serial log that is not what was received."""
    for uart, log in files.logs.items():
        received = result.end.logs.get(uart) if result.end is not None else None
        if log.exists() and (received is None or sha256_of(log) == received):
            continue
        how = "is not what the device sent" if log.exists() else "is gone"
        raise IntegrityError(
            f"the serial log '{log.name}' {how}: somebody changed it while the session ran",
            link=log.name,
            remedy="let no test touch the output folder of its session; run again",
        )


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
    if ending.status == pytest.ExitCode.USAGE_ERROR and not ending.stopped:
        raise UsageError(
            f"pytest refuses to run the tests: {_refusal(files.pytest_log)}",
            remedy=f"correct what it names; all that it said is in {files.pytest_log}",
        )
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


def _refusal(log: Path) -> str:
    """What pytest says of wrong usage: of its command line, or of the tests."""
    lines = _lines(log)
    began = next((number for number, line in enumerate(lines) if line.startswith("ERROR: ")), None)
    return _tail(log) if began is None else "\n".join(lines[began:]).removeprefix("ERROR: ")


def _lines(log: Path) -> list[str]:
    """The lines of a log that say something."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()]
