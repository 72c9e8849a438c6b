"""Publication with keys on a token, and across a rotation and a revocation of the release key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest

from devicepipe.distribution.pulling import WithdrawnError
from devicepipe.errors import IntegrityError
from devicepipe.evidence.key_history import verify_history
from devicepipe.signing.keys import PublicKey
from tests.cli.calls import run
from tests.cli.rotation import configure
from tests.publication.publishing import pull, sign, stock
from tests.signing.softhsm import Token, softhsm_tokens

NEW = "release-2.pub.pem"


@pytest.fixture
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    with softhsm_tokens(tmp_path_factory.mktemp("hsm")) as tokens:
        yield tokens.make("vault")


@pytest.fixture
def published(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> Path:
    """A release that was published under the project's first release key."""
    sign("publish", bundle, "mara", people)
    return bundle


def rotate(root: Path, token: Token) -> None:
    """Give the project another release key, on a token."""
    uri = token.uri("release")
    run("keys", "make", uri, "--public", root / NEW)
    run("keys", "rotate", "release", "--signer", uri, "--public", root / NEW, "--reason", "planned")
    configure(root, release=uri, release_public=NEW)


def test_the_keys_of_a_repository_are_on_a_token(root: Path, token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, scheme in (("root", "ecdsa-sha2-nistp256"), ("targets", "ed25519"), ("online", "ed25519")):
        run("keys", "make", token.uri(name), "--public", root / f"{name}.pub.pem", "--scheme", scheme)

    def key(name: str) -> str:
        return f'keys = [{{ public = "{name}.pub.pem", signer = {json.dumps(token.uri(name))} }}]'

    config = root / "devicepipe.toml"
    roles = {"root": "root", "targets": "targets", "snapshot": "online", "timestamp": "online"}
    config.write_text(
        config.read_text() + "".join(f"[publication.{role}]\n{key(name)}\n" for role, name in roles.items())
    )
    assert run("repository", "init")[1]["published"] is True
    assert run("repository", "refresh", "--all")[1]["renewed"] == ["targets", "snapshot", "timestamp"]
    assert run("repository", "rotate")[1]["version"] == 2
    stock(root).refresh()


def test_a_release_is_pulled_and_withdrawn_across_a_rotation(
    root: Path, published: Path, token: Token, people: dict[str, pyotp.TOTP]
) -> None:
    rotate(root, token)
    new = ("--root", "publication/root.json", "--key", NEW)
    with pytest.raises(IntegrityError) as caught:
        pull(root, *new, trust="without-history")
    assert caught.value.link == "release/release.json.dsse"
    assert pull(root, *new, "--history", "keys/history")["version"] == "1.2.3"
    assert pull(root, "--history", "keys/history")["new"] is False  # the key was kept
    of_another_product = replace(verify_history(root / "keys/history"), product="valve")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("devicepipe.evidence.key_history.verify_history", lambda _: of_another_product)
        with pytest.raises(IntegrityError, match="is of the keys of 'valve', not of 'pump'"):
            pull(root, "--history", "keys/history")
    assert run("publish", published)[1]["changed"] is False
    sign("unpublish", published, "quinn", people, "Field report 9")
    with pytest.raises(WithdrawnError):
        pull(root, "1.2.3", "--history", "keys/history")


@pytest.mark.parametrize("kept", [False, True])
def test_of_a_revoked_key_only_what_is_kept_is_pulled(root: Path, published: Path, token: Token, kept: bool) -> None:
    old = root / "old.pub.pem"
    shutil.copy(root / ".devicepipe/keys/release.pub.pem", old)
    rotate(root, token)
    keep = ("--keep", published) if kept else ()
    run("keys", "revoke", PublicKey.load(old).keyid, "--reason", "stolen", *keep)
    trusted = ("--root", "publication/root.json", "--history", "keys/history")
    with pytest.raises(IntegrityError, match="was revoked on"):
        pull(root, *trusted, "--key", "old.pub.pem", trust="other")
    if kept:
        assert pull(root, *trusted, "--key", NEW)["version"] == "1.2.3"
        return
    with pytest.raises(IntegrityError, match=r"was revoked on .*: stolen"):
        pull(root, *trusted, "--key", NEW)
    with pytest.raises(IntegrityError, match="was revoked on"):
        run("publish", published)
