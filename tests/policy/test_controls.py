"""Security controls: which categories count as shown, and which do not."""

from __future__ import annotations

import pytest

from devicepipe.evidence.trace import MatrixRow, Traceability
from devicepipe.evidence.words import CONTROL_CATEGORIES
from devicepipe.policy.controls import controls_data
from tests.policy.samples import BOARDS, item

ALL = ", ".join(CONTROL_CATEGORIES)


def traced(words: str, **verdicts: str) -> Traceability:
    return Traceability(
        items=[item("SRS-1", security_control=words), item("SRS-2")],
        matrix=[MatrixRow(requirement="SRS-1", test="t", verdicts=verdicts)],
        findings=[],
    )


def passed(*boards: str) -> dict[str, str]:
    return dict.fromkeys(boards, "passed")


def test_a_requirement_that_passed_on_every_board_shows_its_categories() -> None:
    found = controls_data(traced(ALL, **passed(*BOARDS)))
    assert (found["uncovered"], found["unknown"]) == ([], [])
    assert found["told"].startswith("authentication by SRS-1, authorization by SRS-1")


@pytest.mark.parametrize("verdict", ["failed", "error", "not_run", "stale", "quarantined", ""])
def test_whatever_is_not_passed_on_one_board_shows_nothing(verdict: str) -> None:
    found = controls_data(traced("logging", small="passed", large=verdict))
    assert "logging: none of SRS-1 has passed on every board that it applies to" in found["uncovered"]
    assert len(found["uncovered"]) == len(CONTROL_CATEGORIES)


def test_a_category_that_nothing_names_and_a_word_that_is_none_are_told() -> None:
    found = controls_data(traced("logging,integrety", **passed(*BOARDS)))
    assert found["unknown"][0].startswith("SRS-1 names 'integrety': known are authentication")
    assert "integrity: no requirement has it as its security-control" in found["uncovered"]
    assert not [one for one in found["uncovered"] if one.startswith("logging")]
