"""Tests of other frameworks in the trace: shown in a column of their own, counted only where the requirement says so."""

from __future__ import annotations

from devicepipe.evidence.currency import STALE
from devicepipe.evidence.foreign_results import ForeignCase, ForeignResults, ForeignSet, shown_cases, written_verdicts
from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.results import Verdict
from devicepipe.evidence.trace import Item, Traceability
from devicepipe.evidence.words import HOST
from devicepipe.traceability.foreign import foreign_tests
from devicepipe.traceability.matrix import trace

BOARDS = ["a", "b"]


def item(own: str, kind: str = "requirement", links: dict[str, list[str]] | None = None, **fields: str) -> Item:
    content = {
        "id": own,
        "type": kind,
        "title": f"Title of {own}",
        "text": "Text.",
        "fields": fields,
        "links": links or {},
    }
    boards = BOARDS if kind in ("requirement", "test") else []
    digest = fingerprint(**content, boards=boards)  # type: ignore[arg-type]
    return Item.from_json({**content, "boards": boards, "file": "x.md", "line": 1, "fingerprint": digest})


def case(name: str, *names: str, verdict: Verdict = Verdict.PASSED) -> ForeignCase:
    return ForeignCase(id=f"unit: {name}", name=name, verdict=verdict, names=list(names), file="junit.xml", line=3)


def results(*cases: ForeignCase, current: bool = True) -> ForeignResults:
    one = ForeignSet(name="unit", format="junit", files=[], current=current, why="", cases=list(cases))
    return ForeignResults(tester="t", sets=[one])


def traced(items: list[Item], found: ForeignResults, suspect: tuple[str, ...] = ()) -> Traceability:
    shown = shown_cases(found, items)
    tests, written = foreign_tests(shown, suspect), written_verdicts(shown)
    return trace(items, [], [*BOARDS, HOST], foreign=tests, written=written)


def findings(trace: Traceability) -> list[tuple[str, str, str]]:
    kinds = ("untested-requirement", "verified-on-host", "unknown-item", "orphan-test")
    return [(one.kind, one.item, one.message) for one in trace.findings if one.kind in kinds]


ON_HOST = item("SRS-001", verification="host-test")
ON_DEVICE = item("SRS-002")


def test_a_requirement_that_says_so_is_verified_on_the_host_and_that_is_told() -> None:
    made = traced([ON_HOST], results(case("adds", "SRS-001")))
    (row,) = made.matrix
    assert (row.requirement, row.test, row.verdicts) == ("SRS-001", "unit: adds", {"a": "", "b": "", HOST: "passed"})
    ((kind, own, message),) = findings(made)
    assert (kind, own) == ("verified-on-host", "SRS-001")
    assert "unit: adds" in message


def test_for_every_other_requirement_it_is_shown_and_counts_nothing() -> None:
    made = traced([ON_DEVICE], results(case("adds", "SRS-002")))
    assert made.matrix[0].verdicts[HOST] == "passed"
    assert [(kind, own) for kind, own, _ in findings(made)] == [("untested-requirement", "SRS-002")] * 2
    assert "only tests on a host verify it" in findings(made)[0][2]


def test_what_is_not_of_the_released_commit_is_stale_and_verifies_nothing() -> None:
    made = traced([ON_HOST], results(case("adds", "SRS-001"), current=False))
    assert made.matrix[0].verdicts[HOST] == STALE
    assert {(kind, message) for kind, _, message in findings(made)} == {
        ("untested-requirement", "not-passed: unit: adds stale")
    }


def test_a_change_that_nobody_reviewed_makes_it_stale_for_that_item_only() -> None:
    other = item("SRS-003", verification="host-test")
    made = traced([ON_HOST, other], results(case("adds", "SRS-001", "SRS-003")), ("SRS-003",))
    assert {row.requirement: row.verdicts[HOST] for row in made.matrix} == {"SRS-001": "passed", "SRS-003": STALE}


def test_failures_and_what_did_not_run_are_no_verification() -> None:
    for verdict in (Verdict.FAILED, Verdict.ERROR, Verdict.NOT_RUN):
        made = traced([ON_HOST], results(case("adds", "SRS-001", verdict=verdict)))
        assert made.matrix[0].verdicts[HOST] == verdict
        assert {kind for kind, _, _ in findings(made)} == {"untested-requirement"}


def test_a_run_of_a_written_test_gives_it_its_worst_verdict_and_verifies_what_it_verifies() -> None:
    written = item("TST-001", "test", {"verifies": ["SRS-001"]})
    named, called = case("one", "TST-001"), case("Title of TST-001", verdict=Verdict.FAILED)
    made = traced([ON_HOST, written], results(named, called))
    verdicts = {row.test: row.verdicts[HOST] for row in made.matrix if row.requirement == "SRS-001"}
    assert verdicts == {"TST-001": "failed", "unit: one": "passed", "unit: Title of TST-001": "failed"}


def test_cases_that_verify_nothing_are_in_no_row_and_unknown_items_are_told() -> None:
    made = traced([ON_HOST], results(case("adds", "SRS-009"), case("waits")))
    assert "unit: waits" not in {row.test for row in made.matrix}
    assert ("unknown-item", "SRS-009", "unit: adds verifies SRS-009, but there is no such item") in findings(made)
