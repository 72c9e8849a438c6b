"""The trace: its rows, its findings, and that nothing but a passed test of a confirmed device counts as passed."""

from __future__ import annotations

import pytest

from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.results import Device, Quarantine, Verdict
from devicepipe.evidence.results import TestCase as Case
from devicepipe.evidence.results import TestRun as Run
from devicepipe.evidence.trace import Item, Traceability
from devicepipe.evidence.words import EVIDENCE_DIGEST, RATINGS
from devicepipe.traceability.fields import Scales
from devicepipe.traceability.matrix import TraceRules, trace
from devicepipe.traceability.schema import shipped_schema
from devicepipe.traceability.soup import Locked

BOARDS = ["small", "large"]
TYPES = {"HAZ": "hazard", "RC": "risk-control", "SRS": "requirement", "SOUP": "soup", "ANO": "anomaly"}
WHEN = "2026-01-01T00:00:00Z"


def item(
    name: str, *, boards: list[str] | None = None, fields: dict[str, str] | None = None, **links: list[str]
) -> Item:
    kind = TYPES[name.partition("-")[0]]
    content = {"title": name, "text": "Text.", "fields": fields or {}, "links": links, "boards": boards or BOARDS}
    digest = fingerprint(id=name, type=kind, **content)  # type: ignore[arg-type]
    return Item.model_validate({"id": name, "type": kind, "file": "r.md", "line": 7, "fingerprint": digest, **content})


def case(name: str, verifies: list[str], verdict: str = "passed") -> Case:
    return Case(
        id=name,
        verdict=Verdict(verdict),
        reason="" if verdict == "passed" else "a reason",
        verifies=verifies,
        procedure_file="hil/test_x.py",
        procedure_line=12,
        procedure_sha256="0" * 64,
        expected="It works.",
        duration_seconds=0.1,
        log_start=0,
        log_end=1,
    )


def run(board: str, *cases: Case, identity_errors: list[str] | None = None) -> Run:
    return Run(
        board=board,
        device=Device(id=f"{board}-0", board=board, serial="emulated", driver="qemu", emulated=True),
        image_digest="1" * 64,
        payload_digest="2" * 64,
        identity_errors=identity_errors or [],
        tools=[],
        tester="nobody",
        started_on=WHEN,
        finished_on=WHEN,
        serial_log="raw/serial.log",
        serial_log_sha256="3" * 64,
        cases=list(cases),
    )


CHAIN = [item("HAZ-001"), item("RC-001", mitigates=["HAZ-001"]), item("SRS-001", implements=["RC-001"])]


def rows(traced: Traceability) -> list[tuple[str, ...]]:
    return [
        (row.hazard, row.risk_control, row.requirement, row.test, *(row.verdicts[board] for board in BOARDS))
        for row in traced.matrix
    ]


def findings(traced: Traceability) -> list[tuple[str, str, str]]:
    return [(finding.kind, finding.item, finding.board) for finding in traced.findings]


def messages(traced: Traceability, kind: str) -> list[str]:
    return [finding.message for finding in traced.findings if finding.kind == kind]


def test_a_whole_chain_has_one_row_and_no_finding() -> None:
    traced = trace(CHAIN, [run(board, case("t", ["SRS-001"])) for board in BOARDS], BOARDS)
    assert rows(traced) == [("HAZ-001", "RC-001", "SRS-001", "t", "passed", "passed")]
    assert traced.findings == []
    assert [item.id for item in traced.items] == ["HAZ-001", "RC-001", "SRS-001"]


def test_requirement_without_test() -> None:
    traced = trace(CHAIN, [run(board) for board in BOARDS], BOARDS)
    assert rows(traced) == [("HAZ-001", "RC-001", "SRS-001", "", "not_run", "not_run")]
    assert findings(traced) == [
        ("unverified-control", "RC-001", ""),
        ("untested-requirement", "SRS-001", "small"),
        ("untested-requirement", "SRS-001", "large"),
    ]
    assert messages(traced, "untested-requirement") == ["no-test: nothing verifies it"] * 2
    assert traced.findings[1].file == "r.md"
    assert traced.findings[1].line == 7


def test_test_that_never_ran() -> None:
    traced = trace(CHAIN, [run(board, case("t", ["SRS-001"], "not_run")) for board in BOARDS], BOARDS)
    assert rows(traced) == [("HAZ-001", "RC-001", "SRS-001", "t", "not_run", "not_run")]
    assert messages(traced, "untested-requirement") == ["not-run: t"] * 2


def test_requirement_whose_only_test_is_in_quarantine() -> None:
    held = Quarantine(reason="flaky", owner="A. Tester", expires="2999-12-31", file="hil/quarantine.toml", line=1)
    passed, failed = (
        case("t", ["SRS-001"], verdict).model_copy(update={"quarantine": held}) for verdict in ("passed", "failed")
    )
    traced = trace(CHAIN, [run("small", passed), run("large", failed)], BOARDS)
    assert rows(traced) == [("HAZ-001", "RC-001", "SRS-001", "t", "quarantined", "failed")]
    assert messages(traced, "untested-requirement") == ["not-passed: t quarantined", "not-passed: t failed"]
    other = case("u", ["SRS-001"])
    traced = trace(CHAIN, [run("small", passed, other), run("large", failed, other)], BOARDS)
    assert traced.findings == []


