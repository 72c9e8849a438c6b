"""Retries by policy and tests in quarantine: told of, never hidden."""

from __future__ import annotations

import datetime as dt

import pytest

from devicepipe.bench.record import Collected, Entry, Retried, SessionEnd
from devicepipe.bench.results import SessionResult
from devicepipe.bench.session import run_session
from devicepipe.errors import UsageError
from devicepipe.evidence.results import Quarantine, Verdict
from devicepipe.project.quarantine import Quarantined
from devicepipe.project.sections import Retries
from tests.bench.samples import SpecMaker, verdicts
from tests.bench.test_bench_results import ENDED, collected, passing, phase, whole

SESSION = {
    "conftest.py": """
        from devicepipe.errors import BenchError
        tries = []

        @pytest.fixture(scope="module")
        def sometimes():
            tries.append("sometimes")
            if tries.count("sometimes") == 1:
                raise BenchError("the scale does not answer")
            yield tries.count("sometimes")

        @pytest.fixture
        def fault(request):
            def happens(times):
                tries.append(request.node.name)
                if tries.count(request.node.name) <= times:
                    raise BenchError("the port is gone")
            return happens
        """,
    "test_a.py": """
        def test_once(fault, measure, device):
            measure("delay", 1, "s")
            fault(1)
            assert device.command("status") == "OK status state=idle"

        def test_always(fault): fault(9)

        def test_failed(fault):
            fault(0)
            assert False

        def test_error_then_failed(fault):
            fault(1)
            assert False

        def test_wide_fixture(sometimes): assert sometimes == 2

        class TestState:
            def test_of_its_own(self, fault):
                assert not hasattr(self, "kept")
                self.kept = True
                fault(1)

        def test_quarantined_failure(): assert False
        def test_quarantined_pass(): pass
        def test_not_run(): pytest.skip("no time")
        """,
}


def entry(test: str, *boards: str) -> Quarantined:
    return Quarantined(
        test=test,
        boards=boards or ("microbit",),
        reason="flaky",
        owner="A. Tester",
        expires=dt.date(2999, 1, 31),
        issue="",
        file="hil/quarantine.toml",
        line=3,
    )


@pytest.mark.usefixtures("no_process_left")
def test_every_attempt_is_told(make_spec: SpecMaker) -> None:
    spec = make_spec(SESSION, retries=Retries(times=2), quarantine=(entry("test_a.py::test_quarantined_*"),))
    run = run_session(spec)
    cases = {case.id.rpartition("::")[2].removeprefix("test_"): case for case in run.cases}
    told = {
        name: [str(one) for one in (*(one.verdict for one in case.earlier_attempts), case.verdict)]
        for name, case in cases.items()
    }
    assert told == {
        "once": ["error", "passed"],
        "always": ["error", "error", "error"],
        "failed": ["failed"],
        "error_then_failed": ["error", "failed"],
        "wide_fixture": ["error", "passed"],
        "of_its_own": ["error", "passed"],
        "quarantined_failure": ["failed"],
        "quarantined_pass": ["passed"],
        "not_run": ["not_run"],
    }, {name: case.reason for name, case in cases.items()}
    once = cases["once"]
    assert once.passed_on_retry
    assert not cases["quarantined_pass"].passed_on_retry
    attempt = once.earlier_attempts[0]
    assert "the port is gone" in attempt.reason
    assert [len(one.measurements) for one in (attempt, once)] == [1, 1]
    log = (spec.output / "serial.log").read_bytes()
    parts = [log[one.log_start : one.log_end] for one in (attempt, once)]
    assert [part.count(b"app: ready") for part in parts] == [1, 1]
    assert b"status state=idle" in parts[1]
    assert b"status state=idle" not in parts[0]
    quarantine = cases["quarantined_failure"].quarantine
    assert quarantine is not None
    assert (quarantine.reason, quarantine.expires, quarantine.line) == ("flaky", "2999-01-31", 3)
    assert cases["failed"].quarantine is None
    assert run.identity_errors == []
    said = (spec.output / "pytest.log").read_text()
    assert "3 failed, 4 passed, 1 skipped, 6 retried, 1 quarantined" in said, said


