"""The history of a release: what git says, and the link that verify checks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from devicepipe.build.history import read_history
from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation
from devicepipe.evidence.history import HISTORY, EarlierRelease, History, Version
from devicepipe.evidence.history_links import check_history
from devicepipe.evidence.layout import SOURCE_FILES, kind_named
from devicepipe.evidence.model import Model
from devicepipe.evidence.statement import canonical_text, make_statement, parse_canonical
from tests.documents.release_records import source

SHA = "a" * 64
COMMIT = source().commit


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, name: str, message: str) -> str:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(message, encoding="utf-8")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


def test_versions_are_tags_that_look_like_one_and_changes_follow_the_newest(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    first = commit(tmp_path, "a", "one")
    git(tmp_path, "tag", "-a", "v1.0.0", "-m", "The first")
    git(tmp_path, "tag", "not-a-version")
    commit(tmp_path, "b", "fix: what SRS-001 asks for\n\nRefs: HAZ-002, SRS-0010")
    head = commit(tmp_path, "c d", "über µl")
    git(tmp_path, "tag", "v1.1.0")
    history = read_history(tmp_path, head, {"SRS-001", "HAZ-002"})
    assert [(one.name, one.commit, one.note) for one in history.versions] == [("v1.0.0", first, "The first")]
    assert (history.since, history.left_out) == ("v1.0.0", 0)
    newest, older = history.changes
    assert (newest.commit, newest.subject, newest.author, newest.files, newest.items) == (head, "über µl", "Ada", 1, [])
    assert older.items == ["HAZ-002", "SRS-001"]


def test_a_merge_that_undoes_a_change_is_told_with_what_it_undid(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    old = commit(tmp_path, "a", "one")
    fix = commit(tmp_path, "a", "fix: safety")
    merge = git(tmp_path, "commit-tree", f"{old}^{{tree}}", "-p", fix, "-p", old, "-m", "merge")
    history = read_history(tmp_path, merge, ())
    assert [change.subject for change in history.changes] == ["merge", "fix: safety", "one"]
    assert history.left_out == 0


def test_without_a_version_all_commits_are_told_and_those_of_other_folders_are_not(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commit(tmp_path, "product/a", "ours")
    head = commit(tmp_path, "other/a", "theirs")
    history = read_history(tmp_path / "product", head, ())
    assert (history.versions, history.since) == ([], "")
    assert [change.subject for change in history.changes] == ["ours"]


def earlier(**changed: object) -> EarlierRelease:
    values: dict[str, object] = {
        "product": "infusion-pump", "version": "0.0.9", "commit": "b" * 40, "started_on": "2026-01-01T00:00:00Z",
        "statement": SHA, "releasable": True, "development_keys": True, "requirements": 1, "verified": 1, "open_anomalies": [],
        "items": {}, "titles": {}, "tests": {}, "images": {}, "boards": [],
    }  # fmt: skip
    return EarlierRelease.model_validate(values | changed)


def version(name: str) -> Version:
    return Version(name=name, commit="b" * 40, time="2026-01-01T00:00:00Z")


def attested(predicate: Model, subject: str = SOURCE_FILES) -> Attestation:
    kind = kind_named("history")
    path = kind.path_for()
    statement = parse_canonical(canonical_text(make_statement(HISTORY, predicate, {subject: SHA}, path)), path)
    return Attestation(path, kind, "", SHA, statement)


def history(**changed: object) -> History:
    values: dict[str, object] = {
        "commit": COMMIT, "versions": [version("v0.0.9")], "since": "v0.0.9", "changes": [], "earlier": [earlier()],
    }  # fmt: skip
    return History.model_validate(values | changed)


def test_a_history_of_the_released_commit_holds() -> None:
    assert "1 versions" in check_history(attested(history()), source()).check


@pytest.mark.parametrize(
    ("changed", "subject", "said"),
    [
        ({"commit": "c" * 40}, SOURCE_FILES, "its commit"),
        ({}, "evidence/other", "is not about"),
        ({"versions": [version("v1"), version("v1")], "since": "v1"}, SOURCE_FILES, "version twice"),
        ({"since": ""}, SOURCE_FILES, "lists the changes since"),
        ({"earlier": [earlier(), earlier()]}, SOURCE_FILES, "earlier release twice"),
        ({"earlier": [earlier(product="other")]}, SOURCE_FILES, "its product"),
        ({"earlier": [earlier(started_on="2027-01-01T00:00:00Z")]}, SOURCE_FILES, "was started later"),
    ],
)
def test_another_history_does_not(changed: dict[str, object], subject: str, said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        check_history(attested(history(**changed), subject), source())
