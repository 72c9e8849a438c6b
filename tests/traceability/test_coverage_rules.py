"""Rules about what must be covered, and what of user needs, design and written tests the matrix shows."""

from __future__ import annotations

import dataclasses

import pytest

from devicepipe.evidence.trace import CodeMarker, Item, Traceability
from devicepipe.traceability.coverage import RuleCheck
from devicepipe.traceability.markers import Markers
from devicepipe.traceability.matrix import TraceRules, trace
from devicepipe.traceability.schema import Rule, Schema, shipped_schema
from tests.traceability.item_samples import TYPES, sample

BOARDS = ["small", "large"]
TYPES |= {"TST": "test", "CR": "change-request"}


def with_rule(**changes: object) -> Schema:
    """The shipped schema with one rule only."""
    text: dict[str, object] = {
        "name": "mine", "of": "requirement", "has": (), "covered_by": (), "at_least": 1, "at_most": None, "if_any": (),
        "severity": dict.fromkeys("ABC", "error"), "reason": "",
    }  # fmt: skip
    rule = Rule(**text | changes)  # type: ignore[arg-type]
    return dataclasses.replace(shipped_schema(), rules={"mine": rule})


def told(schema: Schema, *items: Item, code: dict[str, list[str]] | None = None) -> dict[str, str]:
    check = RuleCheck(items, schema, "C", code or {})
    return {item.id: found.message for item in items for found in check.findings(item)}


SRS, OTHER = sample("SRS-001", satisfies=["UN-001", "UN-002"], implements=["RC-001"]), sample("SRS-002")
DSG = sample("DSG-001", realises=["SRS-001"])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"has": ("satisfies",)}, {"SRS-002": "it satisfies no user need"}),
        ({"has": ("satisfies",), "at_least": 3}, {
            "SRS-001": "2 of satisfies, at least 3 needed", "SRS-002": "it satisfies no user need"}),
        ({"has": ("satisfies",), "at_least": 0, "at_most": 1}, {"SRS-001": "2 of satisfies, at most 1 allowed"}),
        ({"has": ("satisfies", "implements"), "at_least": 3}, {
            "SRS-002": "it satisfies no user need, and implements no risk control"}),
        ({"covered_by": ("realises",)}, {"SRS-002": "no design item realises it"}),
        ({"covered_by": ("realises", "verifies")}, {"SRS-002": "no design item realises it, and no test verifies it"}),
        ({"covered_by": ("realises",), "if_any": ("hazard",)}, {}),
        ({"covered_by": ("realises",), "severity": {"A": "error", "B": "error", "C": "off"}}, {}),
        ({"covered_by": ("code",)}, {"SRS-001": "no code realises it"}),
    ],
)  # fmt: skip
def test_a_rule_counts_links_either_way(rule: dict[str, object], expected: dict[str, str]) -> None:
    assert told(with_rule(**rule), SRS, OTHER, DSG, code={"SRS-002": ["a.c:1"]}) == expected


def rows(traced: Traceability) -> list[tuple[object, ...]]:
    return [
        (row.user_needs, row.requirement, row.designs, row.test, *(row.verdicts[board] for board in BOARDS))
        for row in traced.matrix
    ]


def findings(traced: Traceability) -> list[tuple[str, str, str | None]]:
    return [(found.kind, found.item, found.severity) for found in traced.findings]


CHAIN = [
    sample("UN-001"),
    sample("SRS-001", satisfies=["UN-001"]),
    sample("DSG-001", realises=["SRS-001"]),
    sample("TST-001", boards=("small",), verifies=["SRS-001"]),
    sample("TST-002", verifies=["DSG-001"]),
]


def test_needs_design_and_written_tests_stand_in_the_matrix() -> None:
    traced = trace(CHAIN, [], BOARDS, written={"TST-001": {"small": "passed"}, "TST-002": {"small": "failed"}})
    assert rows(traced) == [
        (["UN-001"], "SRS-001", ["DSG-001"], "TST-001", "passed", "not_run"),
        (None, "", ["DSG-001"], "TST-002", "failed", "not_run"),
    ]
    assert findings(traced) == [("untested-requirement", "SRS-001", None)]


def test_what_leads_nowhere_has_a_row_and_a_finding_each() -> None:
    lonely = [sample("UN-001"), sample("DSG-001"), sample("SRS-001"), sample("TST-001"), sample("CR-001")]
    traced = trace(lonely, [], BOARDS)
    assert [row[:4] for row in rows(traced)] == [
        (["UN-001"], "", None, ""),
        (None, "", ["DSG-001"], ""),
        ([], "SRS-001", [], ""),
        (None, "", None, "TST-001"),
    ]
    assert findings(traced) == [
        ("unmet-need", "UN-001", "error"),
        ("unjustified-design", "DSG-001", "error"),
        ("unjustified-requirement", "SRS-001", "warning"),
        ("unrealised-requirement", "SRS-001", "error"),
        ("untested-requirement", "SRS-001", None),
        ("untested-requirement", "SRS-001", None),
        ("aimless-test", "TST-001", "error"),
        ("aimless-change", "CR-001", "warning"),
    ]


def test_without_needs_and_design_nothing_is_said_of_them() -> None:
    traced = trace([sample("SRS-001")], [], BOARDS)
    assert rows(traced) == [(None, "SRS-001", None, "", "not_run", "not_run")]
    assert {found.kind for found in traced.findings} == {"untested-requirement"}
    assert "designs" not in traced.matrix[0].to_json()


@pytest.mark.parametrize(("safety_class", "severity"), [("A", None), ("B", "warning"), ("C", "error")])
def test_design_is_asked_for_in_the_code_once_the_code_names_anything(safety_class: str, severity: str | None) -> None:
    rules = TraceRules(shipped_schema(), safety_class)  # type: ignore[arg-type]
    items = [*CHAIN, sample("DSG-002", realises=["SRS-001"])]
    markers = Markers([CodeMarker(file="src/a.c", line=3, items=["DSG-001"])])
    found = [
        one for one in trace(items, [], BOARDS, rules=rules, markers=markers).findings if "implemented" in one.kind
    ]
    assert [(one.kind, one.item, one.severity) for one in found] == (
        [("unimplemented-design", "DSG-002", severity)] if severity else []
    )
    assert "unimplemented-design" not in {one.kind for one in trace(items, [], BOARDS, rules=rules).findings}
