"""What ships, across changes of keys: attested by the release key in force, under a production key that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.key_history import Signing, verify_history
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.production import ATTESTATION, PRODUCTION_KEY, VerifiedProduction, verify_production
from devicepipe.evidence.verify import verify_bundle
from tests.evidence.synthetic_bundle import Made, Pair, development_keys, make_bundle, production_pair
from tests.evidence.synthetic_production import Spoil, make_production
from tests.evidence.test_key_history import Making

OLD, NEW = development_keys().release, development_keys(1).release
SEALED, LATER = "2026-03-01T08:00:00Z", "2026-06-01T00:00:00Z"


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_bundle(tmp_path)


def signing(pair: Pair) -> Signing:
    return pair.signer, pair.public


def rotated(folder: Path) -> Making:
    """The release key was replaced in May; so far the images had their keys from January on."""
    old, new, production = signing(OLD), signing(NEW), signing(production_pair())
    history = Making(folder).add("begin", "release", old, old).add("begin", "production", production, old, production)
    return history.add("rotate", "release", new, old, new, replaces=OLD.public.keyid, on="2026-05-01T00:00:00.000000Z")


def on(time: str) -> Callable[[dict[str, Any]], object]:
    return lambda predicate: predicate.update(madeOn=time)


def check(made: Made, history: Making | None) -> VerifiedProduction:
    """As who trusts the present key does."""
    trust = KeyTrust.of(NEW.public, verify_history(history.folder)) if history is not None else OLD.public
    return verify_production(verify_bundle(made.path, trust))


def test_a_release_of_the_old_key_ships_under_the_new_one(made: Made, tmp_path: Path) -> None:
    make_production(made, spoil=Spoil(release_key=NEW, edit=on(LATER)))
    found = check(made, rotated(tmp_path / "history"))
    assert found.links[0].check.startswith(f"signed by the key {NEW.public.keyid}")
    with pytest.raises(IntegrityError, match="is signed by the key") as caught:
        check(made, None)
    assert caught.value.link == ATTESTATION


def test_what_the_old_key_attested_in_its_time_still_ships(made: Made, tmp_path: Path) -> None:
    make_production(made)
    assert check(made, rotated(tmp_path / "history")).production.made_on == SEALED


def test_a_release_key_attests_nothing_after_its_time(made: Made, tmp_path: Path) -> None:
    make_production(made, spoil=Spoil(edit=on(LATER)))
    with pytest.raises(IntegrityError, match=r"was made on .* with the release key .* replaced") as caught:
        check(made, rotated(tmp_path / "history"))
    assert caught.value.link == ATTESTATION


def test_a_production_key_signs_nothing_after_its_time(made: Made, tmp_path: Path) -> None:
    history, other = rotated(tmp_path / "history"), signing(production_pair(1))
    old = production_pair().public.keyid
    history.add("rotate", "production", other, signing(NEW), other, replaces=old, on="2026-05-02T00:00:00.000000Z")
    make_production(made)
    check(made, history)
    make_production(made, spoil=Spoil(release_key=NEW, edit=on(LATER)))
    with pytest.raises(IntegrityError, match=r"with the production key .* which was replaced") as caught:
        check(made, history)
    assert caught.value.link == PRODUCTION_KEY


@pytest.mark.parametrize("kept", [True, False])
def test_of_a_revoked_production_key_only_what_was_kept_ships(made: Made, tmp_path: Path, kept: bool) -> None:
    folder = make_production(made)
    digest = hashlib.sha256((folder / ATTESTATION).read_bytes()).hexdigest()
    history, production = rotated(tmp_path / "history"), signing(production_pair())
    on_may_2nd = "2026-05-02T00:00:00.000000Z"
    history.add("revoke", "production", production, signing(NEW), on=on_may_2nd, kept=[digest] if kept else [])
    if kept:
        check(made, history)
        # The same images, attested once more by whoever has the release key, are not what was kept.
        make_production(made, spoil=Spoil(release_key=NEW, edit=on(LATER)))
    with pytest.raises(IntegrityError, match=r"by the production key .*, which was revoked") as caught:
        check(made, history)
    assert caught.value.link == PRODUCTION_KEY