def test_quarantine_alone_is_no_failure_to_pytest(make_spec: SpecMaker) -> None:
    source = "\n    def test_held(): assert False\n    def test_next(): pass"
    spec = make_spec({"test_a.py": source}, quarantine=(entry("test_a.py::test_held"),), pytest_arguments=("-x",))
    assert verdicts(run_session(spec)) == {"test_a.py::test_held": "failed", "test_a.py::test_next": "passed"}


def test_quarantine_of_a_test_that_is_not_there(make_spec: SpecMaker) -> None:
    spec = make_spec({"test_a.py": "\n    def test_x(): pass"}, quarantine=(entry("test_a.py::test_gone"),))
    with pytest.raises(
        UsageError, match=r"hil/quarantine.toml:3: no test of board 'microbit' is 'test_a.py::test_gone'"
    ):
        run_session(spec)


# --- records, without a device ------------------------------------------------------------------------------------------


def retried(*earlier: Entry) -> list[Entry]:
    """A session of a case that passed at its second attempt."""
    start, *passed = passing("a")
    again = Retried(id="a", time="2026-01-01T00:00:01.000000Z", log_offset=5)
    return [collected("a"), start, *earlier, again, *passed, SessionEnd(exit_status=0, stopped="")]


def judged(entries: list[Entry], policy: Retries) -> tuple[str, str]:
    [case] = SessionResult(entries, policy).test_cases(ENDED, whole=True, log_size=20)
    return str(case.verdict), case.reason


ERRED = phase("a", "setup", Verdict.ERROR)
FAILED = phase("a", "call", Verdict.FAILED)


@pytest.mark.parametrize(
    ("earlier", "policy", "verdict"),
    [
        pytest.param([ERRED], Retries(times=1), "passed", id="allowed"),
        pytest.param([FAILED], Retries(times=1, verdicts=("failed",)), "passed", id="allowed-failure"),
        pytest.param([ERRED], Retries(), "error", id="no-policy"),
        pytest.param([FAILED], Retries(times=1), "error", id="failure-against-policy"),
        pytest.param([FAILED, ERRED], Retries(times=1, verdicts=("failed",)), "error", id="error-against-policy"),
        pytest.param([], Retries(times=1, verdicts=("failed",)), "error", id="attempt-without-an-end"),
        pytest.param(passing("a")[1:-1], Retries(times=1), "error", id="tried-again-after-it-passed"),
    ],
)
def test_retry_in_a_record(earlier: list[Entry], policy: Retries, verdict: str) -> None:
    found, why = judged(retried(*earlier), policy)
    assert (found, "[tests.retries] does not allow" in why) == (verdict, verdict == "error")


def test_more_attempts_than_the_policy_has() -> None:
    entries = retried(ERRED)
    again = entries.index(next(one for one in entries if isinstance(one, Retried)))
    entries[again:again] = [entries[again], ERRED]
    assert judged(entries, Retries(times=2))[0] == "passed"
    assert judged(entries, Retries(times=1)) == ("error", "tried 3 times, which [tests.retries] does not allow")


def test_a_passing_attempt_needs_its_own_identity() -> None:
    """That of the attempt before it proves nothing."""
    start, before, *rest = passing("a")
    entries = [collected("a"), start, before, ERRED, *retried()[2:3], *rest, SessionEnd(exit_status=0, stopped="")]
    found, why = judged(entries, Retries(times=1))
    assert found == "error"
    assert "not identified" in why


def test_quarantine_stands_beside_the_verdict() -> None:
    first, *rest = whole()
    assert isinstance(first, Collected)
    held = Quarantine(reason="flaky", owner="A. Tester", expires="2999-01-31", file="hil/quarantine.toml", line=3)
    result = SessionResult([first.model_copy(update={"quarantine": held}), *rest])
    cases = result.test_cases(ENDED, whole=True, log_size=20)
    assert [(str(case.verdict), case.quarantine) for case in cases] == [("passed", held), ("passed", None)]
