"""What `devicepipe test` tells of a session's verdicts: each reason once and whole, and an exit code that accuses nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devicepipe.cli.verdicts import exit_code, tell_findings, tell_run
from devicepipe.evidence.results import Attempt, Device, Quarantine, Verdict
from devicepipe.evidence.results import TestCase as Case
from devicepipe.evidence.results import TestRun as Run
from devicepipe.evidence.trace import TraceFinding
from devicepipe.traceability.markers import UNKNOWN_ITEM
from devicepipe.traceability.matrix import ORPHAN_TEST

DIGEST, TIME = "0" * 64, "2026-01-01T00:00:00Z"
HELD = Quarantine(reason="flaky", owner="A. Tester", expires="2999-12-31", file="hil/quarantine.toml", line=4)


def case(name: str, verdict: str, reason: str = "", **further: Any) -> Case:
    return Case(
        id=f"hil/test_a.py::{name}",
        verdict=Verdict(verdict),
        reason=reason,
        verifies=further.pop("verifies", []),
        procedure_file="hil/test_a.py",
        procedure_line=7,
        procedure_sha256=DIGEST,
        expected="",
        duration_seconds=1,
        log_start=0,
        log_end=further.pop("log_end", 0),
        **further,
    )


def run_of(*cases: Case, identity_errors: tuple[str, ...] = ()) -> Run:
    return Run(
        board="microbit",
        device=Device(id="lab-1", board="microbit", serial="", driver="composed", emulated=False),
        image_digest=DIGEST,
        payload_digest=DIGEST,
        identity_before=None,
        identity_after=None,
        identity_errors=list(identity_errors),
        tools=[],
        tester="tester",
        started_on=TIME,
        finished_on=TIME,
        serial_log="evidence/microbit/serial.log",
        serial_log_sha256=DIGEST,
        cases=list(cases),
    )


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ("passed passed", 0),
        ("passed failed", 1),
        ("failed error not_run", 1),
        ("error", 3),
        ("error error not_run", 3),
        ("passed not_run", 3),
    ],
)
def test_exit_code(verdicts: str, code: int) -> None:
    cases = [case(f"test_{number}", verdict) for number, verdict in enumerate(verdicts.split())]
    assert exit_code([run_of(*cases)]) == code
    assert exit_code([run_of(case("test_x", "passed")), run_of(*cases)]) == code
    held = [one.model_copy(update={"quarantine": HELD}) for one in cases]
    assert exit_code([run_of(*held)]) == 0


def told(capsys: pytest.CaptureFixture[str], run: Run) -> list[str]:
    tell_run(run, Path("/there"))
    return capsys.readouterr().out.splitlines()


def test_one_reason_of_many_tests_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "setup: Skipped: device 'lab-1' is out of service: no port"
    cases = [case(f"test_{number}", "not_run", reason) for number in range(3)]
    lines = told(capsys, run_of(*cases, identity_errors=("no identity was taken before the first test",)))
    assert lines == [
        "microbit: 0 of 3 passed on lab-1",
        *(f"  not_run hil/test_a.py::test_{number}  (hil/test_a.py:7)" for number in range(3)),
        f"          {reason}",
    ]


def test_lines_of_a_reason_are_indented_and_the_log_is_named_by_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "call: TIMEOUT: Not found 'x'\nPlease check the full log here: serial.log"
    lines = told(capsys, run_of(case("test_x", "failed", reason, verifies=["SRS-1"], log_end=9)))
    assert lines[1:] == [
        "  failed  hil/test_a.py::test_x  (hil/test_a.py:7, verifies SRS-1)",
        "          call: TIMEOUT: Not found 'x'",
        "          Please check the full log here: /there/evidence/microbit/serial.log",
        "          serial log: /there/evidence/microbit/serial.log, bytes 0 to 9",
    ]


def test_attempts_that_ended_alike_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    attempt = Attempt(verdict=Verdict.ERROR, reason="gone", duration_seconds=1, log_start=0, log_end=0)
    other = attempt.model_copy(update={"reason": "mute"})
    lines = told(capsys, run_of(case("test_x", "error", "gone", earlier_attempts=[other, attempt, attempt])))
    assert lines[1:3] == [
        "  hil/test_a.py::test_x: attempt 1: error: mute",
        "  hil/test_a.py::test_x: attempts 2 to 3: error: as below",
    ]
    assert "\n".join(lines).count("gone") == 1


def test_an_identity_error_is_told_unless_a_reason_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ("digest is 1, not 2",)
    lines = told(capsys, run_of(case("test_x", "error", f"{wrong[0]} (on its own passed)"), identity_errors=wrong))
    assert "\n".join(lines).count(wrong[0]) == 1
    assert "  identity: lost" in told(capsys, run_of(case("test_x", "passed"), identity_errors=("lost",)))


def test_tests_that_verify_nothing_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    orphans = [
        TraceFinding(kind=ORPHAN_TEST, item=f"t{n}", message="m", file="hil/test_a.py", line=n) for n in range(14)
    ]
    tell_findings(
        [*orphans, TraceFinding(kind=UNKNOWN_ITEM, item="t", message="no item X", file="hil/test_a.py", line=99)]
    )
    assert capsys.readouterr().out.splitlines() == [
        "unknown-item: no item X (hil/test_a.py:99)",
        "orphan-test: 14 tests verify no item (hil/test_a.py:0, hil/test_a.py:1, hil/test_a.py:2 and 11 more)",
    ]
