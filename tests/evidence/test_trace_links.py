"""Traceability attestations that are signed and tell another story than their items, reviews and results: each is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.trace import Item
from devicepipe.evidence.verify import verify_bundle
from devicepipe.traceability.reviews import review_of
from tests.evidence.synthetic_bundle import Edit, Spoil, make_bundle
from tests.traceability.item_samples import sample

TRACE = "attestations/traceability.dsse.json"
WHEN = "2026-02-01T08:00:00Z"
BOARDS = ("alpha",)
CHAIN = [
    sample("HAZ-001", boards=BOARDS),
    sample("RC-001", boards=BOARDS, mitigates=["HAZ-001"]),
    sample("SRS-001", boards=BOARDS, implements=["RC-001"]),
]


def reviewed(items: list[Item]) -> list[dict[str, Any]]:
    by_id = {item.id: item for item in items}
    return [review_of(item, by_id, by="A. Tester", on=WHEN, note="looked").to_json() for item in items]


def whole(trace: dict[str, Any]) -> None:
    """A trace with items that are all reviewed."""
    trace["items"] = [item.to_json() for item in CHAIN]
    trace["reviews"] = reviewed(CHAIN)
    trace["procedures"] = {"hil/test_pump.py": ["ab" * 32]}


def bind(result: dict[str, Any]) -> None:
    """Results that say which items they are about."""
    for case in result["devicepipe"]["cases"]:
        case["fingerprints"] = {"SRS-001": CHAIN[2].fingerprint}


def verify(folder: Path, *edits: Edit, tests: Edit = lambda result: None) -> str:
    """Verify a bundle of which traceability and results were edited before they were signed."""

    def change(trace: dict[str, Any]) -> None:
        for edit in (whole, *edits):
            edit(trace)

    def results(result: dict[str, Any]) -> None:
        bind(result)
        tests(result)

    made = make_bundle(folder, boards=BOARDS, spoil=Spoil(edit={"traceability": change, "alpha/test": results}))
    links = verify_bundle(made.path, made.keys.release.public).links
    return next(link.check for link in links if "fingerprints say" in link.check)


def other_text(trace: dict[str, Any]) -> None:
    trace["items"][2]["text"] = "Something easier."


def changed_and_silent(trace: dict[str, Any]) -> None:
    """The control changed since its review, and no finding says so."""
    trace["items"][1] = sample("RC-001", boards=BOARDS, text="Other.", mitigates=["HAZ-001"]).to_json()


def unreviewed_and_silent(trace: dict[str, Any]) -> None:
    trace["reviews"].pop()


def reviewed_twice(trace: dict[str, Any]) -> None:
    trace["reviews"].append(trace["reviews"][0])


def made_up(trace: dict[str, Any]) -> None:
    trace["findings"].append(
        {"kind": "suspect-link", "item": "RC-001", "board": "", "message": "m", "file": "", "line": 0}
    )


def finding_without_reviews(trace: dict[str, Any]) -> None:
    made_up(trace)
    del trace["reviews"]


def test_items_and_reviews_that_fit(tmp_path: Path) -> None:
    assert verify(tmp_path) == "its items are what their fingerprints say, and its 3 reviews what it tells of them"


def test_a_product_that_keeps_no_reviews(tmp_path: Path) -> None:
    assert verify(tmp_path, lambda trace: trace.pop("reviews")) == "its items are what their fingerprints say"


STORIES = {
    "RC-001 is a case of changed-since-review": changed_and_silent,
    "SRS-001 a fingerprint that is not that of its attributes": other_text,
    "does not tell that SRS-001 is a case of unreviewed-item": unreviewed_and_silent,
    "has an item reviewed twice": reviewed_twice,
    "tells that RC-001 is a case of suspect-link": made_up,
    "tells that RC-001 is a case of suspect-link, against": finding_without_reviews,
}


@pytest.mark.parametrize("said", STORIES)
def test_another_story_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(IntegrityError, match=said) as caught:
        verify(tmp_path, STORIES[said])
    assert caught.value.link == TRACE


def with_design(trace: dict[str, Any]) -> None:
    """A design item that realises the requirement, shown in its row, and a source that names it."""
    design = sample("DSG-001", boards=BOARDS, realises=["SRS-001"])
    trace["items"].append(design.to_json())
    trace["reviews"] = reviewed([*CHAIN, design])
    for row in trace["matrix"]:
        if row.get("requirement") == "SRS-001":
            row["designs"] = ["DSG-001"]
    trace["code"] = [{"file": "boards/alpha.json", "line": 1, "function": "", "items": ["DSG-001"]}]


def marked_elsewhere(trace: dict[str, Any]) -> None:
    with_design(trace)
    trace["code"][0]["file"] = "firmware/src/gone.c"


def another_design(trace: dict[str, Any]) -> None:
    with_design(trace)
    next(row for row in trace["matrix"] if row.get("designs"))["designs"] = ["DSG-002"]


def no_design(trace: dict[str, Any]) -> None:
    with_design(trace)
    del next(row for row in trace["matrix"] if row.get("designs"))["designs"]


def design_of_nobody(trace: dict[str, Any]) -> None:
    next(row for row in trace["matrix"] if row.get("requirement") == "SRS-001")["userNeeds"] = ["UN-001"]


def test_design_and_markers_that_fit(tmp_path: Path) -> None:
    assert "its 4 reviews" in verify(tmp_path, with_design)


DESIGNS = {
    "a marker in firmware/src/gone.c, which is no source file": marked_elsewhere,
    "shows the design items DSG-002 for SRS-001, but its links say DSG-001": another_design,
    "shows the design items none for SRS-001, but its links say DSG-001": no_design,
    "shows the user needs UN-001 for SRS-001, but its links say none": design_of_nobody,
}


@pytest.mark.parametrize("said", DESIGNS)
def test_another_design_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(IntegrityError, match=said) as caught:
        verify(tmp_path, DESIGNS[said])
    assert caught.value.link == TRACE


def case(**changes: object) -> Edit:
    return lambda result: result["devicepipe"]["cases"][0].update(changes)


def changed_and_told(trace: dict[str, Any]) -> None:
    """The requirement changed since its review; that is told, but its tests are shown as passed."""
    old = sample("SRS-001", boards=BOARDS, text="Before.", implements=["RC-001"])
    trace["reviews"] = reviewed([*CHAIN[:2], old])
    trace["findings"] += [
        {"kind": "changed-since-review", "item": "SRS-001", "board": "", "file": "r.md", "line": 7,
         "message": "it changed since A. Tester reviewed it on 2026-02-01: Statement"},
    ]  # fmt: skip


def not_marked(trace: dict[str, Any]) -> None:
    """A test is shown as one of a control's effectiveness."""
    trace["matrix"].append(
        {"hazard": "HAZ-001", "riskControl": "RC-001", "requirement": "", "test": "hil/test_pump.py::test_1",
         "verdicts": {"alpha": "failed"}, "effectiveness": True}
    )  # fmt: skip


