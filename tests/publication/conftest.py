"""A product of its own for each test, with its team and an approved release, made once and copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest

from tests.cli.calls import cheap_passwords, run
from tests.publication.publishing import APPROVED, approve, enrol_all, make_release
from tests.traceability.test_reviews import make_project


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, pyotp.TOTP]]]:
    """The product with the approved release 1.2.3, and the authenticators of its team."""
    folder = tmp_path_factory.mktemp("product")
    make_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        cheap_passwords(patch)
        with pytest.MonkeyPatch.context() as inside:
            inside.chdir(folder)
            people = enrol_all()
            approve(make_release(folder).path, people)
        yield folder, people


@pytest.fixture
def root(product: tuple[Path, dict[str, pyotp.TOTP]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(product[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def people(product: tuple[Path, dict[str, pyotp.TOTP]]) -> dict[str, pyotp.TOTP]:
    """The authenticators of the team."""
    return product[1]


@pytest.fixture
def bundle(root: Path) -> Path:
    """The approved release, and a repository to publish it in."""
    assert run("repository", "init") == (
        0, {"version": 1, "file": str(root / "publication/root.json"), "published": True, "missing": ""}
    )  # fmt: skip
    return root / APPROVED
