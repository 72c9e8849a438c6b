"""A product of its own for each test, its team, and an approved release of it with a repository to publish it in."""

from __future__ import annotations

import functools
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.accounts import AccountRules
from devicepipe.approval.secret_box import Cost
from tests.cli.calls import run
from tests.publication.publishing import approve, enrol, make_release
from tests.traceability.test_reviews import make_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cheap = functools.partial(AccountRules, cost=Cost(memory_kib=64, iterations=1, lanes=1))
    monkeypatch.setattr("devicepipe.stages.approval.AccountRules", cheap)
    return tmp_path


@pytest.fixture
def people(root: Path) -> dict[str, pyotp.TOTP]:
    """The authenticators of the team."""
    assert root
    return enrol()


@pytest.fixture
def bundle(root: Path, people: dict[str, pyotp.TOTP]) -> Path:
    """An approved release, and a repository to publish it in."""
    made = make_release(root)
    approve(made.path, people)
    assert run("repository", "init") == (
        0, {"version": 1, "file": str(root / "publication/root.json"), "published": True, "missing": ""}
    )  # fmt: skip
    return made.path
