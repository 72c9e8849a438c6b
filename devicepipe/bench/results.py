"""From a session's record to verdicts: pure, and with one way to `passed`.

What always holds: a case is `passed` only where its set-up, call and tear-down each passed, once; the device was the image under
test before it and after it (or the test changed the flash on purpose); and the session as a whole began and ended with the image
under test on the device. Whatever is missing from the record becomes `error` or `not_run`, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from devicepipe.bench.record import (
    CaseEnd,
    CaseStart,
    Collected,
    CollectionError,
    Entry,
    FlashAltered,
    IdentityTaken,
    LeftOut,
    Phase,
    SessionEnd,
)
from devicepipe.errors import BenchError
from devicepipe.evidence.predicates import Identity, TestCase, Verdict

_LEFT_OUT = "left out of the session by the tests themselves (a hook of a conftest.py or a plugin)"


@dataclass(frozen=True)
class Ending:
    """How pytest's process ended.

    Attributes:
        status: Its exit status; negative: the signal that killed it.
        stopped: Why we stopped it, or "".
        last_words: The last that pytest printed.
    """

    status: int
    stopped: str = ""
    last_words: str = ""


@dataclass
class CaseResult:
    """What the record says of one case so far."""

    case: Collected
    starts: int = 0
    started_on: str | None = None
    log_start: int = 0
    log_end: int | None = None
    phases: list[Phase] = field(default_factory=list)
    before: IdentityTaken | None = None
    after: IdentityTaken | None = None
    altered: bool = False
    left_out: bool = False

    def verdict(self) -> tuple[Verdict, str] | None:
        """The case's verdict and its reason, taken by itself; None where the record does not tell."""
        if self.left_out:
            return Verdict.NOT_RUN, _LEFT_OUT
        if self.starts > 1:
            return Verdict.ERROR, f"ran {self.starts} times in one session: no single verdict can stand for it"
        for verdict in (Verdict.ERROR, Verdict.FAILED, Verdict.NOT_RUN):
            reasons = [f"{phase.phase}: {phase.reason}" for phase in self.phases if phase.verdict == verdict]
            if reasons:
                return verdict, "; ".join(reasons)
        if [phase.phase for phase in self.phases] != ["setup", "call", "teardown"] or self.log_end is None:
            return None
        if self.before is None or self.before.errors or not (self.altered or (self.after and not self.after.errors)):
            return Verdict.ERROR, "the device was not identified before and after the test"
        return Verdict.PASSED, ""

    def test_case(self, verdict: Verdict, reason: str, log_size: int) -> TestCase:
        """The case as evidence."""
        return TestCase(
            id=self.case.id,
            verdict=verdict,
            reason=reason,
            verifies=self.case.verifies,
            procedure_file=self.case.procedure_file,
            procedure_line=self.case.procedure_line,
            procedure_sha256=self.case.procedure_sha256,
            expected=self.case.expected,
            started_on=self.started_on,
            duration_seconds=round(sum(phase.seconds for phase in self.phases), 6),
            log_start=self.log_start,
            log_end=self.log_end if self.log_end is not None else max(self.log_start, log_size if self.starts else 0),
        )


