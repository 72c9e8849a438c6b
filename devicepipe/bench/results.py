"""From a session's record to verdicts: pure, and with one way to `passed`.

What always holds: a case is `passed` only where its set-up, call and tear-down each passed, once; the device was the image under
test before it and after it (or the test changed the flash on purpose); and the session as a whole began and ended with the image
under test on the device. Whatever is missing from the record becomes `error` or `not_run`, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from devicepipe.bench.case_result import CaseResult
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
    RecordLost,
    Retried,
    SessionEnd,
)
from devicepipe.errors import BenchError
from devicepipe.evidence.results import Identity, TestCase, Verdict
from devicepipe.project.sections import Retries


@dataclass(frozen=True)
class Ending:
    """How pytest's process ended.

    Attributes:
        status: Its exit status; negative: the signal that killed it.
        stopped: Why we stopped it, or "".
        last_words: The last that pytest printed.
        left: The command lines of processes that it left running.
        record_lost: Why its record could not be written to the end, or "".
    """

    status: int
    stopped: str = ""
    last_words: str = ""
    left: tuple[str, ...] = ()
    record_lost: str = ""


_CaseEvent = CaseStart | Phase | FlashAltered | Measured | Retried | CaseEnd


class SessionResult:
    """A session's record, read entry by entry; `retries`: the policy that it was to keep to."""

    def __init__(self, entries: Iterable[Entry] = (), retries: Retries | None = None) -> None:
        self._retries = retries or Retries()
        self.cases: dict[str, CaseResult] = {}
        self.left_out: dict[str, CaseResult] = {}
        self.collection_errors: list[CollectionError] = []
        self.end: SessionEnd | None = None
        self.lost = ""
        self.programmed = 0
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
                self.cases[entry.id] = CaseResult(entry, self._retries)
            case LeftOut():
                self.left_out[entry.case.id] = CaseResult(entry.case, left_out=True)
            case CollectionError():
                self.collection_errors.append(entry)
            case IdentityTaken():
                self._identity(entry)
            case Programmed():
                self.programmed += 1
            case SessionEnd():
                self.end = entry
            case RecordLost():
                self.lost = entry.reason
            case CaseStart() | Phase() | FlashAltered() | Measured() | Retried() | CaseEnd():
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
        if broken := ending.stopped or self.lost or ending.record_lost:
            return broken
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
        if ending.left:
            return f"the tests left running, until it was killed: {'; '.join(ending.left)}"
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
                own = f"{verdict}: {reason}" if reason and reason not in overruled else f"{verdict}"
                verdict, reason = Verdict.ERROR, f"{overruled} (on its own {own})"
            cases.append(result.test_case(verdict, reason, log_size))
        return cases

    def interrupted(self) -> list[TestCase]:
        """The cases of a session that its user broke off, not as evidence: each by itself, or not run where it has no end."""
        own = [(result, result.verdict() or (Verdict.NOT_RUN, "interrupted")) for result in self.cases.values()]
        return [result.test_case(verdict, reason, log_size=0) for result, (verdict, reason) in own]

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

    def _case_event(self, result: CaseResult, entry: _CaseEvent) -> None:
        match entry:
            case CaseStart():
                self._identity_is_last = False
                result.start(entry)
            case Retried():
                self._identity_is_last = False
                result.retry(entry)
            case Phase():
                result.phases.append(entry)
            case FlashAltered():
                result.altered = True
            case Measured():
                result.measurements.append(entry.measurement)
            case CaseEnd():
                result.log_end = entry.log_offset
