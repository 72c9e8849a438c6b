"""The session inside pytest: it owns the device, takes its identity around every test and writes the record.

What always holds: a phase is recorded as passed only where nothing was raised *and* pytest reports it as passed, and a test's call
only where its function was called once, came to its end and returned nothing. So no mark turns anything else green, nor does a hook
of a conftest.py that retries, skips the call or swallows what it raised. (Tests are code of this process: malice can still lie.)
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Literal

import pexpect
import pytest
from _pytest.outcomes import Failed, Skipped

from devicepipe.bench.case import applies, case_of, relative
from devicepipe.bench.channel import SerialLog, SerialLoop
from devicepipe.bench.device import Device
from devicepipe.bench.faults import BadIdentityError, DeviceFaultError, LockupError
from devicepipe.bench.protocol import identity_errors
from devicepipe.bench.qemu import Qemu, die_with_parent
from devicepipe.bench.record import (
    CaseEnd,
    CaseStart,
    Collected,
    CollectionError,
    FlashAltered,
    IdentityTaken,
    LeftOut,
    Phase,
    RecordWriter,
    SessionEnd,
)
from devicepipe.bench.spec import SessionFile
from devicepipe.errors import BenchError, DevicepipeError
from devicepipe.evidence.facts import sha256_of, utc_now
from devicepipe.evidence.predicates import Identity, Verdict

RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()

_REASON_LIMIT = 2000
# One device that cannot be prepared may be bad luck; two in a row would only cost the time-outs of all further tests.
_UNPREPARED_LIMIT = 2


class IdentityMismatchError(BenchError):
    """The device does not run the image under test."""


class Recorder:
    """pytest hooks that record a session, and the session's device."""

    def __init__(self, file: SessionFile) -> None:
        die_with_parent()
        if os.getppid() != file.owner:
            raise pytest.UsageError(f"the process {file.owner} that started this session is gone")
        self.spec = file.spec
        self._record = RecordWriter(file.record, file.progress)
        self.serial_log = file.serial_log
        self._log = SerialLog(file.serial_log, file.timed_log)
        self._loop = SerialLoop()
        self.device = Device(file.spec, lambda: Qemu(file.spec.board, file.emulator_log, self._log, self._loop))
        self._cases: dict[str, Collected] = {}
        self._unprepared = 0
        self._identity_is_last = True

    # --- collection -----------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
        """Leave out the tests that do not apply to the board, and record those that anybody else leaves out."""
        board, boards = self.spec.board.name, self.spec.boards
        applicable = [item for item in items if applies(item, board, boards)]
        config.hook.pytest_deselected(items=[item for item in items if item not in applicable])
        self._cases = {item.nodeid: case_of(item, self.spec.root) for item in applicable}
        items[:] = applicable
        yield
        kept = {item.nodeid for item in items}
        for name, case in self._cases.items():
            if name not in kept:
                self._record.write(LeftOut(case=case))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that cannot be collected; one that skips itself is a case that was not run."""
        if report.failed:
            self._record.write(CollectionError(id=report.nodeid, message=self._pathless(report.longreprtext)))
        elif report.skipped:
            file = self.spec.root / report.nodeid.split("::")[0]
            self._record.write(
                Collected(
                    id=report.nodeid,
                    verifies=[],
                    procedure_file=relative(file, self.spec.root),
                    procedure_line=1,
                    procedure_sha256=sha256_of(file),
                    expected="",
                )
            )
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self._phase(report.nodeid, "setup", Verdict.NOT_RUN, reason, 0.0)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record every case before the first of them runs."""
        names = [item.nodeid for item in session.items]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise pytest.UsageError(f"collected more than once: {', '.join(doubles)}")
        for item in session.items:
            _refuse_other_fixtures(item)
            _watch(item)
            self._record.write(self._cases.get(item.nodeid) or case_of(item, self.spec.root))

    # --- running --------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Record where in the serial log the case begins and ends."""
        self._record.write(CaseStart(id=item.nodeid, time=utc_now("microseconds"), log_offset=self._log.offset))
        result = yield
        self._record.write(CaseEnd(id=item.nodeid, log_offset=self._log.offset))
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record how a phase ended."""
        report = yield
        error = call.excinfo.value if call.excinfo is not None else None
        verdict, reason = phase_verdict(report, error)
        if verdict is Verdict.PASSED and call.when == "call" and item.stash.get(_SEEN, _WHOLE) != _WHOLE:
            verdict, reason = Verdict.ERROR, f"the test's function did not run once to its end: {item.stash[_SEEN]}"
        self._phase(item.nodeid, call.when, verdict, reason, call.duration)
        return report

    @contextmanager
    def verified_device(self, item: pytest.Item) -> Iterator[None]:
        """Around a test: the device as new and identified before it, and identified again after it.

        Raises:
            DeviceFaultError: The device does not start, does not say who it is, or locked up.
            BenchError: The device cannot be started, was lost, or is not the image under test.
        """
        self._identity_is_last = False
        try:
            self._identified(item, "before", self.device.prepare)
        except (DeviceFaultError, DevicepipeError):
            self._unprepared += 1
            if self._unprepared >= _UNPREPARED_LIMIT and not item.session.shouldfail:
                item.session.shouldfail = f"the device could not be prepared {self._unprepared} times in a row"
            raise
        self._unprepared = 0
        yield
        if self.device.altered:
            self._record.write(FlashAltered(id=item.nodeid))
        else:
            self._identified(item, "after", self.device.recheck)
            self._identity_is_last = True
        self.device.pause()

    def _identified(self, item: pytest.Item, when: Literal["before", "after"], ask: Callable[[], Identity]) -> None:
        identity, errors = None, list[str]()
        try:
            identity = ask()
            errors = identity_errors(self.spec.expected, identity)
        except BadIdentityError as error:
            errors = [str(error)]
        self._record.write(IdentityTaken(id=item.nodeid, when=when, identity=identity, errors=errors))
        if errors:
            message = f"what runs on the device is not the image under test ({when} the test): {'; '.join(errors)}"
            item.session.shouldfail = message
            raise IdentityMismatchError(message, remedy="build, sign and install the commit that you mean to test")

    # --- the end --------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Take the last identity where the last test could not, and write the end mark after everyone else has finished."""
        yield
        if not self._identity_is_last and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._take_last_identity()
        self.device.close()
        stopped = session.shouldfail or session.shouldstop
        self._record.write(SessionEnd(exit_status=int(session.exitstatus), stopped=str(stopped or "")))

    def pytest_unconfigure(self) -> None:
        """End the device, also where the session never began or never ended, and complete its logs."""
        self.device.close()
        self._loop.close()
        self._log.close()
        self._record.close()

    def _take_last_identity(self) -> None:
        try:
            identity = self.device.prepare()
            entry = IdentityTaken(
                id="", when="end", identity=identity, errors=identity_errors(self.spec.expected, identity)
            )
        except (DeviceFaultError, DevicepipeError) as error:
            entry = IdentityTaken(
                id="", when="end", identity=None, errors=[self._pathless(f"no identity after the last test: {error}")]
            )
        self._record.write(entry)

    def _pathless(self, text: str) -> str:
        """The text without this machine's folders, and of bounded length."""
        for folder in (self.spec.output, self.spec.root):
            text = text.replace(f"{folder}{os.sep}", "")
        return text if len(text) <= _REASON_LIMIT else f"{text[:_REASON_LIMIT]} … ({len(text)} characters)"

    def _phase(
        self,
        name: str,
        phase: Literal["setup", "call", "teardown", "collect"],
        verdict: Verdict,
        reason: str,
        seconds: float,
    ) -> None:
        if phase != "collect":
            self._record.write(
                Phase(id=name, phase=phase, verdict=verdict, reason=self._pathless(reason), seconds=seconds)
            )


