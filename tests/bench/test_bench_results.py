"""The verdicts that a record leads to, without a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.bench.record import (
    CaseEnd,
    CaseStart,
    Collected,
    Entry,
    FlashAltered,
    IdentityTaken,
    LeftOut,
    Phase,
    RecordWriter,
    SessionEnd,
    parse_entries,
)
from devicepipe.bench.results import Ending, SessionResult
from devicepipe.errors import BenchError
from devicepipe.evidence.results import Identity, Verdict

IDENTITY = Identity(board="microbit", version="0.1.0+0", commit="c" * 40, digest="d" * 64)
ENDED = Ending(0)


def collected(name: str) -> Collected:
    return Collected(
        id=name,
        verifies=["SRS-001"],
        procedure_file="hil/test_a.py",
        procedure_line=1,
        procedure_sha256="0" * 64,
        expected="",
    )


def identity(name: str, when: Any, *errors: str) -> IdentityTaken:
    return IdentityTaken(id=name, when=when, identity=IDENTITY, errors=list(errors))


def phase(name: str, which: Any, verdict: Verdict = Verdict.PASSED) -> Phase:
    return Phase(
        id=name, phase=which, verdict=verdict, reason="" if verdict is Verdict.PASSED else "because", seconds=0.5
    )


def passing(name: str) -> list[Entry]:
    return [
        CaseStart(id=name, time="2026-01-01T00:00:00.000000Z", log_offset=0),
        identity(name, "before"),
        phase(name, "setup"),
        phase(name, "call"),
        identity(name, "after"),
        phase(name, "teardown"),
        CaseEnd(id=name, log_offset=10),
    ]


def whole() -> list[Entry]:
    """A session of two cases that both passed."""
    return [collected("a"), collected("b"), *passing("a"), *passing("b"), SessionEnd(exit_status=0, stopped="")]


def verdicts(entries: list[Entry], ending: Ending = ENDED) -> list[str]:
    cases = SessionResult(entries).test_cases(ending, whole=True, log_size=20)
    assert all(case.reason for case in cases if case.verdict is not Verdict.PASSED)
    return [str(case.verdict) for case in cases]


def test_whole_session() -> None:
    assert verdicts(whole()) == ["passed", "passed"]


def test_case_that_is_collected_again() -> None:
    """A test that appends to the record cannot give another test a second life."""
    with pytest.raises(BenchError, match="collects 'a' twice"):
        SessionResult([*whole(), *whole()])


@given(st.sets(st.integers(min_value=0, max_value=len(whole()) - 1), min_size=1))
def test_record_with_lines_missing_is_never_wholly_green(missing: set[int]) -> None:
    entries = [entry for number, entry in enumerate(whole()) if number not in missing]
    collected = {entry.id for entry in entries if isinstance(entry, Collected)}
    told_of = {entry.id for entry in entries if isinstance(entry, CaseStart | Phase | CaseEnd)}
    told_of |= {entry.id for entry in entries if isinstance(entry, IdentityTaken) and entry.when in ("before", "after")}
    if told_of - collected:
        with pytest.raises(BenchError, match="never collected"):
            SessionResult(entries)
        return
    result = SessionResult(entries)
    green = verdicts(entries) == ["passed", "passed"] and not result.identity_errors(result.disorder(ENDED))
    # The start of a case carries no verdict of its own.
    assert not green or all(isinstance(whole()[number], CaseStart) for number in missing)


@given(st.integers(min_value=0, max_value=len(whole()) - 1))
def test_record_cut_off_is_never_green(length: int) -> None:
    assert verdicts(whole()[:length], Ending(-9)) not in (["passed"], ["passed", "passed"])


@pytest.mark.parametrize("which", ["setup", "call", "teardown"])
@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.ERROR, Verdict.NOT_RUN])
def test_one_phase_decides(which: str, verdict: Verdict) -> None:
    entries = [
        phase(e.id, which, verdict) if isinstance(e, Phase) and e.id == "a" and e.phase == which else e for e in whole()
    ]
    assert verdicts(entries) == [str(verdict), "passed"]


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (Ending(-11), "process with -11"),
        (Ending(3), "process with 3"),
        (Ending(0, stopped="the session exceeded 5 s"), "exceeded 5 s"),
    ],
)
def test_process_that_ended_otherwise_than_its_record(ending: Ending, said: str) -> None:
    cases = SessionResult(whole()).test_cases(ending, whole=True, log_size=20)
    assert [str(case.verdict) for case in cases] == ["error", "error"]
    assert said in cases[0].reason


def test_identity_error_spoils_the_whole_run() -> None:
    entries = [identity("b", "after", "device says commit") if e == identity("b", "after") else e for e in whole()]
    assert verdicts(entries) == ["error", "error"]
    assert SessionResult(entries).identity_errors("") == ["device says commit"]


def test_altered_flash_needs_an_identity_at_the_end() -> None:
    altered: list[Entry] = [FlashAltered(id="b") if e == identity("b", "after") else e for e in whole()]
    assert verdicts(altered) == ["error", "error"]
    assert verdicts([*altered[:-1], identity("", "end"), altered[-1]]) == ["passed", "passed"]


def test_case_that_never_began() -> None:
    entries = [
        collected("a"),
        collected("b"),
        *passing("a"),
        SessionEnd(exit_status=1, stopped="stopping after 1 failures"),
    ]
    result = SessionResult(entries)
    assert [(str(c.verdict), c.reason) for c in result.test_cases(Ending(1), whole=True, log_size=0)] == [
        ("passed", ""),
        ("not_run", "stopping after 1 failures"),
    ]


def test_case_left_out_counts_only_where_all_were_meant_to_run() -> None:
    result = SessionResult([LeftOut(case=collected("c")), *whole()])
    assert [str(case.verdict) for case in result.test_cases(ENDED, whole=True, log_size=0)] == [
        "passed",
        "passed",
        "not_run",
    ]
    assert [str(case.verdict) for case in result.test_cases(ENDED, whole=False, log_size=0)] == ["passed", "passed"]


def test_record_survives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    with (tmp_path / "progress").open("wb") as progress:
        writer = RecordWriter(tmp_path / "record", progress.fileno())
        for entry in whole():
            writer.write(entry)
        writer.close()
    data = (tmp_path / "record").read_bytes()
    assert (tmp_path / "progress").read_bytes() == data
    assert parse_entries(data) == whole()
    assert parse_entries(data[:-5]) == whole()[:-1]
    with pytest.raises(BenchError, match="damaged at line 1"):
        parse_entries(b"{}\n" + data)
    with pytest.raises(FileExistsError):
        RecordWriter(tmp_path / "record", 0)
