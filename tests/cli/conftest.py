"""A product, its people with their authenticators, and a release of it, for the commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest

from devicepipe.project.config import load_project
from devicepipe.signing.keys import ECDSA_P256, ED25519
from devicepipe.stages.context import open_keys
from tests.cli.calls import TEAM, WORDS, cheap_passwords, enrol
from tests.cli.rotation import Rotated, rotate
from tests.evidence.synthetic_bundle import Keys, Pair, make_bundle
from tests.signing.softhsm import Token, softhsm_tokens
from tests.traceability.test_reviews import make_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    cheap_passwords(monkeypatch)
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
    assert root
    return {who: enrol(who, WORDS[who], role) for who, role in TEAM.items()}


@pytest.fixture
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    with softhsm_tokens(tmp_path_factory.mktemp("hsm")) as tokens:
        yield tokens.make("vault")


@pytest.fixture(params=[ED25519, ECDSA_P256])
def rotated(root: Path, people: dict[str, pyotp.TOTP], token: Token, request: pytest.FixtureRequest) -> Rotated:
    """A product whose release key was rotated."""
    return rotate(root, people, token, request.param)
