"""`devicepipe trace impact`, `baseline` and `show`, in a repository."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_trace_review import commit, edit, git, refused, root, shown
from tests.evidence.synthetic_bundle import Spoil, make_bundle

__all__ = ["root"]  # a fixture

TESTS = '''import pytest


@pytest.mark.verifies("SRS-001")
def test_range(device):
    """It takes 1."""


@pytest.mark.verifies("RC-001", kind="effectiveness")
def test_limit(device):
    """It gives no more."""
'''


@pytest.fixture
def product(root: Path) -> Path:
    (root / "hil/test_pump.py").write_text(TESTS)
    commit(root)
    git(root, "tag", "v1")
    edit(root, "1 to 10 ml/h.", "1 to 20 ml/h.")
    return root


def impact(*arguments: str) -> Any:
    return json.loads(shown("impact", *arguments, "--json"))


def test_between_a_tag_and_the_working_tree(product: Path) -> None:
    found = impact("v1..")
    (changed,) = found["items"]
    assert (changed["id"], changed["what"], changed["line"]) == ("SRS-001", "changed", 13)
    assert changed["changes"] == [{"attribute": "Statement", "before": "1 to 10 ml/h.", "after": "1 to 20 ml/h."}]
    assert {one["id"]: one["way"] for one in found["touched"]} == {
        "HAZ-001": "is verified by it",
        "RC-001": "is verified by it",
    }
    assert {one["id"]: one["for"] for one in found["runAgain"]} == {
        "hil/test_pump.py::test_range": ["SRS-001"],
        "hil/test_pump.py::test_limit": ["RC-001"],
    }
    assert "Traceability Matrix" in found["documents"]
    assert impact("v1", "v1")["items"] == []


def test_between_commits_and_baselines(product: Path) -> None:
    shown("baseline", "old.json", "--at", "v1")
    shown("baseline", "new.json")
    commit(product)
    whole = impact("v1..HEAD")
    for states in (("old.json..new.json",), ("old.json", "new.json"), ("v1..new.json",), ("old.json",)):
        found = impact(*states)
        assert {key: found[key] for key in found if key not in ("before", "after")} == {
            key: whole[key] for key in whole if key not in ("before", "after")
        }


def test_a_changed_test_and_a_table(product: Path) -> None:
    file = product / "hil/test_pump.py"
    file.write_text(file.read_text().replace("It takes 1.", "It takes 2."))
    text = shown("impact", "v1", "--csv", "impact.csv")
    for line in (
        "changed  SRS-001 Range",
        "changed  hil/test_pump.py::test_range: its source",
        "to be run again: 2 tests",
    ):
        assert line in text
    with (product / "impact.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["sort"] for row in rows} == {"item", "touched", "test", "run again", "document"}


def test_a_bundle_against_the_tree(product: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    def trace(predicate: dict[str, Any]) -> None:
        items = json.loads((product / "old.json").read_text())["items"]
        predicate["items"] = items

    shown("baseline", "old.json", "--at", "v1")
    made = make_bundle(tmp_path_factory.mktemp("bundle"), spoil=Spoil(edit={"traceability": trace}))
    found = impact(str(made.path), "")
    assert [one["id"] for one in found["items"]] == ["SRS-001"]
    assert {one["what"] for one in found["tests"]} == {"added", "removed"}


def test_what_is_no_state_is_refused(product: Path) -> None:
    assert "there is no commit 'v9'" in refused("impact", "v9..").message
    (product / "x.json").write_text("{}")
    assert "is no baseline" in refused("impact", "x.json..").message
    assert "is no bundle of a release" in refused("impact", "hil..v1").message


# --- show


def test_an_item_with_all_above_and_below(product: Path) -> None:
    found = json.loads(shown("show", "RC-001", "--json"))
    assert [(one["id"], one["link"]) for one in found["above"]] == [("HAZ-001", "mitigates")]
    requirement, test = found["below"]
    assert (requirement["id"], requirement["link"]) == ("SRS-001", "implements")
    assert [one["id"] for one in requirement["below"]] == ["test_pump.py::test_range"]
    assert test["id"] == "test_pump.py::test_limit"
    text = shown("show", "RC-001")
    for line in ("RC-001 Limit", "It refuses.", "└─ mitigates HAZ-001 Too much", "├─ implements it SRS-001 Range"):
        assert line in text


def test_an_item_of_a_bundle_with_its_verdicts(product: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    shown("baseline", "old.json", "--at", "v1")
    items = json.loads((product / "old.json").read_text())["items"]
    edits = {"traceability": lambda predicate: predicate.update(items=items)}
    made = make_bundle(tmp_path_factory.mktemp("bundle"), spoil=Spoil(edit=edits))
    found = json.loads(shown("show", "SRS-001", "--bundle", str(made.path), "--json"))
    assert {one["id"]: one["verdicts"] for one in found["below"]} == {
        **{f"hil/test_pump.py::test_{number}": {"alpha": "passed"} for number in (1, 2)},
        "unit: core.adds": {"host": "passed"},
    }
    assert "alpha passed" in shown("show", "SRS-001", "--bundle", str(made.path))


def test_an_unknown_item_is_refused_with_near_ones(product: Path) -> None:
    assert "did you mean SRS-001" in refused("show", "SRS-01").remedy
