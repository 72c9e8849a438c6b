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
from pathlib import Path
from typing import Literal

import pytest

from devicepipe.bench.case import applies, case_of, limits_of, quarantined, relative, shadowed_tests, virtual_time_of
from devicepipe.bench.case_result import lacking, outside_limits, unmeasured
from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.device import Device
from devicepipe.bench.faults import (
    BadIdentityError,
    DeviceFaultError,
)
from devicepipe.bench.holding import demand_lease
from devicepipe.bench.lease import LeaseLostError
from devicepipe.bench.phases import phase_verdict
from devicepipe.bench.protocol import identity_errors
from devicepipe.bench.record import (
    CaseEnd,
    CaseStart,
    Collected,
    CollectionError,
    Entry,
    FlashAltered,
    IdentityTaken,
    LeftOut,
    Measured,
    Phase,
    Programmed,
    RecordWriter,
    Retried,
    SessionEnd,
)
from devicepipe.bench.results import SessionResult
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.session_coverage import SessionCoverage
from devicepipe.bench.session_target import make_target
from devicepipe.bench.spec import SessionFile
from devicepipe.bench.tied_process import die_with_parent
from devicepipe.errors import BenchError, DevicepipeError, UsageError
from devicepipe.evidence.facts import sha256_of, utc_now
from devicepipe.evidence.results import Identity, Measurement, Verdict

RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()

QUARANTINED = "quarantined"
"""The outcome that pytest is told of a test in quarantine that did not pass; the record has its verdict."""

_REASON_LIMIT = 2000
_LINES_SHOWN = 40
_NO = ("n", "no", "false")
# One device that cannot be prepared may be bad luck; two in a row would only cost the time-outs of all further tests.
_UNPREPARED_LIMIT = 2


class IdentityMismatchError(BenchError):
    """The device does not run the image under test."""


