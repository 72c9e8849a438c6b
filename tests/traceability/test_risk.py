"""Closed risks: what implements, what is effective, what a control brings, what remains; and that nothing unknown counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import UsageError
from devicepipe.evidence.results import TestCase as Case
from devicepipe.evidence.risk import RiskMatrix, closure
from devicepipe.evidence.trace import Item, MatrixRow, Traceability
from devicepipe.project.config import load_project
from devicepipe.traceability.fields import Scales
from devicepipe.traceability.matrix import TraceRules, trace
from devicepipe.traceability.risk import risk_matrix
from devicepipe.traceability.schema import shipped_schema
from tests.project.test_config import GOOD, MANIFEST
from tests.traceability.item_samples import sample
from tests.traceability.test_matrix import BOARDS, case, run

SEVERITIES, PROBABILITIES = ["serious", "critical"], ["improbable", "remote", "frequent"]
MATRIX = RiskMatrix(
    severities=SEVERITIES,
    probabilities=PROBABILITIES,
    acceptability={
        "serious": ["acceptable", "acceptable", "unacceptable"],
        "critical": ["acceptable", "benefit-risk", "unacceptable"],
    },
)
RULES = TraceRules(shipped_schema(), scales=Scales(tuple(SEVERITIES), tuple(PROBABILITIES)), acceptability=MATRIX)
RATED = {
    "severity": "critical",
    "probability": "frequent",
    "severity-after": "critical",
    "probability-after": "improbable",
}
HAZARD = sample("HAZ-001", fields=RATED)
CONTROL = sample("RC-001", fields={"new-hazards": "none"}, mitigates=["HAZ-001"])
REQUIREMENT = sample("SRS-001", implements=["RC-001"])
OPEN = ("ineffective-control", "unassessed-control", "unacceptable-risk", "unjustified-risk")


def shows(name: str = "works", verdict: str = "passed") -> Case:
    return case(name, ["RC-001"], verdict).model_copy(update={"effectiveness": ["RC-001"]})


def traced(
    *cases: Case, items: tuple[Item, ...] = (HAZARD, CONTROL, REQUIREMENT), boards: Any = BOARDS
) -> Traceability:
    return trace(list(items), [run(board, *cases) for board in boards], BOARDS, rules=RULES)


def still_open(made: Traceability) -> list[tuple[str, str, str]]:
    return [(one.kind, one.item, one.message) for one in made.findings if one.kind in OPEN]


def test_a_closed_risk() -> None:
    made = traced(case("t", ["SRS-001"]), shows())
    assert still_open(made) == []
    closed = closure(made)
    (control,) = closed.controls
    assert (control.requirements, control.tests, control.hazards) == (("SRS-001",), ("works",), ("HAZ-001",))
    assert dict(control.implementation) == dict(control.effectiveness) == dict.fromkeys(BOARDS, "passed")
    assert (control.unimplemented, control.ineffective, control.assessed) == ("", "", True)
    (risk,) = closed.hazards
    assert (risk.initial, risk.residual, risk.unacceptable, risk.unjustified) == ("unacceptable", "acceptable", "", "")


def test_a_test_of_the_requirement_shows_no_effectiveness() -> None:
    made = traced(case("t", ["SRS-001"]), case("u", ["RC-001"]))
    ((kind, item, message),) = still_open(made)
    assert (kind, item) == ("ineffective-control", "RC-001")
    assert message.startswith("nothing shows that it is effective")


def test_an_effective_control_that_is_not_implemented() -> None:
    (control,) = closure(traced(shows(), items=(HAZARD, CONTROL))).controls
    assert control.unimplemented == "no requirement implements it"
    (control,) = closure(traced(shows(), case("t", ["SRS-001"], "failed"))).controls
    assert control.unimplemented == "its requirements are not verified: failed on small, failed on large"
    assert control.ineffective == ""


@pytest.mark.parametrize("verdict", ["failed", "error", "not_run"])
def test_every_marked_test_has_to_pass(verdict: str) -> None:
    made = traced(case("t", ["SRS-001"]), shows(), shows("again", verdict))
    ((_, _, message),) = still_open(made)
    assert message == (
        f"tests of its effectiveness did not pass (works, again): {verdict} on small, {verdict} on large"
    )


def test_a_board_without_the_test_is_open() -> None:
    made = trace(
        [HAZARD, CONTROL, REQUIREMENT],
        [run("small", case("t", ["SRS-001"]), shows()), run("large", case("t", ["SRS-001"]))],
        BOARDS,
        rules=RULES,
    )
    ((_, _, message),) = still_open(made)
    assert message.endswith("not_run on large")
    only = sample("SRS-001", boards=("small",), fields={"boards": "small"}, implements=["RC-001"])
    made = trace(
        [HAZARD, CONTROL, only], [run("small", case("t", ["SRS-001"]), shows()), run("large")], BOARDS, rules=RULES
    )
    assert still_open(made) == []


def test_a_record_of_an_analysis() -> None:
    fields = {"new-hazards": "none", "effectiveness": "analysis", "evidence": "docs/a.md", "evidence-sha256": "1" * 64}
    control = sample("RC-001", fields=fields, mitigates=["HAZ-001"])
    made = traced(case("t", ["SRS-001"]), items=(HAZARD, control, REQUIREMENT))
    assert still_open(made) == []
    assert closure(made).controls[0].record == "analysis: docs/a.md"


@pytest.mark.parametrize(("fields", "said"), [({"verification": "host-test"}, "passed"), ({}, "not_run")])
def test_a_requirement_that_is_tested_on_a_host(fields: dict[str, str], said: str) -> None:
    requirement = sample("SRS-001", fields=fields, implements=["RC-001"])
    above = {"hazard": "HAZ-001", "risk_control": "RC-001", "requirement": "SRS-001"}
    row = MatrixRow.model_validate(above | {"test": "t", "verdicts": dict.fromkeys(BOARDS, "") | {"host": "passed"}})
    made = Traceability(items=[HAZARD, CONTROL, requirement], matrix=[row], findings=[], risk=MATRIX)
    assert dict(closure(made).controls[0].implementation) == dict.fromkeys(BOARDS, said)


def test_what_a_control_brings() -> None:
    silent = sample("RC-001", mitigates=["HAZ-001"])
    assert [
        one[0] for one in still_open(traced(case("t", ["SRS-001"]), shows(), items=(HAZARD, silent, REQUIREMENT)))
    ] == ["unassessed-control"]
    told = sample("RC-001", mitigates=["HAZ-001"], introduces=["HAZ-001"])
    assert still_open(traced(case("t", ["SRS-001"]), shows(), items=(HAZARD, told, REQUIREMENT))) == []


RESIDUAL = {
    "unacceptable": ({"probability-after": "frequent"}, "unacceptable-risk"),
    "to be justified": ({"probability-after": "remote"}, "unjustified-risk"),
    "justified": ({"probability-after": "remote", "benefit-risk": "Worth it."}, None),
    "not rated": ({"probability-after": ""}, "unacceptable-risk"),
    "a justification that does not help": (
        {"probability-after": "frequent", "benefit-risk": "Worth it."},
        "unacceptable-risk",
    ),
}


@pytest.mark.parametrize("name", RESIDUAL)
def test_what_remains(name: str) -> None:
    fields, kind = RESIDUAL[name]
    hazard = sample("HAZ-001", fields=RATED | fields)
    made = traced(case("t", ["SRS-001"]), shows(), items=(hazard, CONTROL, REQUIREMENT))
    assert [one[0] for one in still_open(made)] == ([kind] if kind else [])


def test_a_mark_on_what_is_no_control() -> None:
    wrong = case("t", ["SRS-001"]).model_copy(update={"effectiveness": ["SRS-001"]})
    (found,) = [one for one in traced(wrong, shows()).findings if one.kind == "effectiveness-of-no-control"]
    assert (found.item, found.file, found.line) == ("SRS-001", "hil/test_x.py", 12)


def test_a_product_without_a_matrix_is_left_alone() -> None:
    made = trace([HAZARD, CONTROL, REQUIREMENT], [run(board, case("t", ["SRS-001"])) for board in BOARDS], BOARDS)
    assert made.risk is None
    assert still_open(made) == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('minor = ["acceptable"]', "a line for each severity: minor, major"),
        ('minor = ["acceptable"]\nmajor = ["acceptable", "acceptable"]', "minor needs a word for each probability"),
        (
            'minor = ["unacceptable", "acceptable"]\nmajor = ["unacceptable", "unacceptable"]',
            "a severer or likelier risk be more acceptable",
        ),
        (
            'minor = ["unacceptable", "unacceptable"]\nmajor = ["acceptable", "unacceptable"]',
            "a severer or likelier risk be more acceptable",
        ),
    ],
)
def test_a_matrix_that_makes_no_sense_is_refused(tmp_path: Path, table: str, said: str) -> None:
    for folder in ("firmware", "boards", "requirements", "hil"):
        (tmp_path / folder).mkdir()
    (tmp_path / "boards/one.json").write_text(json.dumps(MANIFEST))
    scales = 'severities = ["minor", "major"]\nprobabilities = ["rare", "often"]\n'
    (tmp_path / "devicepipe.toml").write_text(
        f"{GOOD}\n[traceability]\n{scales}[traceability.acceptability]\n{table}\n"
    )
    with pytest.raises(UsageError, match=said) as caught:
        risk_matrix(load_project(tmp_path / "devicepipe.toml"))
    assert caught.value.key == "traceability.acceptability"