class SessionResult:
    """A session's record, read entry by entry."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.cases: dict[str, CaseResult] = {}
        self.left_out: dict[str, CaseResult] = {}
        self.collection_errors: list[CollectionError] = []
        self.end: SessionEnd | None = None
        self._identities: list[IdentityTaken] = []
        self._identity_is_last = False
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take one entry, in the order of the record."""
        match entry:
            case Collected():
                if entry.id in self.cases:
                    raise BenchError(
                        f"the session's record collects '{entry.id}' twice", remedy="run the session again"
                    )
                self.cases[entry.id] = CaseResult(entry)
            case LeftOut():
                self.left_out[entry.case.id] = CaseResult(entry.case, left_out=True)
            case CollectionError():
                self.collection_errors.append(entry)
            case IdentityTaken():
                self._identity(entry)
            case SessionEnd():
                self.end = entry
            case CaseStart() | Phase() | FlashAltered() | CaseEnd():
                self._case_event(self._case(entry.id), entry)

    @property
    def identity_before(self) -> Identity | None:
        """The device's first words."""
        return next((entry.identity for entry in self._identities if entry.when == "before"), None)

    @property
    def identity_after(self) -> Identity | None:
        """The device's last words, where they came after the last test."""
        return self._identities[-1].identity if self._identity_is_last else None

    def identity_errors(self, disorder: str) -> list[str]:
        """Why the device was not, or is not known to have been, the image under test before the first test and after the last.

        Args:
            disorder: How the session failed to end in order, or "".
        """
        errors = list(dict.fromkeys(error for entry in self._identities for error in entry.errors))
        if not errors and self.identity_before is None:
            errors.append("no identity was taken before the first test")
        elif not errors and self.identity_after is None:
            errors.append("no identity was taken after the last test" + (f": {disorder}" if disorder else ""))
        return errors

    def disorder(self, ending: Ending) -> str:
        """How the session failed to end in order, or ""."""
        if ending.stopped:
            return ending.stopped
        if self.end is None:
            how = (
                f"was killed by signal {-ending.status}"
                if ending.status < 0
                else f"ended with exit status {ending.status}"
            )
            return f"the session died: pytest {how} without an end mark, after it said: {ending.last_words}"
        if self.end.exit_status != ending.status:
            return (
                f"the session ended with exit status {self.end.exit_status}, but pytest's process with {ending.status}"
            )
        if self.end.exit_status not in {0, 1}:
            why = self.end.stopped or ending.last_words
            return f"the session was broken off with exit status {self.end.exit_status}: {why}"
        return ""

    def test_cases(self, ending: Ending, *, whole: bool, log_size: int) -> list[TestCase]:
        """The verdict of every case.

        Args:
            ending: How pytest's process ended.
            whole: Whether all tests were meant to run: then one that was left out is a case that was not run.
            log_size: The size of the raw serial log in bytes.
        """
        disorder = self.disorder(ending)
        if disorder and all(result.verdict() for result in self.cases.values()):
            overruled = disorder
        else:
            overruled = "; ".join(self.identity_errors(disorder))
        results = [*self.cases.values(), *(self.left_out.values() if whole else ())]
        cases: list[TestCase] = []
        for result in results:
            verdict, reason = result.verdict() or self._untold(result, disorder)
            if overruled and verdict is not Verdict.NOT_RUN:
                own = f"{verdict}: {reason}" if reason else f"{verdict}"
                verdict, reason = Verdict.ERROR, f"{overruled} (on its own {own})"
            cases.append(result.test_case(verdict, reason, log_size))
        return cases

    def _untold(self, result: CaseResult, disorder: str) -> tuple[Verdict, str]:
        if disorder:
            return Verdict.ERROR, disorder
        if result.starts:
            return Verdict.ERROR, "the test began, and the session ended without its end"
        return Verdict.NOT_RUN, (self.end.stopped if self.end else "") or "the session ended before it"

    def _identity(self, entry: IdentityTaken) -> None:
        self._identities.append(entry)
        self._identity_is_last = entry.when != "before"
        if entry.when == "before":
            self._case(entry.id).before = entry
        elif entry.when == "after":
            self._case(entry.id).after = entry

    def _case(self, name: str) -> CaseResult:
        if name not in self.cases:
            raise BenchError(
                f"the session's record tells of '{name}', which was never collected", remedy="run the session again"
            )
        return self.cases[name]

    def _case_event(self, result: CaseResult, entry: CaseStart | Phase | FlashAltered | CaseEnd) -> None:
        match entry:
            case CaseStart():
                self._identity_is_last = False
                result.starts += 1
                result.started_on = entry.time
                result.log_start = entry.log_offset
            case Phase():
                result.phases.append(entry)
            case FlashAltered():
                result.altered = True
            case CaseEnd():
                result.log_end = entry.log_offset
