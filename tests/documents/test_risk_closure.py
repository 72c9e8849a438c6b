"""Closed and open risks, and reviews, as the documents show them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from devicepipe.documents.model import Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.risk_closure import reviews_table
from devicepipe.documents.risk_control import control_table, residual_table
from devicepipe.evidence.trace import Item, MatrixRow, Traceability
from devicepipe.traceability.reviews import review_of
from tests.documents.release_records import BOARDS, green
from tests.traceability.item_samples import sample
from tests.traceability.test_risk import MATRIX, RATED

PASSED = dict.fromkeys(BOARDS, "passed")


def record(
    hazard: dict[str, str] | None = None, control: Item | None = None, verdict: str = "passed", **changes: object
) -> ReleaseRecord:
    items = [
        sample("HAZ-001", fields=RATED | (hazard or {})),
        control or sample("RC-001", fields={"new-hazards": "none"}, mitigates=["HAZ-001"]),
        sample("SRS-001", boards=tuple(BOARDS), implements=["RC-001"]),
    ]
    above: dict[str, Any] = {"hazard": "HAZ-001", "risk_control": "RC-001"}
    matrix = [
        MatrixRow(**above, test="works", verdicts=PASSED | {BOARDS[0]: verdict}, effectiveness=True),
        MatrixRow(**above, requirement="SRS-001", test="t", verdicts=PASSED),
    ]
    trace = Traceability(items=items, matrix=matrix, findings=[], risk=MATRIX)
    return replace(green(), traceability=trace.model_copy(update=changes))


def cell(table: Table, title: str) -> tuple[str, str, Tone]:
    column = [one.title for one in table.columns].index(title)
    found = table.rows[0][column]
    return found.text, found.detail, found.tone


def test_a_control_that_is_shown_to_work() -> None:
    text, detail, tone = cell(control_table(record()), "Verification of the effectiveness")
    assert (text, tone) == ("✓ shown", Tone.GOOD)
    assert detail.endswith("works")
    assert cell(control_table(record()), "New hazards") == ("none", "", Tone.PLAIN)


@pytest.mark.parametrize("verdict", ["failed", "stale", "not_run"])
def test_a_control_that_is_not(verdict: str) -> None:
    text, detail, tone = cell(control_table(record(verdict=verdict)), "Verification of the effectiveness")
    assert (text, tone) == ("NOT SHOWN", Tone.BAD)
    assert f"{verdict} on {BOARDS[0]}" in detail


def test_what_a_control_brings() -> None:
    brings = sample("RC-001", mitigates=["HAZ-001"], introduces=["HAZ-001"])
    assert cell(control_table(record(control=brings)), "New hazards")[0] == "HAZ-001"
    silent = sample("RC-001", mitigates=["HAZ-001"])
    assert cell(control_table(record(control=silent)), "New hazards")[::2] == ("NOT SAID", Tone.BAD)
    assert cell(control_table(record(control=silent, risk=None)), "New hazards")[::2] == ("—", Tone.MUTED)


RESIDUAL = {
    "✓ acceptable": {},
    "UNACCEPTABLE": {"probability-after": "frequent"},
    "NOT JUSTIFIED": {"probability-after": "remote"},
    "justified by benefit": {"probability-after": "remote", "benefit-risk": "Worth it."},
}


@pytest.mark.parametrize("said", RESIDUAL)
def test_what_remains(said: str) -> None:
    assert cell(residual_table(record(RESIDUAL[said])), "Acceptability")[0] == said


def test_a_product_that_does_not_say_what_is_acceptable() -> None:
    assert cell(residual_table(record(risk=None)), "Acceptability")[0] == "—"


def test_reviews() -> None:
    assert reviews_table(record()).rows == ()
    made = record()
    items = {item.id: item for item in made.traceability.items}
    reviews = [review_of(one, items, by="A. Tester", on="2026-11-29T10:00:00Z", note="x") for one in items.values()]
    table = reviews_table(record(reviews=reviews))
    assert [row[4].text for row in table.rows] == ["✓ as it stands"] * 3
    table = reviews_table(record({"cause": "another"}, reviews=reviews))
    assert [row[4].text for row in table.rows] == ["OPEN", "OPEN", "✓ as it stands"]
    assert "rests on, changed" in table.rows[1][4].detail