def test_board_without_a_run() -> None:
    traced = trace(CHAIN, [run("small", case("t", ["SRS-001"]))], BOARDS)
    assert rows(traced) == [("HAZ-001", "RC-001", "SRS-001", "t", "passed", "not_run")]
    assert ("untested-requirement", "SRS-001", "large") in findings(traced)
    assert messages(traced, "unverified-control") == ["its requirements are not verified: SRS-001 on large"]


def test_test_not_collected_on_one_board() -> None:
    traced = trace(CHAIN, [run("small", case("t", ["SRS-001"])), run("large")], BOARDS)
    assert rows(traced)[0][-2:] == ("passed", "not_run")
    assert messages(traced, "untested-requirement") == ["not-run: t"]


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict != Verdict.PASSED])
def test_no_verdict_but_passed_counts(verdict: Verdict) -> None:
    traced = trace(CHAIN, [run(board, case("t", ["SRS-001"], verdict)) for board in BOARDS], BOARDS)
    assert rows(traced)[0][-2:] == (verdict, verdict)
    assert len(messages(traced, "untested-requirement")) == 2


def test_failed_test_beside_a_passed_one_is_shown() -> None:
    tests = [case("good", ["SRS-001"]), case("bad", ["SRS-001"], "failed")]
    traced = trace(CHAIN, [run(board, *tests) for board in BOARDS], BOARDS)
    assert [row[3:] for row in rows(traced)] == [("good", "passed", "passed"), ("bad", "failed", "failed")]
    assert traced.findings == []  # it is verified; that no test may fail is a rule of its own


def test_second_attempt_that_passed_does_not_hide_the_first() -> None:
    attempts = [case("t", ["SRS-001"], "failed"), case("t", ["SRS-001"])]
    traced = trace(CHAIN, [run("small", *attempts), run("large", case("t", ["SRS-001"]))], BOARDS)
    assert rows(traced)[0][-2:] == ("failed", "passed")
    assert messages(traced, "untested-requirement") == ["not-passed: t failed"]


def test_passed_on_a_device_of_unconfirmed_identity() -> None:
    bad = run("small", case("t", ["SRS-001"]), identity_errors=["digest after the last test differs"])
    traced = trace(CHAIN, [bad, run("large", case("t", ["SRS-001"]))], BOARDS)
    assert rows(traced)[0][-2:] == ("error", "passed")
    assert messages(traced, "untested-requirement") == ["not-passed: t error"]
    assert ("unconfirmed-identity", "emulated", "small") in findings(traced)


def test_requirement_of_one_board() -> None:
    items = [*CHAIN[:2], item("SRS-001", boards=["large"], implements=["RC-001"])]
    traced = trace(items, [run("small"), run("large", case("t", ["SRS-001"]))], BOARDS)
    assert rows(traced) == [("HAZ-001", "RC-001", "SRS-001", "t", "", "passed")]
    assert traced.findings == []


def test_test_that_names_an_unknown_item() -> None:
    traced = trace(CHAIN, [run(board, case("t", ["SRS-001", "SRS-010"])) for board in BOARDS], BOARDS)
    (found,) = traced.findings
    assert (found.kind, found.item, found.file, found.line) == ("unknown-item", "SRS-010", "hil/test_x.py", 12)


def test_test_that_verifies_nothing_and_one_that_names_only_unknown_items_have_rows_of_their_own() -> None:
    tests = [case("t", ["SRS-001"]), case("orphan", []), case("lost", ["SRS-9"])]
    traced = trace(CHAIN, [run(board, *tests) for board in BOARDS], BOARDS)
    assert rows(traced)[1:] == [("", "", "", "orphan", "passed", "passed"), ("", "", "", "lost", "passed", "passed")]
    assert findings(traced) == [("orphan-test", "orphan", ""), ("unknown-item", "SRS-9", "")]


def test_items_without_links_appear_with_empty_cells() -> None:
    items = [item("HAZ-001"), item("RC-001"), item("SRS-001")]
    traced = trace(items, [run(board, case("t", ["SRS-001"])) for board in BOARDS], BOARDS)
    assert rows(traced) == [
        ("HAZ-001", "", "", "", "", ""),
        ("", "RC-001", "", "", "", ""),
        ("", "", "SRS-001", "t", "passed", "passed"),
    ]
    assert findings(traced) == [
        ("uncontrolled-hazard", "HAZ-001", ""),
        ("unlinked-control", "RC-001", ""),
        ("unverified-control", "RC-001", ""),
    ]


