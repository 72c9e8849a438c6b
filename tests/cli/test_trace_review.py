"""`devicepipe trace review`: what it shows, writes and refuses, in a repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from devicepipe.cli.main import cli
from devicepipe.errors import UsageError
from tests.traceability.test_reviews import make_project

ITEMS = """# Pump

## HAZ-001 Too much
- severity: critical

More than was set.

## RC-001 Limit
- mitigates: HAZ-001

It refuses.

## SRS-001 Range
- implements: RC-001

1 to 10 ml/h.
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path)
    (tmp_path / "requirements/pump.md").write_text(ITEMS)
    for folder in ("firmware", "hil"):
        (tmp_path / folder / "README.md").write_text("Nothing.\n")
    (tmp_path / ".gitignore").write_text("/.devicepipe/\n")
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVICEPIPE_TESTER", "A. Tester")
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=A. Tester", "-c", "user.email=a@example.org", *arguments], cwd=root, check=True
    )


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "items")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["trace", *arguments], standalone_mode=False)


def shown(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exception is None, result.exception
    return result.output


def refused(*arguments: str) -> UsageError:
    error = run(*arguments).exception
    assert isinstance(error, UsageError), error
    return error


def edit(root: Path, old: str, new: str) -> None:
    file = root / "requirements/pump.md"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def written(root: Path) -> dict[str, Any]:
    lines = (root / "requirements/reviews.jsonl").read_text().splitlines()
    return {one["item"]: one for one in map(json.loads, lines)}


def findings() -> list[tuple[str, str, int]]:
    told = json.loads(run("check", "--json").output)["findings"]
    return [(one["kind"], one["item"], one["line"]) for one in told if "review" in one["kind"] or "susp" in one["kind"]]


def test_a_project_without_reviews_is_left_alone(root: Path) -> None:
    assert findings() == []
    assert not (root / "requirements/reviews.jsonl").exists()


def test_a_review_says_who_when_and_of_what(root: Path) -> None:
    text = shown("review", "RC-001", "--note", "looked at it")
    assert "nobody has reviewed it yet" in text
    assert "It refuses." in text
    made = written(root)["RC-001"]
    assert (made["by"], made["note"]) == ("A. Tester", "looked at it")
    assert set(made["links"]) == {"HAZ-001"}
    assert findings() == [("unreviewed-item", "HAZ-001", 3), ("unreviewed-item", "SRS-001", 13)]


def test_the_difference_is_shown_before_it_is_written(root: Path) -> None:
    shown("review", "--all", "--note", "first")
    commit(root)
    edit(root, "More than was set.", "More than was ordered.")
    edit(root, "It refuses.", "It refuses, and says so.")
    assert findings() == [
        ("changed-since-review", "HAZ-001", 3),
        ("changed-since-review", "RC-001", 8),
        ("suspect-link", "RC-001", 8),
        ("suspect-link", "SRS-001", 13),
    ]
    before = written(root)
    text = shown("review", "RC-001", "--dry-run")
    assert written(root) == before
    for line in (
        "- It refuses.",
        "+ It refuses, and says so.",
        "HAZ-001, which it rests on",
        "+ More than was ordered.",
    ):
        assert line in text
    document = json.loads(shown("review", "--all", "--note", "second", "--json"))
    assert [one["item"] for one in document["items"]] == ["HAZ-001", "RC-001", "SRS-001"]
    assert document["items"][2]["changed"] == []
    assert set(document["items"][2]["changedParents"]) == {"RC-001"}
    assert findings() == []
    assert "every item is reviewed" in shown("review", "--all", "--note", "third")
    assert {one["note"] for one in written(root).values()} == {"second"}


def test_what_no_commit_has_is_told_by_name(root: Path) -> None:
    edit(root, "It refuses.", "It waits.")
    shown("review", "--all", "--note", "first")
    edit(root, "It waits.", "It stops.")
    assert "changed since: Statement (what it was is in no commit)" in shown("review", "RC-001", "--dry-run")


def test_an_item_that_is_gone_can_be_forgotten(root: Path) -> None:
    shown("review", "--all", "--note", "first")
    file = root / "requirements/pump.md"
    file.write_text(file.read_text().partition("## SRS-001")[0])
    assert findings() == [("review-of-unknown-item", "SRS-001", 3)]
    shown("review", "--forget-unknown", "--dry-run")
    assert set(written(root)) == {"HAZ-001", "RC-001", "SRS-001"}
    shown("review", "--forget-unknown")
    assert set(written(root)) == {"HAZ-001", "RC-001"}


def test_mistakes_are_refused_and_nothing_is_written(root: Path) -> None:
    assert "did you mean SRS-001" in refused("review", "SRS-0001", "--note", "x").remedy
    assert "--note" in refused("review", "SRS-001").message
    assert "either items, or --all" in refused("review", "SRS-001", "--all", "--note", "x").message
    assert "either items, or --all" in refused("review", "--note", "x").message
    assert not (root / "requirements/reviews.jsonl").exists()