_SEEN: pytest.StashKey[list[str]] = pytest.StashKey()
_WHOLE = ["began", "returned"]


def _watch(item: pytest.Item) -> None:
    """Note when the test's function begins and returns, whoever calls it."""
    if type(item) is not pytest.Function:
        return
    function, seen = item.obj, item.stash.setdefault(_SEEN, [])

    @functools.wraps(function)
    def watched(*arguments: object, **keywords: object) -> None:
        seen.append("began")
        result = function(*arguments, **keywords)
        if result is not None:
            raise TypeError(f"the test returned {result!r}: it has to assert what it expects")
        seen.append("returned")

    item.obj = watched


def _refuse_other_fixtures(item: pytest.Item) -> None:
    """`device` and `dut` are the bench's: a fixture of that name in a conftest.py would stand for the device."""
    if not isinstance(item, pytest.Function):
        return
    for name, owner in (("device", "devicepipe.bench.fixtures"), ("dut", "pytest_embedded.plugin")):
        for definition in item._fixtureinfo.name2fixturedefs.get(name, ())[-1:]:  # noqa: SLF001 - pytest has no public way
            if definition.func.__module__ != owner:
                raise pytest.UsageError(
                    f"{item.nodeid}: the fixture '{name}' of {definition.baseid or 'a plugin'} hides the bench's own"
                )


def phase_verdict(report: pytest.TestReport, error: BaseException | None) -> tuple[Verdict, str]:
    """The verdict of one phase, and the reason where it is not `passed`.

    Args:
        report: What pytest makes of the phase, after marks and hooks had their say.
        error: What was raised in it.
    """
    said = f"{type(error).__name__}: {error}" if error is not None else report.longreprtext
    marked = getattr(report, "wasxfail", None)
    if error is None and report.passed and marked is None:
        return Verdict.PASSED, ""
    if error is None and marked is not None:
        return Verdict.ERROR, f"passed, but is marked xfail ({marked}): remove the mark"
    if error is None:
        return Verdict.ERROR, f"nothing was raised, but pytest reports '{report.outcome}': {said}"
    if any(isinstance(cause, DevicepipeError) for cause in _chain(error)):
        return Verdict.ERROR, said
    if isinstance(error, Skipped) or (marked is not None and marked.startswith("[NOTRUN]")):
        return Verdict.NOT_RUN, said
    return _accuse(report, error), said if marked is None else f"marked xfail ({marked}), and failed: {said}"


def _accuse(report: pytest.TestReport, error: BaseException) -> Verdict:
    """The product, where an assertion of the test itself does not hold or the processor locked up; otherwise the harness."""
    in_test = report.when == "call" and isinstance(error, AssertionError | Failed | pexpect.TIMEOUT | pexpect.EOF)
    locked_up = report.when != "setup" and isinstance(error, LockupError)
    return Verdict.FAILED if in_test or locked_up else Verdict.ERROR


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, all that it was raised from or while handling, and the members of groups."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
