"""What ships of a release that is kept although its key was revoked: what was verified, and nothing that came into its place."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyotp
import pytest

from devicepipe.errors import IntegrityError
from devicepipe.evidence.dsse import payload_unverified, sign_envelope
from devicepipe.evidence.production import ATTESTATION, production_folder, verify_production
from devicepipe.evidence.statement import canonical_text, parse_canonical
from devicepipe.evidence.verify import VerifiedBundle
from devicepipe.stages import releases_of_key
from tests.cli.calls import run
from tests.publication.publishing import pull, sign
from tests.publication.test_keys_of_publication import NEW, key_of, rotate, token
from tests.signing.softhsm import Token

__all__ = ["token"]

FIRMWARE = b"mine\n"


def forge(fetched: Path, stolen: Any) -> bytes:
    """Put firmware of one's own among the files that were fetched; returns the attestation of that, by the stolen key."""
    attestation = fetched / ATTESTATION
    said = parse_canonical(payload_unverified(attestation.read_bytes(), ATTESTATION), ATTESTATION)
    image = next(one for one in said.subjects if one.name.endswith("factory.hex"))
    (fetched / image.name).write_bytes(FIRMWARE)
    text = canonical_text(said).replace(image.digest.sha256.encode(), hashlib.sha256(FIRMWARE).hexdigest().encode())
    attestation.write_bytes(sign_envelope(text, stolen.signer, stolen.public))
    return attestation.read_bytes()


def test_what_is_put_in_the_place_of_what_ships_while_it_is_verified_is_not_kept(
    root: Path, bundle: Path, token: Token, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attestation was read once more after it was verified, which takes seconds: what lay there then counted for good, and so
    did the firmware of whoever had stolen the key, for everybody who was handed a folder that was fetched."""
    sign("publish", bundle, "mara", people)
    pull(root, first=True)
    stolen, fetched = key_of(root), root / "pulled/pump-1.2.3"
    forged = forge(fetched, stolen)
    place = production_folder(bundle) / ATTESTATION
    good = place.read_bytes()

    def exchanged(of: VerifiedBundle) -> object:
        found = verify_production(of)
        place.write_bytes(forged)
        return found

    rotate(root, token)
    monkeypatch.setattr(releases_of_key, "verify_production", exchanged)
    run("keys", "revoke", stolen.public.keyid, "--reason", "stolen", "--keep", bundle)
    place.write_bytes(good)
    trusted = ("--key", NEW, "--history", "keys/history")
    with pytest.raises(IntegrityError, match="was revoked on"):
        run("verify", fetched, *trusted)
    assert run("verify", bundle, *trusted)[1]["production"]
