"""Mistakes with keys: told before anything is written, with what to do."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyotp
import pytest

from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.key_history import verify_history
from devicepipe.signing.keys import ED25519, PublicKey
from devicepipe.signing.secret_sources import forget_secret
from tests.cli.calls import WORDS as SIGNERS
from tests.cli.calls import entries, run, sign
from tests.cli.rotation import HISTORY, Rotated, configure, release, verify
from tests.signing.softhsm import Token

WORDS = "correct horse battery"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A terminal on which somebody types these answers; returns what they were asked."""

    def types(*answers: str) -> list[str]:
        asked: list[str] = []
        left = list(answers)

        def getpass(prompt: str) -> str:
            asked.append(prompt)
            return left.pop(0)

        forget_secret("r.key.pem")
        monkeypatch.setattr("devicepipe.signing.secret_sources.getpass.getpass", getpass)
        # The runner of commands has a standard input of its own.
        tty = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr("devicepipe.signing.secret_sources.sys", tty)
        return asked

    return types


def make_key() -> Any:
    return run("keys", "make", "file:r.key.pem", "--public", "r.pub.pem")


# --- rotation ---


def test_a_rotation_that_is_refused_writes_nothing(root: Path, people: dict[str, pyotp.TOTP], token: Token) -> None:
    """The present key named as the new one, whose beginning stayed in the history; an image key that makes no images."""
    assert people
    run("keys")
    present = root / ".devicepipe/keys/release.pub.pem"
    for role in ("release", "image", "production"):
        words = ("--signer", "file:.devicepipe/keys/release.key.pem", "--public", present, "--reason", "same")
        with pytest.raises(UsageError, match="no key comes in twice"):
            run("keys", "rotate", role, *words)
    run("keys", "make", token.uri("curve"), "--public", "curve.pub.pem", "--scheme", "ecdsa-sha2-nistp256")
    with pytest.raises(UsageError, match="images are signed with ed25519"):
        run("keys", "rotate", "image", "--signer", token.uri("curve"), "--public", "curve.pub.pem", "--reason", "x")
    assert not (root / HISTORY).exists()
    assert entries("key-change") == []


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_a_release_that_would_fall_keeps_a_revocation_from_being_written(rotated: Rotated) -> None:
    other = release(rotated.root, "1.0.1", keys=rotated.old_keys).path
    words = ("keys", "revoke", PublicKey.load(rotated.old).keyid, "--reason", "stolen")
    with pytest.raises(UsageError, match=r"for good: dist/pump-1\.0\.0; dist/pump-1\.0\.1\n") as caught:
        run(*words)
    assert "--keep dist/pump-1.0.0 --keep dist/pump-1.0.1;" in (caught.value.remedy or "")
    with pytest.raises(UsageError, match=r"for good: dist/pump-1\.0\.1\n"):
        run(*words, "--keep", rotated.first)
    # Of an image key that the history does not have yet, its beginning is not written either.
    image = run("keys")[1]["image"]["keyid"]
    with pytest.raises(UsageError, match="would count no longer"):
        run("keys", "revoke", image, "--reason", "copied")
    assert len(run("keys", "history")[1]["changes"]) == 2
    run(*words, "--keep", rotated.first, "--keep", other)
    for bundle in (rotated.first, other):
        assert verify(bundle, rotated.new, "--history", HISTORY)["intact"]


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_what_a_thief_put_among_the_releases_is_not_kept(rotated: Rotated) -> None:
    """It was listed as what would fall, and whoever did as they were told kept it for good: now, and of the revoked key later."""
    forged = release(rotated.root, "1.0.1", keys=rotated.old_keys, logged=False).path
    words = ("keys", "revoke", PublicKey.load(rotated.old).keyid, "--reason", "stolen")
    with pytest.raises(IntegrityError, match="is not in the log: that the release was sealed") as caught:
        run(*words, "--keep", rotated.first, "--keep", forged)
    assert caught.value.link == "release.json"
    assert len(run("keys", "history")[1]["changes"]) == 2
    run(*words, "--keep", rotated.first, "--keep-no-others")
    with pytest.raises(IntegrityError, match="is not in the log: that the release was sealed"):
        run(*words, "--keep", forged)


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_a_signature_that_the_log_lacks_is_not_kept(rotated: Rotated, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first revocation no log was asked."""
    monkeypatch.setattr("devicepipe.stages.approval.log_signatures", lambda *_: None)
    sign("approve", rotated.first, "quinn", SIGNERS["quinn"], rotated.people["quinn"].now())
    words = ("keys", "revoke", PublicKey.load(rotated.old).keyid, "--reason", "stolen", "--keep", rotated.first)
    with pytest.raises(IntegrityError, match="is not in the log") as caught:
        run(*words)
    assert caught.value.link == "0003.dsse.json"


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_what_no_commit_has_of_the_history_is_named(rotated: Rotated, token: Token) -> None:
    """Also what was written by a run that was killed before it could say so."""

    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *words], check=True, cwd=rotated.root
        )

    git("init", "-q")
    git("add", str(HISTORY / "0001.dsse.json"))
    git("commit", "-q", "-m", "the first")
    uri = token.uri("image")
    run("keys", "make", uri, "--public", "image-2.pub.pem")
    told = run("keys", "rotate", "image", "--signer", uri, "--public", "image-2.pub.pem", "--reason", "x")[1]["files"]
    assert {*told} == {path.as_posix() for path in HISTORY.iterdir()} - {f"{HISTORY}/0001.dsse.json"}
    assert len(told) == len({*told})


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_a_former_production_key_in_the_configuration_is_told(rotated: Rotated, token: Token) -> None:
    for name in ("production", "production-2"):
        run("keys", "make", token.uri(name), "--public", f"{name}.pub.pem")
    present = {"release": token.uri("release"), "release_public": rotated.new.name}
    configure(rotated.root, **present, production=token.uri("production"), production_public="production.pub.pem")
    words = ("--signer", token.uri("production-2"), "--public", "production-2.pub.pem", "--reason", "yearly")
    run("keys", "rotate", "production", *words)
    with pytest.raises(UsageError, match=r"the production key .* was replaced on") as caught:
        run("keys")
    assert caught.value.key == "keys.production"
    configure(rotated.root, **present, production=token.uri("production-2"), production_public="production-2.pub.pem")
    assert run("keys")[1]["production"]


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_who_verifies_across_a_rotation_is_told_of_the_history(rotated: Rotated) -> None:
    with pytest.raises(IntegrityError, match="is signed by the key") as caught:
        verify(rotated.first, rotated.new)
    assert "--history" in (caught.value.remedy or "")


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_approvals_took_the_history_of_another_products_keys(rotated: Rotated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `verify` compared the product."""
    found = dataclasses.replace(verify_history(rotated.root / HISTORY), product="other")
    monkeypatch.setattr("devicepipe.evidence.key_history.verify_history", lambda _: found)
    with pytest.raises(IntegrityError, match="is of the keys of 'other', not of 'pump'"):
        run("approvals", rotated.first, "--key", rotated.new, "--history", HISTORY)


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_a_reason_that_is_none_is_told(rotated: Rotated) -> None:
    """It ended in a traceback."""
    for reason in ("", "two\nlines"):
        with pytest.raises(UsageError, match="--reason"):
            run("keys", "revoke", PublicKey.load(rotated.old).keyid, "--reason", reason, "--keep", rotated.first)
        words = ("--signer", rotated.token.uri("release"), "--public", rotated.new, "--reason", reason)
        with pytest.raises(UsageError, match="--reason"):
            run("keys", "rotate", "release", *words)


# --- secrets and tokens ---


def test_the_passphrase_of_a_new_key_is_asked_for_twice(root: Path, terminal: Callable[..., list[str]]) -> None:
    terminal(WORDS, WORDS + "x")
    with pytest.raises(UsageError, match="was not typed the same twice"):
        make_key()
    assert not (root / "r.key.pem").exists()
    asked = terminal(WORDS, WORDS)
    make_key()
    assert len(asked) == 2
    # Once it is made, once is enough; what is wrong or empty says what to do.
    for answer, told in (("wrong", "its passphrase is another"), ("", "is empty")):
        asked = terminal(answer)
        with pytest.raises(UsageError, match=told) as caught:
            run("keys", "make", "file:r.key.pem", "--public", "again.pem", "--existing")
        assert caught.value.remedy
        assert len(asked) == 1


def test_the_passphrase_of_a_new_key_is_not_short(
    root: Path, monkeypatch: pytest.MonkeyPatch, terminal: Callable[..., list[str]]
) -> None:
    asked = terminal("elevenchars", "elevenchars")
    with pytest.raises(UsageError, match="has fewer than 12 characters"):
        make_key()
    assert asked
    monkeypatch.setenv("DEVICEPIPE_SECRET_R_KEY_PEM", "elevenchars")
    with pytest.raises(UsageError, match="has fewer than 12 characters"):
        make_key()
    assert not (root / "r.key.pem").exists()


def test_a_misspelt_token_is_told_with_those_that_are_there(root: Path, token: Token) -> None:
    assert root
    uri = token.uri("release").replace("token=vault", "token=volt")
    with pytest.raises(BenchError, match="no tokens are those of") as caught:
        run("keys", "make", uri, "--public", "r.pub.pem")
    assert "'vault'" in (caught.value.remedy or "")
