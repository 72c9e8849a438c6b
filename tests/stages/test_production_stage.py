"""What the production stage finds out before anything is built. What it makes is in tests/product/test_production.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from devicepipe.project.config import load_project
from devicepipe.stages.production import check_devices, check_ships, open_production_key
from tests.evidence import synthetic_bundle
from tests.evidence.synthetic_bundle import PRODUCTION_FILE, Pair, Spoil, development_keys, make_bundle, production_pair
from tests.stages.test_sign_stage import context_of


@pytest.fixture
def bundle(tmp_path_factory: pytest.TempPathFactory) -> VerifiedBundle:
    return verify_bundle(make_bundle(tmp_path_factory.mktemp("release")).path, development_keys().release.public)


def product(root: Path, keys: str = "", public: bytes = b"") -> Path:
    """A product with a production key's public half, and these lines of [keys]."""
    context_of(root)
    (root / "keys").mkdir()
    (root / PRODUCTION_FILE).write_bytes(public or production_pair().public.pem)
    config = root / "devicepipe.toml"
    config.write_text(f"{config.read_text(encoding='utf-8')}\n[keys]\n{keys}", encoding="utf-8")
    return config


def test_a_release_that_nobody_approved_does_not_ship(bundle: VerifiedBundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the release is a draft: only an approved one") as caught:
        check_ships(load_project(product(tmp_path)), bundle)
    assert "devicepipe approvals" in caught.value.remedy


def test_a_board_without_an_emulator_is_told_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="board 'one' has no emulator"):
        check_devices(load_project(product(tmp_path)))


@pytest.mark.parametrize(
    ("keys", "key", "why"),
    [
        ("", "keys.production", "no production key is configured"),
        (f'production-public = "{PRODUCTION_FILE}"\n', "keys.production", "no production key is configured"),
        ('production = "file:key.pem"\n', "keys.production-public", "no production key is configured"),
        (f'production = "file:key.pem"\nproduction-public = "{PRODUCTION_FILE}"\n', None, "cannot be read"),
        (f'production = "nobody:key"\nproduction-public = "{PRODUCTION_FILE}"\n', None, "unknown signer 'nobody:'"),
    ],
)
def test_a_production_key_that_is_not_configured_is_told_with_its_place(
    tmp_path: Path, bundle: VerifiedBundle, keys: str, key: str | None, why: str
) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        open_production_key(load_project(product(tmp_path, keys)), bundle)
    assert caught.value.key == key
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (b"", "no production key was configured in the devicepipe.toml that was released"),
        (b'[keys]\nproduction-public = "elsewhere.pem"\n', "'elsewhere.pem', is no file of its commit"),
    ],
)
def test_a_release_that_names_no_production_key_is_a_mistake_of_the_user(tmp_path: Path, keys: bytes, why: str) -> None:
    """It was told as evidence that does not hold, with "is None"."""
    board = b'[[board]]\nname = "alpha"\nmanifest = "boards/alpha.json"\napplication = "alpha"\nbootloader = "alpha"\n'
    config = Spoil(files={"evidence/source/devicepipe.toml": b'[product]\nname = "pump"\n' + board + keys})
    (tmp_path / "release").mkdir()
    (tmp_path / "product").mkdir()
    made = make_bundle(tmp_path / "release", spoil=config)
    bundle = verify_bundle(made.path, made.keys.release.public)
    with pytest.raises(UsageError, match=why) as caught:
        open_production_key(load_project(product(tmp_path / "product")), bundle)
    assert (caught.value.exit_code, caught.value.key) == (2, "keys.production-public")
    assert "as a new version" in caught.value.remedy


@pytest.mark.parametrize(
    ("other", "why"), [("development", "is a development key"), ("bench", "is the key of the tested")]
)
def test_a_key_that_must_not_ship_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str, why: str
) -> None:
    """Also where the release names it as production key, and people approved that."""
    keys = development_keys()
    pair: Pair = development_keys(3).image if other == "development" else production_pair(2)
    monkeypatch.setattr(synthetic_bundle, "production_pair", lambda: pair)
    if other == "bench":
        keys = synthetic_bundle.Keys(pair, keys.release)
    folder = tmp_path / "release"
    folder.mkdir()
    bundle = verify_bundle(make_bundle(folder, keys=keys).path, keys.release.public)
    root = tmp_path / "product"
    root.mkdir()
    lines = f'production = "file:key.pem"\nproduction-public = "{PRODUCTION_FILE}"\n'
    with pytest.raises(UsageError, match=why):
        open_production_key(load_project(product(root, lines, pair.public.pem)), bundle)
