"""One case's result, taken by itself: its verdict, the reason, and the attempts at it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from devicepipe.bench.record import CaseStart, Collected, IdentityTaken, Limit, Phase, Retried
from devicepipe.evidence.results import Attempt, Measurement, TestCase, Verdict
from devicepipe.project.sections import Retries

_LEFT_OUT = "left out of the session by the tests themselves (a hook of a conftest.py or a plugin)"


@dataclass
class CaseResult:
    """What the record says of one case so far; of the last attempt at it, but for `attempts`, the earlier ones."""

    case: Collected
    retries: Retries = field(default_factory=Retries)
    attempts: list[Attempt] = field(default_factory=list)
    starts: int = 0
    started_on: str | None = None
    log_start: int = 0
    log_end: int | None = None
    phases: list[Phase] = field(default_factory=list)
    before: IdentityTaken | None = None
    after: IdentityTaken | None = None
    measurements: list[Measurement] = field(default_factory=list)
    altered: bool = False
    left_out: bool = False

    def verdict(self) -> tuple[Verdict, str] | None:
        """The case's verdict and its reason, taken by itself; None where the record does not tell."""
        if self.left_out or self.case.lacks:
            return Verdict.NOT_RUN, _LEFT_OUT if self.left_out else lacking(self.case.lacks)
        if self.starts > 1:
            return Verdict.ERROR, f"ran {self.starts} times in one session: no single verdict can stand for it"
        if not self._allowed():
            return Verdict.ERROR, f"tried {len(self.attempts) + 1} times, which [tests.retries] does not allow"
        outside = [measured for measured in self.measurements if not measured.within]
        for verdict in (Verdict.ERROR, Verdict.FAILED, Verdict.NOT_RUN):
            reasons = [f"{phase.phase}: {phase.reason}" for phase in self.phases if phase.verdict == verdict]
            if verdict is Verdict.FAILED and not reasons and outside:
                reasons = [outside_limits(outside)]
            if reasons:
                return verdict, "; ".join(reasons)
        if [phase.phase for phase in self.phases] != ["setup", "call", "teardown"] or self.log_end is None:
            return None
        doubt = self._doubt()
        return (Verdict.ERROR, doubt) if doubt else (Verdict.PASSED, "")

    def start(self, entry: CaseStart) -> None:
        """The case begins."""
        self.starts += 1
        self.started_on, self.log_start = entry.time, entry.log_offset

    def retry(self, entry: Retried) -> None:
        """The attempt has ended, and another begins."""
        self.log_end = entry.log_offset
        verdict, reason = self.verdict() or (Verdict.ERROR, "the attempt did not end in order")
        self.attempts.append(
            Attempt(
                verdict=verdict,
                reason=reason,
                started_on=self.started_on,
                duration_seconds=self._seconds(),
                log_start=self.log_start,
                log_end=self.log_end,
                measurements=self.measurements,
            )
        )
        self.started_on, self.log_start, self.log_end = entry.time, entry.log_offset, None
        self.phases, self.measurements = [], []
        self.before = self.after = None
        self.altered = False

    def _allowed(self) -> bool:
        """Whether the policy allows the attempts that there were."""
        within = len(self.attempts) <= self.retries.times
        return within and all(attempt.verdict in self.retries.verdicts for attempt in self.attempts)

    def _seconds(self) -> float:
        return round(sum(phase.seconds for phase in self.phases), 6)

    def _doubt(self) -> str:
        """What is missing to a case of which all phases passed, or ""."""
        if self.before is None or self.before.errors or not (self.altered or (self.after and not self.after.errors)):
            return "the device was not identified before and after the test"
        return unmeasured(self.case.limits, self.measurements)

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
            duration_seconds=self._seconds(),
            measurements=self.measurements,
            earlier_attempts=self.attempts,
            quarantine=self.case.quarantine,
            effectiveness=self.case.effectiveness or None,
            log_start=self.log_start,
            log_end=self.log_end if self.log_end is not None else max(self.log_start, log_size if self.starts else 0),
        )


def outside_limits(measurements: Iterable[Measurement]) -> str:
    """Measured values that are outside their limits, in words."""
    return "outside its limits: " + "; ".join(
        f"{one.name}{f' ({one.where})' if one.where else ''} {one.value:g} {one.unit}, not "
        f"{'' if one.low is None else f'at least {one.low:g}'}"
        f"{'' if one.low is None or one.high is None else ' and '}"
        f"{'' if one.high is None else f'at most {one.high:g}'}"
        for one in measurements
    )


def unmeasured(limits: Iterable[Limit], measurements: Iterable[Measurement]) -> str:
    """Which values with limits a test did not measure, or measured with others, in words; "" where it measured all."""
    kept = {(one.name, one.unit, one.low, one.high) for one in measurements}
    missing = [one.name for one in limits if (one.name, one.unit, one.low, one.high) not in kept]
    return f"never measured, though the mark 'limit' is about it: {', '.join(missing)}" if missing else ""


def lacking(tags: Iterable[str]) -> str:
    """What a test requires and the device has not, in words."""
    return f"the device has not what the test requires: {', '.join(tags)}"