def test_several_parents_repeat_the_requirement() -> None:
    items = [
        item("HAZ-001"),
        item("RC-001", mitigates=["HAZ-001"]),
        item("RC-002", mitigates=["HAZ-001"]),
        item("SRS-001", implements=["RC-001", "RC-002"]),
    ]
    traced = trace(items, [run(board, case("t", ["SRS-001"])) for board in BOARDS], BOARDS)
    assert [row[1] for row in rows(traced)] == ["RC-001", "RC-002"]
    assert traced.findings == []


def test_a_test_of_a_control_does_not_stand_for_its_requirement() -> None:
    traced = trace(CHAIN, [run(board, case("t", ["RC-001"])) for board in BOARDS], BOARDS)
    assert rows(traced) == [
        ("HAZ-001", "RC-001", "", "t", "passed", "passed"),
        ("HAZ-001", "RC-001", "SRS-001", "", "not_run", "not_run"),
    ]
    assert len(messages(traced, "untested-requirement")) == 2


def test_what_a_test_names_on_one_board_does_not_count_on_the_other() -> None:
    runs = [run("small", case("t", ["SRS-001"])), run("large", case("t", []))]
    traced = trace(CHAIN, runs, BOARDS)
    assert ("untested-requirement", "SRS-001", "large") in findings(traced)


def test_inspection_without_a_record_is_untested() -> None:
    items = [*CHAIN[:2], item("SRS-001", implements=["RC-001"], fields={"verification": "inspection"})]
    traced = trace(items, [run(board) for board in BOARDS], BOARDS)
    assert (
        messages(traced, "untested-requirement")
        == ["no-test: no record of its inspection (field 'evidence'), and no test"] * 2
    )


def test_inspection_with_a_record_never_shows_as_passed_and_is_always_named() -> None:
    fields = {"verification": "inspection", "evidence": "records/r.txt", EVIDENCE_DIGEST: "4" * 64}
    items = [*CHAIN[:2], item("SRS-001", implements=["RC-001"], fields=fields)]
    traced = trace(items, [run(board) for board in BOARDS], BOARDS)
    assert rows(traced) == [("HAZ-001", "RC-001", "SRS-001", "inspection: records/r.txt", "", "")]
    assert findings(traced) == [("verified-by-record", "SRS-001", "")]


def test_two_thousand_requirements_on_four_boards_have_one_row_each() -> None:
    boards = ["a", "b", "c", "d"]
    items = [item("HAZ-1", boards=boards)]
    items += [item(f"RC-{n}", boards=boards, mitigates=["HAZ-1"]) for n in range(200)]
    items += [item(f"SRS-{n}", boards=boards, implements=[f"RC-{n % 200}"]) for n in range(2000)]
    runs = [run(board, *(case(f"t{n}", [f"SRS-{n}"]) for n in range(2000))) for board in boards]
    traced = trace(items, runs, boards)
    assert len(traced.matrix) == 2000
    assert traced.findings == []


SCALES = Scales(("minor", "serious", "critical"), ("remote", "probable"))


def rated(*words: str) -> Item:
    return item("HAZ-001", fields=dict(zip(RATINGS, words, strict=True)))


@pytest.mark.parametrize(
    ("words", "worse"),
    [
        (("critical", "probable", "critical", "remote"), []),
        (("critical", "probable", "critical", "probable"), []),
        (
            ("serious", "probable", "critical", "remote"),
            ["its severity is critical with its risk controls, but serious without"],
        ),
        (
            ("serious", "remote", "serious", "probable"),
            ["its probability is probable with its risk controls, but remote without"],
        ),
        (("grave", "remote", "graver", "remote"), []),
    ],
    ids=["likelihood-reduced", "nothing-reduced", "worse-harm", "likelier", "words-of-no-scale"],
)
def test_a_hazard_rated_worse_with_its_controls_is_found(words: tuple[str, ...], worse: list[str]) -> None:
    traced = trace([rated(*words)], [], BOARDS, rules=TraceRules(shipped_schema(), scales=SCALES))
    assert messages(traced, "unreduced-hazard") == worse
    assert messages(trace([rated(*words)], [], BOARDS), "unreduced-hazard") == []


def test_a_locked_library_without_an_item_is_found() -> None:
    traced = trace([item("SRS-001")], [], BOARDS, unlisted=[Locked("zlib", "firmware/soup.toml:8", {})])
    (found,) = (one for one in traced.findings if one.kind == "unlisted-soup")
    assert (found.item, found.file, found.line) == ("zlib", "firmware/soup.toml", 8)


def test_soup_and_anomalies_have_no_rows_but_a_test_that_names_only_them_has() -> None:
    items = [*CHAIN, item("SOUP-001", requirements=["SRS-001"]), item("ANO-001", affects=["SRS-001"])]
    traced = trace(items, [run("small", case("t", ["SRS-001"]), case("u", ["SOUP-001"]))], BOARDS)
    assert rows(traced) == [
        ("HAZ-001", "RC-001", "SRS-001", "t", "passed", "not_run"),
        ("", "", "", "u", "passed", ""),
    ]
    assert "unknown-item" not in {found.kind for found in traced.findings}
