"""What a change touches: down to what rests on it, up to what it verifies, and every test of these."""

from __future__ import annotations

import pytest

from devicepipe.documents.blocks import BLOCKS
from devicepipe.documents.touched import BLOCK_ITEMS, documents_showing
from devicepipe.evidence.trace import Item
from devicepipe.traceability.impact import Impact, State, TestState, impact
from tests.traceability.item_samples import sample

CHAIN = (
    sample("HAZ-001"),
    sample("RC-001", mitigates=["HAZ-001"]),
    sample("SRS-001", implements=["RC-001"]),
    sample("SRS-002", implements=["RC-001"]),
    sample("SRS-003"),
    sample("ANO-001", affects=["SRS-001"]),
)
TESTS = (
    TestState("t1", ("SRS-001",), "1"),
    TestState("t2", ("SRS-002",), "1"),
    TestState("t3", ("SRS-003",), "1"),
    TestState("works", ("RC-001",), "1"),
    TestState("none", (), "1"),
)


def state(*items: Item, tests: tuple[TestState, ...] = TESTS) -> State:
    return State("x", {item.id: item for item in items or CHAIN}, {test.id: test for test in tests})


def changed(*items: Item) -> State:
    new = {item.id: item for item in items}
    return state(
        *(new.get(item.id, item) for item in CHAIN),
        *(item for item in items if item.id not in {one.id for one in CHAIN}),
    )


def touched(found: Impact) -> dict[str, tuple[str, str]]:
    return {one.item.id: (one.way, one.by) for one in found.touched}


def again(found: Impact) -> dict[str, tuple[str, ...]]:
    return {one.test.id: one.why for one in found.again}


def test_nothing_changes_nothing() -> None:
    found = impact(state(), state())
    assert found.nothing
    assert (found.touched, found.again) == ((), ())


def test_a_changed_requirement_goes_down_and_up() -> None:
    found = impact(state(), changed(sample("SRS-001", text="Other.", implements=["RC-001"])))
    ((one),) = found.items
    assert (one.item.id, one.what) == ("SRS-001", "changed")
    assert [(change.attribute, change.before, change.after) for change in one.changes] == [
        ("Statement", "Text.", "Other.")
    ]
    assert touched(found) == {
        "HAZ-001": ("is verified by it", "RC-001"),
        "RC-001": ("is verified by it", "SRS-001"),
        "ANO-001": ("rests on it", "SRS-001"),
    }
    assert again(found) == {"t1": ("SRS-001",), "works": ("RC-001",)}


def test_a_changed_hazard_reaches_all_that_rests_on_it_in_turn() -> None:
    found = impact(state(), changed(sample("HAZ-001", fields={"severity": "critical"})))
    assert touched(found) == {
        "RC-001": ("rests on it", "HAZ-001"),
        "SRS-001": ("rests on it", "RC-001"),
        "SRS-002": ("rests on it", "RC-001"),
        "ANO-001": ("rests on it", "SRS-001"),
    }
    assert set(again(found)) == {"t1", "t2", "works"}


def test_what_is_removed_leaves_its_links_behind() -> None:
    found = impact(state(), state(*CHAIN[:2], *CHAIN[3:5]))
    assert [(one.item.id, one.what) for one in found.items] == [("SRS-001", "removed"), ("ANO-001", "removed")]
    assert set(touched(found)) == {"HAZ-001", "RC-001"}


def test_what_is_added_touches_what_it_rests_on() -> None:
    found = impact(state(), changed(sample("SRS-004", implements=["RC-001"])))
    assert [(one.item.id, one.what) for one in found.items] == [("SRS-004", "added")]
    assert set(touched(found)) == {"HAZ-001", "RC-001"}


def test_moving_an_item_is_no_change() -> None:
    moved = CHAIN[2].model_copy(update={"file": "other.md", "line": 3})
    assert impact(state(), changed(moved)).nothing


def test_tests_that_changed() -> None:
    tests = (
        TestState("t1", ("SRS-001",), "2"),
        TestState("t2", ("SRS-001",), "1"),
        TestState("new", ("SRS-003",), "1"),
        *TESTS[3:],
    )
    found = impact(state(), state(tests=tests))
    assert {one.test.id: (one.what, one.why) for one in found.tests} == {
        "t1": ("changed", "its source"),
        "t2": ("changed", "no longer verifies SRS-002; now verifies SRS-001"),
        "new": ("added", ""),
        "t3": ("removed", "it verified SRS-003"),
    }
    assert again(found) == {"t1": ("its own change",), "t2": ("its own change",), "new": ("its own change",)}


def test_without_tests_on_one_side_none_is_compared() -> None:
    before = State("x", {item.id: item for item in CHAIN})
    assert impact(before, state()).nothing


def test_circles_end() -> None:
    one, two = sample("SRS-001", refines=["SRS-002"]), sample("SRS-002", refines=["SRS-001"])
    found = impact(state(one, two), state(sample("SRS-001", text="Other.", refines=["SRS-002"]), two))
    assert set(touched(found)) == {"SRS-002"}


def test_as_json_and_as_lines() -> None:
    found = impact(state(), changed(sample("SRS-001", text="Other.", implements=["RC-001"])))
    document = found.to_json()
    assert document["items"][0]["changes"] == [{"attribute": "Statement", "before": "Text.", "after": "Other."}]
    assert [one["id"] for one in document["runAgain"]] == ["t1", "works"]
    lines = list(found.lines())
    assert len({len(line) for line in lines}) == 1
    assert ("item", "SRS-001", "requirement", "SRS-001", "r.md", "7", "changed", "Statement") in lines


@pytest.mark.parametrize("block", BLOCK_ITEMS)
def test_blocks_that_show_items_exist(block: str) -> None:
    assert block in BLOCKS


def test_documents_are_those_that_show_what_is_touched() -> None:
    anomalies = documents_showing({"anomaly"}, {})
    assert "Unresolved Anomalies" in anomalies
    assert "Software Requirements Specification" not in anomalies
    assert documents_showing(set(), {}) == []
    assert "Unresolved Anomalies" not in documents_showing(
        {"anomaly"}, {"unresolved-anomalies.toml": "enabled = false\n"}
    )
    own = {"plan.toml": 'title = "Plan"\n[sections.a]\nblocks = ["hazards"]\n'}
    assert documents_showing({"hazard"}, own)[-1] == "Plan"