def test_a_test_that_is_not_marked_shows_no_effectiveness(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="as a test of RC-001's effectiveness, which it is not marked as"):
        verify(tmp_path, not_marked)


def other_image(result: dict[str, Any]) -> None:
    result["devicepipe"]["imageDigest"] = "0" * 64


def other_board(result: dict[str, Any]) -> None:
    result["devicepipe"]["device"]["board"] = "beta"


RESULTS: dict[str, tuple[Edit, str]] = {
    "SRS-001 was another one": (case(fingerprints={"SRS-001": "0" * 64}), TRACE),
    "SRS-001 was not there": (case(fingerprints={}), TRACE),
    "its source is another one": (case(procedureSha256="0" * 64), TRACE),
    "hil/test_other.py is gone": (case(procedureFile="hil/test_other.py"), TRACE),
    "for SRS-001 on alpha, which it does not verify": (case(verifies=["SRS-002"]), TRACE),
    "image digest": (other_image, "attestations/alpha/test.dsse.json"),
    "device's board": (other_board, "attestations/alpha/test.dsse.json"),
}


@pytest.mark.parametrize("said", RESULTS)
def test_a_result_about_something_else_is_refused(tmp_path: Path, said: str) -> None:
    tests, link = RESULTS[said]
    with pytest.raises(IntegrityError, match=said) as caught:
        verify(tmp_path, tests=tests)
    assert caught.value.link == link


def test_a_result_of_an_unreviewed_change_is_refused_as_passed(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="that is stale: a change is not reviewed"):
        verify(tmp_path, changed_and_told)


def test_the_same_result_shown_as_stale_is_taken(tmp_path: Path) -> None:
    def stale(trace: dict[str, Any]) -> None:
        changed_and_told(trace)
        for row in trace["matrix"]:
            row["verdicts"] = {"alpha": "stale"}

    assert verify(tmp_path, stale)


def test_a_bundle_of_before_still_verifies(tmp_path: Path) -> None:
    def unbound(result: dict[str, Any]) -> None:
        for one in result["devicepipe"]["cases"]:
            del one["fingerprints"]

    def before(trace: dict[str, Any]) -> None:
        del trace["reviews"], trace["procedures"]

    assert verify(tmp_path, before, tests=unbound)
