"""A product, its people with their authenticators, and a release of it, for the commands."""

from __future__ import annotations

import functools
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.accounts import AccountRules
from devicepipe.approval.secret_box import Cost
from devicepipe.project.config import load_project
from devicepipe.stages.context import open_keys
from tests.cli.calls import WORDS, run
from tests.evidence.synthetic_bundle import Keys, Pair, make_bundle
from tests.traceability.test_reviews import make_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    cheap = functools.partial(AccountRules, cost=Cost(memory_kib=64, iterations=1, lanes=1))
    monkeypatch.setattr("devicepipe.stages.approval.AccountRules", cheap)
    return tmp_path


@pytest.fixture
def bundle(root: Path) -> Path:
    """A release of the project's keys."""
    keys = open_keys(load_project(root / "devicepipe.toml"))
    (root / "dist").mkdir()
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    return make_bundle(root / "dist", keys=pairs).path


@pytest.fixture
def people(root: Path) -> dict[str, pyotp.TOTP]:
    """The authenticators of the team."""
    found: dict[str, pyotp.TOTP] = {}
    for id_, role in (("eva", "engineer"), ("ron", "reviewer"), ("quinn", "qa")):
        words = ("account", "add", id_, "--name", id_.title(), "--email", f"{id_}@example.com", "--role", role)
        _, told = run(*words, secrets=(WORDS[id_],))
        totp = pyotp.parse_uri(told["authenticator"])
        assert isinstance(totp, pyotp.TOTP)
        found[id_] = totp
    return found
