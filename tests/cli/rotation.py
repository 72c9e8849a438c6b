"""A product whose release key was rotated, for the commands."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp

from devicepipe.evidence.key_uses import use_of_key
from devicepipe.project.config import load_project
from devicepipe.signing.keys import PublicKey
from devicepipe.stages import ledger
from devicepipe.stages.context import open_keys
from tests.cli.calls import WORDS, run, sign
from tests.evidence.synthetic_bundle import Keys, Made, Pair, Spoil, make_bundle
from tests.signing.softhsm import Token

REASON = "planned change of keys"
HISTORY = Path("keys/history")


def configure(root: Path, **values: str) -> None:
    """Set [keys] of devicepipe.toml."""
    path = root / "devicepipe.toml"
    text = path.read_text().partition("\n[keys]")[0]
    lines = "".join(f"{key.replace('_', '-')} = {json.dumps(value)}\n" for key, value in values.items())
    path.write_text(f"{text}\n[keys]\n{lines}")


def own_keys(root: Path) -> Keys:
    keys = open_keys(load_project(root / "devicepipe.toml"))
    return Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))


def log_seal(root: Path, made: Made) -> None:
    """Log that a release was sealed, as the last stage of a real one does."""
    key, data = made.keys.release.public, (made.path / "release.json").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    use = use_of_key(key.keyid, "release statement", made.path.name, digest, at="2026-01-01T00:00:00Z")
    ledger.append(load_project(root / "devicepipe.toml"), [use])


def release(
    root: Path, version: str, sealed: str | None = None, keys: Keys | None = None, *, logged: bool = True
) -> Made:
    """A release of a product; the log has it unless a thief makes it."""
    edit = Spoil(edit={"release": lambda data: data.update(sealedOn=sealed)}) if sealed else Spoil()
    made = make_bundle(root / "dist", keys=keys or own_keys(root), version=version, name=f"pump-{version}", spoil=edit)
    if logged:
        log_seal(root, made)
    return made


@dataclass
class Rotated:
    """A product whose release key was rotated from a development key to one on a token."""

    root: Path
    token: Token
    first: Path
    old: Path
    new: Path
    old_keys: Keys
    people: dict[str, pyotp.TOTP]


def prepare(root: Path, people: dict[str, pyotp.TOTP]) -> Keys:
    """Release and sign under the development keys; returns the keys."""
    (root / "dist").mkdir()
    first = release(root, "1.0.0").path
    sign("submit", first, "eva", WORDS["eva"], people["eva"].now())
    sign("approve", first, "ron", WORDS["ron"], people["ron"].now())
    return own_keys(root)


def rotate(root: Path, people: dict[str, pyotp.TOTP], token: Token, scheme: str) -> Rotated:
    """Rotate the release key to one on a token; what it signed before is made where it is not there."""
    first = root / "dist/pump-1.0.0"
    old_keys = own_keys(root) if first.is_dir() else prepare(root, people)
    old, new = root / "release-1.pub.pem", root / "release-2.pub.pem"
    shutil.copy(root / ".devicepipe/keys/release.pub.pem", old)
    uri = token.uri("release")
    run("keys", "make", uri, "--public", new, "--scheme", scheme)
    _, told = run("keys", "rotate", "release", "--signer", uri, "--public", new, "--reason", REASON)
    assert told["files"] == [
        "keys/history/0001.dsse.json",
        "keys/history/0002.dsse.json",
        "keys/history/0001.tlog-proof",
        "keys/history/0002.tlog-proof",
        "approval/roster.dsse.json",
    ]
    configure(root, release=uri, release_public=new.name)
    return Rotated(root, token, first, old, new, old_keys, people)


def verify(bundle: Path, key: Path, *more: object) -> dict[str, Any]:
    told: dict[str, Any] = run("verify", bundle, "--key", key, *more)[1]
    return told


def revoke(rotated: Rotated, *keep: Path) -> dict[str, Any]:
    words = [word for path in keep for word in ("--keep", path)]
    keyid = PublicKey.load(rotated.old).keyid
    told: dict[str, Any] = run("keys", "revoke", keyid[:20], "--reason", "laptop stolen", "--keep-no-others", *words)[1]
    return told