class Recorder:
    """pytest hooks that record a session, and the session's device."""

    def __init__(self, file: SessionFile) -> None:
        if file.owner is not None:
            die_with_parent()
            if os.getppid() != file.owner:
                raise pytest.UsageError(f"the process {file.owner} that started this session is gone")
        self.spec = file.spec.as_stated()
        self._record = RecordWriter(file.record, file.progress)
        self._result = SessionResult(retries=file.spec.retries)
        self.serial_log = file.logs[file.spec.board.console.uart]
        self._logs = {uart: SerialLog(path) for uart, path in file.logs.items()}
        self._log = self._logs[file.spec.board.console.uart]
        self._loop = SerialLoop()
        self._coverage = SessionCoverage(file)
        self._lease = file.lease
        programmed = functools.partial(self._write, Programmed())
        target = make_target(file, self._logs, self._loop, self._coverage.counts, programmed)
        self.device = Device(self.spec, target)
        self._cases: dict[str, Collected] = {}
        self._lines_before = 0
        self._unprepared = 0
        self._uncollected = self._selected = self._interrupted = self._finished = False
        self._identity_is_last = True

    # --- collection -----------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> Generator[None, bool | None, bool | None]:
        """Refuse what hides a file of tests (`collect_ignore` of a conftest.py, a hook), where all tests are meant to run."""
        ignored = yield
        if ignored and not self.spec.pytest_arguments and not collection_path.name.startswith("."):
            hidden = collection_path.rglob("test_*.py") if collection_path.is_dir() else [collection_path]
            for file in sorted(hidden):
                if file.match("test_*.py"):
                    name = relative(file, self.spec.root)
                    raise pytest.UsageError(
                        f"{name} is hidden from the session, e.g. by collect_ignore: skip its tests instead"
                    )
        return ignored

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
        """Leave out the tests that do not apply to the board, and record those that anybody else leaves out."""
        for file in dict.fromkeys(item.path for item in items if isinstance(item, pytest.Function)):
            for name, first, second in shadowed_tests(file.read_text(encoding="utf-8")):
                where = f"{relative(file, self.spec.root)}:{first}"
                raise pytest.UsageError(f"{where}: '{name}' never runs: line {second} defines it again; rename one")
        board, boards = self.spec.board.name, self.spec.boards
        applicable = [item for item in items if applies(item, board, boards)]
        config.hook.pytest_deselected(items=[item for item in items if item not in applicable])
        self._cases = {item.nodeid: case_of(item, self.spec) for item in applicable}
        self._demand_quarantined(config, applicable)
        items[:] = applicable
        yield
        self._selected = True
        kept = {item.nodeid for item in items}
        for name, case in self._cases.items():
            if name not in kept:
                self._write(LeftOut(case=case))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that cannot be collected; one that skips itself is a case that was not run."""
        if report.failed:
            self._uncollected = True
            self._write(CollectionError(id=report.nodeid, message=self._pathless(report.longreprtext)))
        elif report.skipped:
            file = self.spec.root / report.nodeid.split("::")[0]
            self._write(
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
        if not self._selected:
            return  # pytest calls this also where the selection was broken off, with tests that nobody may have asked for
        names = [item.nodeid for item in session.items]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise pytest.UsageError(f"collected more than once: {', '.join(doubles)}")
        for item in session.items:
            virtual_time_of(item)
            _refuse_other_fixtures(item)
            _watch(item)
            if item.nodeid not in self._cases:
                self._cases[item.nodeid] = case_of(item, self.spec)
            self._write(self._cases[item.nodeid])

    # --- running --------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Record where in the serial log the case begins and ends."""
        self._write(CaseStart(id=item.nodeid, time=utc_now("microseconds"), log_offset=self._log.offset))
        # Also a test that skips itself, and so never sees the device, comes after the identity that was taken before it.
        self._identity_is_last = False
        self._lines_before = self._log.lines
        result = yield
        self._write(CaseEnd(id=item.nodeid, log_offset=self._log.offset))
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Before any fixture of a test: the device must be in service, and have what the test requires."""
        if self.spec.out_of_service:
            pytest.skip(f"device '{self.spec.entry.id}' is out of service: {self.spec.out_of_service}")
        if lacks := self._cases[item.nodeid].lacks:
            pytest.skip(lacking(lacks))

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
        if not report.passed and (said := self._said(item.config)):
            report.sections.append(("Device (seconds, UTC, < from it, > to it)", said))
        if report.failed and self._cases[item.nodeid].quarantine is not None:
            set_outcome(report, QUARANTINED)
        return report

    def _said(self, config: pytest.Config) -> str:
        """The end of what passed on the console since the case began, for who reads pytest's report."""
        lines = self._log.read_lines(self._lines_before)[-_LINES_SHOWN:]
        if str(config.getoption("with_timestamp", None)).lower() in _NO:
            lines = [line.split(" ", 2)[2] for line in lines]
        return "\n".join(lines)

    def attempt_verdict(self, item: pytest.Item) -> Verdict | None:
        """How the attempt at a test ended that has just ended; None where it passed, or did not end in order."""
        verdict = self._result.cases[item.nodeid].verdict()
        return verdict[0] if verdict is not None else None

    def retry(self, item: pytest.Item) -> None:
        """A test begins anew: with fixtures of its own, whatever their scope, and nothing left of the attempt before."""
        setup_state = item.session._setupstate  # noqa: SLF001 - pytest has no public way
        call = pytest.CallInfo.from_call(lambda: setup_state.teardown_exact(None), when="teardown", reraise=_ENDS)
        if call.excinfo is not None:
            said = f"{type(call.excinfo.value).__name__}: {call.excinfo.value}"
            self._phase(item.nodeid, "teardown", Verdict.ERROR, said, call.duration)
        item.stash[_MEASURED] = []
        _watch(item)
        self._write(Retried(id=item.nodeid, time=utc_now("microseconds"), log_offset=self._log.offset))
        self._identity_is_last = False

    @contextmanager
    def verified_device(self, item: pytest.Item) -> Iterator[None]:
        """Around a test: the device as new and identified before it, and identified again after it.

        Raises:
            DeviceFaultError: The device does not start, does not say who it is, or locked up.
            BenchError: The device cannot be started, was lost, is not the image under test, or is no longer ours.
        """
        self._demand_lease(item)
        self._identity_is_last = False
        self._coverage.drop()
        try:
            mode = virtual_time_of(item)
            self._identified(item, "before", lambda: self.device.prepare(mode))
        except (DeviceFaultError, DevicepipeError):
            self._unprepared += 1
            if self._unprepared >= _UNPREPARED_LIMIT and not item.session.shouldfail:
                item.session.shouldfail = f"the device could not be prepared {self._unprepared} times in a row"
            raise
        self._unprepared = 0
        self._coverage.take(item.nodeid, "preparation")
        yield
        if self._interrupted:
            return
        self._coverage.take(item.nodeid, "test")
        # Once before the device is touched again, and once for all that it has said until then.
        self._demand_lease(item)
        try:
            self._check_afterwards(item)
        finally:
            self._demand_lease(item)
        self._coverage.take(item.nodeid, "preparation")

    def pytest_keyboard_interrupt(self) -> None:
        """The test that runs has no verdict any more, so that nothing is asked of the device after it."""
        self._interrupted = True

    def _check_afterwards(self, item: pytest.Item) -> None:
        self.device.demand_honest()
        if self.device.altered:
            self._write(FlashAltered(id=item.nodeid))
        else:
            self._identified(item, "after", self.device.recheck)
            self._identity_is_last = True
            self.device.unspoilt = item.stash.get(_SEEN, []) == _WHOLE and not self.device.has_reset_itself()
        self.device.pause()

    def _demand_lease(self, item: pytest.Item) -> None:
        try:
            demand_lease(self._lease)
        except LeaseLostError as error:
            # What the device says from now on it may say of somebody else's image.
            item.session.shouldfail = error.message
            raise

    def measured(self, item: pytest.Item, measurement: Measurement) -> None:
        """Record what a test has measured.

        Raises:
            UsageError: It has measured that before.
        """
        earlier = item.stash.setdefault(_MEASURED, [])
        if any((one.name, one.where) == (measurement.name, measurement.where) for one in earlier):
            raise UsageError(
                f"'{measurement.name}' is measured a second time",
                remedy="tell the values of a series apart with 'where'",
            )
        earlier.append(measurement)
        self._write(Measured(id=item.nodeid, measurement=measurement))

    def _demand_quarantined(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Refuse an entry of the list of tests in quarantine that is about no test, where all were collected."""
        everything = [Path(name).resolve() for name in config.args] == [self.spec.tests.resolve()]
        if self._uncollected or not everything or config.getoption("lf", default=False):
            return
        known = [quarantined(item, self.spec) for item in items]
        for entry in self.spec.quarantine:
            if entry not in known:
                raise pytest.UsageError(
                    f"{entry.file}:{entry.line}: no test of board '{self.spec.board.name}' is '{entry.test}': it was corrected, "
                    "renamed or left out; take the entry out"
                )

    def _write(self, entry: Entry) -> None:
        self._record.write(entry)
        self._result.add(entry)

    def _identified(self, item: pytest.Item, when: Literal["before", "after"], ask: Callable[[], Identity]) -> None:
        identity, errors = None, list[str]()
        try:
            identity = ask()
            errors = identity_errors(self.spec.expected, identity)
        except BadIdentityError as error:
            errors = [str(error)]
        self._write(IdentityTaken(id=item.nodeid, when=when, identity=identity, errors=errors))
        if errors:
            message = f"what runs on the device is not the image under test ({when} the test): {'; '.join(errors)}"
            item.session.shouldfail = message
            raise IdentityMismatchError(message, remedy="build, sign and install the commit that you mean to test")

    # --- the end --------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Take the last identity where the last test could not, and write the end mark after everyone else has finished."""
        yield
        self.finish(session)

    def finish(self, session: pytest.Session) -> None:
        """Take the last identity, end the device and write the end mark; harmless when that is done already."""
        if self._finished:
            return
        self._finished = True
        skipped = bool(self.spec.out_of_service)
        if (
            not self._identity_is_last
            and not skipped
            and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        ):
            self._take_last_identity()
        self.device.close()
        stopped = session.shouldfail or session.shouldstop
        logs = {uart: log.sha256 for uart, log in self._logs.items()}
        self._write(SessionEnd(exit_status=int(session.exitstatus), stopped=str(stopped or ""), logs=logs))

    def pytest_unconfigure(self) -> None:
        """End the device, also where the session never began or never ended, and complete its logs."""
        self.device.close()
        self._coverage.close()
        self._loop.close()
        for log in self._logs.values():
            log.close()
        self._record.close()

    def _take_last_identity(self) -> None:
        try:
            demand_lease(self._lease)
            identity = self.device.prepare()
            entry = IdentityTaken(
                id="", when="end", identity=identity, errors=identity_errors(self.spec.expected, identity)
            )
        except (DeviceFaultError, DevicepipeError) as error:
            entry = IdentityTaken(
                id="", when="end", identity=None, errors=[self._pathless(f"no identity after the last test: {error}")]
            )
        self._write(entry)

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
            self._write(Phase(id=name, phase=phase, verdict=verdict, reason=self._pathless(reason), seconds=seconds))


def set_outcome(report: pytest.TestReport, outcome: str) -> None:
    """Give a report an outcome that pytest does not know."""
    report.outcome = outcome  # type: ignore[assignment]


_SEEN: pytest.StashKey[list[str]] = pytest.StashKey()
_WHOLE = ["began", "returned"]
_ENDS = (pytest.exit.Exception, KeyboardInterrupt)
_MEASURED: pytest.StashKey[list[Measurement]] = pytest.StashKey()


class OutsideLimitsError(DeviceFaultError):
    """What the test measured is outside its limits."""


def _watch(item: pytest.Item) -> None:
    """Note when the test's function begins and returns, whoever calls it."""
    if type(item) is not pytest.Function:
        return
    for name in ("_obj", "_instance"):
        item.__dict__.pop(name, None)  # of an earlier attempt
    function, seen = item.obj, list[str]()
    item.stash[_SEEN] = seen

    @functools.wraps(function)
    def watched(*arguments: object, **keywords: object) -> None:
        seen.append("began")
        result = function(*arguments, **keywords)
        if result is not None:
            raise TypeError(f"the test returned {result!r}: it has to assert what it expects")
        seen.append("returned")
        measured = item.stash.get(_MEASURED, [])
        if outside := [one for one in measured if not one.within]:
            raise OutsideLimitsError(outside_limits(outside))
        if forgotten := unmeasured(limits_of(item), measured):
            raise UsageError(forgotten, remedy="measure it, or leave the mark 'limit' out")

    item.obj = watched


def _refuse_other_fixtures(item: pytest.Item) -> None:
    """`device`, `measure` and `dut` are the bench's: a fixture of that name in a conftest.py would stand for the device."""
    if not isinstance(item, pytest.Function):
        return
    own = "devicepipe.bench.fixtures"
    for name, owner in (("device", own), ("measure", own), ("dut", "pytest_embedded.plugin")):
        for definition in item._fixtureinfo.name2fixturedefs.get(name, ())[-1:]:  # noqa: SLF001 - pytest has no public way
            if definition.func.__module__ != owner:
                raise pytest.UsageError(
                    f"{item.nodeid}: the fixture '{name}' of {definition.baseid or 'a plugin'} hides the bench's own"
                )
