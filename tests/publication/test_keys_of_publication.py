"""Publication with keys on a token, and across a rotation and a revocation of the release key."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyotp
import pytest

from devicepipe.approval.record import read_record
from devicepipe.approval.secret_box import Secrets
from devicepipe.cli.identify import identify
from devicepipe.distribution.pulling import WithdrawnError
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.key_history import verify_history
from devicepipe.evidence.layout import RELEASE_STATEMENT
from devicepipe.evidence.signatures import record_folder, sign_release, sign_roster, signature_file
from devicepipe.evidence.verify import verify_bundle
from devicepipe.project.config import load_project
from devicepipe.signing.keys import PublicKey
from devicepipe.stages.approval import log_signatures
from devicepipe.stages.context import open_keys
from devicepipe.stages.releases_of_key import releases_by
from tests.cli.calls import entries, run
from tests.cli.rotation import configure
from tests.evidence.synthetic_bundle import Pair
from tests.publication.publishing import pull, sign, stock
from tests.signing.softhsm import Token, softhsm_tokens

NEW = "release-2.pub.pem"
THIRD = "release-3.pub.pem"


@pytest.fixture
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    with softhsm_tokens(tmp_path_factory.mktemp("hsm")) as tokens:
        yield tokens.make("vault")


@pytest.fixture
def published(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> Path:
    """A release that was published under the project's first release key."""
    sign("publish", bundle, "mara", people)
    return bundle


def rotate(root: Path, token: Token, name: str = "release", public: str = NEW) -> None:
    """Give the project another release key, on a token."""
    uri = token.uri(name)
    run("keys", "make", uri, "--public", root / public)
    run("keys", "rotate", "release", "--signer", uri, "--public", root / public, "--reason", "planned")
    configure(root, release=uri, release_public=public)


def key_of(root: Path) -> Pair:
    """The project's release key."""
    release = open_keys(load_project(root / "devicepipe.toml")).release
    return Pair(release.signer, release.public)


def plant(bundle: Path, stolen: Pair) -> str:
    """Put beside a release what whoever has a release key can sign, by a person of theirs; returns the signature's file."""
    made = verify_bundle(bundle, stolen.public)
    record, mallory = read_record(made), Secrets.new()
    last, people = record.signatures[-1].signature, record.signatures[-1].roster
    person = people.people[0].model_copy(
        update={
            "account": "mallory",
            "email": "m@example.com",
            "roles": ["release-manager"],
            "public_key": mallory.public_key().pem.decode(),
        }
    )
    more = people.model_copy(update={"number": people.number + 1, "people": [*people.people, person]})
    roster = sign_roster(more, stolen.signer, stolen.public)
    forged = last.model_copy(
        update={
            "number": last.number + 1,
            "follows": record.signatures[-1].sha256,
            "roster": hashlib.sha256(roster).hexdigest(),
            "action": "release",
            "account": "mallory",
            "name": person.name,
            "role": "release-manager",
            "session": "forged",
            "components": ["password", "totp"],
            "first_of_session": True,
        }
    )
    data = sign_release(forged, made.sha256(RELEASE_STATEMENT), mallory.signer(), mallory.public_key())
    files = {f"rosters/{forged.roster}.dsse.json": roster, signature_file(forged.number): data}
    for name, content in files.items():
        (record_folder(bundle) / name).write_bytes(content)
    assert len(read_record(made).signatures) == forged.number
    return signature_file(forged.number)


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
    keep = ("--keep", published) if kept else ("--keep-no-others",)
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


def test_a_published_release_does_not_fall_unasked(root: Path, published: Path, token: Token) -> None:
    """Also where its bundle is not here any more."""
    old = PublicKey.load(root / ".devicepipe/keys/release.pub.pem").keyid
    rotate(root, token)
    with pytest.raises(
        UsageError, match=r"count no longer, for good: dist/pump-1\.2\.3 \(pump 1\.2\.3, published\)"
    ) as caught:
        run("keys", "revoke", old, "--reason", "stolen")
    assert "--keep dist/pump-1.2.3;" in (caught.value.remedy or "")
    assert "--keep-no-others" in (caught.value.remedy or "")
    away = root / "away"
    published.rename(away)
    with pytest.raises(UsageError, match=r"for good: pump 1\.2\.3, published, whose bundle is not here"):
        run("keys", "revoke", old, "--reason", "stolen")
    assert not [one for one in run("keys", "history")[1]["changes"] if one["change"] == "revoke"]
    away.rename(published)
    run("keys", "revoke", old, "--reason", "stolen", "--keep", published)
    assert run("verify", published, "--key", NEW, "--history", "keys/history")[1]["intact"]


def test_a_published_release_does_not_fall_unasked_with_the_production_key(root: Path, published: Path) -> None:
    production = PublicKey.load(published.with_name(f"{published.name}.production") / "keys/production.pub.pem")
    shutil.copy(published.with_name(f"{published.name}.production") / "keys/production.pub.pem", root / "p.pub.pem")
    found = releases_by(load_project(root / "devicepipe.toml"), production, "production")
    assert [*map(str, found)] == ["dist/pump-1.2.3 (pump 1.2.3, published)"]
    assert releases_by(load_project(root / "devicepipe.toml"), production, "release") == []


def test_a_release_whose_key_was_revoked_is_taken_back(
    root: Path, published: Path, token: Token, people: dict[str, pyotp.TOTP]
) -> None:
    old = PublicKey.load(root / ".devicepipe/keys/release.pub.pem").keyid
    rotate(root, token)
    run("keys", "revoke", old, "--reason", "stolen", "--keep-no-others")
    with pytest.raises(IntegrityError, match="was revoked on"):
        sign("publish", published, "mara", people)
    assert sign("unpublish", published, "quinn", people, "Field report 9")["state"] == "withdrawn"
    assert run("unpublish", published)[1]["changed"] is False
    with pytest.raises(WithdrawnError):
        pull(root, "1.2.3", "--root", "publication/root.json", "--key", NEW, "--history", "keys/history")


@pytest.mark.parametrize("when", ["before", "while-a-password-is-typed"])
def test_of_a_revoked_key_nobody_takes_back_by_what_was_never_logged(
    root: Path,
    bundle: Path,
    token: Token,
    people: dict[str, pyotp.TOTP],
    when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has the key can make rosters, and sign under them: that comes into no log by a withdrawal."""
    stolen = key_of(root)
    rotate(root, token)
    run("keys", "revoke", stolen.public.keyid, "--reason", "stolen", "--keep-no-others")
    logged = len(entries("approval"))
    if when == "before":
        plant(bundle, stolen)
    else:

        def planting(*arguments: Any) -> Any:
            plant(bundle, stolen)
            return identify(*arguments)

        monkeypatch.setattr("devicepipe.cli.identify.identify", planting)
    with pytest.raises(IntegrityError, match="is not in the log, and the key of its roster was revoked since"):
        sign("withdraw", bundle, "quinn", people, "Field report 9")
    assert len(entries("approval")) == logged


def test_a_lost_proof_does_not_keep_a_release_of_a_revoked_key_from_being_taken_back(
    root: Path, published: Path, token: Token, people: dict[str, pyotp.TOTP]
) -> None:
    """Whether a signature was logged the log tells, not the file of its proof."""
    old = key_of(root).public.keyid
    rotate(root, token)
    run("keys", "revoke", old, "--reason", "stolen", "--keep-no-others")
    max(record_folder(published).glob("*.tlog-proof")).unlink()
    assert sign("unpublish", published, "quinn", people, "Field report 9")["state"] == "withdrawn"


@pytest.fixture(params=["roster", "proof"])
def later(
    root: Path, bundle: Path, token: Token, people: dict[str, pyotp.TOTP], request: pytest.FixtureRequest
) -> tuple[Path, str]:
    """A release of the first release key that was published under the second, or logged under it; a third one is in force."""
    if request.param == "proof":
        sign("publish", bundle, "mara", people)
        max(record_folder(bundle).glob("*.tlog-proof")).unlink()
    rotate(root, token)
    second = key_of(root).public.keyid
    if request.param == "proof":
        project = load_project(root / "devicepipe.toml")
        log_signatures(project, verify_bundle(bundle, open_keys(project).trust))
    else:
        sign("publish", bundle, "mara", people)
    rotate(root, token, "release-3", THIRD)
    return bundle, second


def test_a_release_that_people_signed_under_a_later_key_does_not_fall_unasked(
    root: Path, later: tuple[Path, str]
) -> None:
    """Rosters and proofs are by the key in force when people signed: what only they fall with was not listed."""
    bundle, second = later
    with pytest.raises(UsageError, match=r"for good: dist/pump-1\.2\.3"):
        run("keys", "revoke", second, "--reason", "stolen")
    run("keys", "revoke", second, "--reason", "stolen", "--keep", bundle)
    told = run("verify", bundle, "--key", THIRD, "--history", "keys/history")[1]
    assert (told["intact"], told["approval"]["state"]) == (True, "released")
    trusted = ("--root", "publication/root.json", "--history", "keys/history", "--key", THIRD)
    assert pull(root, *trusted)["version"] == "1.2.3"


@pytest.mark.parametrize("later", ["roster"], indirect=True)
def test_a_published_release_that_a_later_key_signed_for_does_not_fall_unasked(
    root: Path, later: tuple[Path, str]
) -> None:
    later[0].rename(root / "away")
    with pytest.raises(UsageError, match=r"for good: pump 1\.2\.3, published, whose bundle is not here"):
        run("keys", "revoke", later[1], "--reason", "stolen")


def test_a_release_that_people_signed_under_a_revoked_key_is_taken_back(
    root: Path, later: tuple[Path, str], people: dict[str, pyotp.TOTP]
) -> None:
    """The bundle itself holds, its record does not: it was neither kept nor taken back."""
    bundle, second = later
    run("keys", "revoke", second, "--reason", "stolen", "--keep-no-others")
    with pytest.raises(IntegrityError, match="was revoked on"):
        sign("publish", bundle, "mara", people)
    assert sign("unpublish", bundle, "quinn", people, "Field report 9")["state"] == "withdrawn"
    with pytest.raises(WithdrawnError):
        pull(root, "1.2.3", "--root", "publication/root.json", "--key", THIRD, "--history", "keys/history")


def test_a_release_that_was_forgotten_is_kept_later(root: Path, published: Path, token: Token) -> None:
    old = PublicKey.load(root / ".devicepipe/keys/release.pub.pem").keyid
    rotate(root, token)
    run("keys", "revoke", old, "--reason", "stolen", "--keep-no-others")
    with pytest.raises(UsageError, match="was revoked on") as caught:
        run("keys", "revoke", old, "--reason", "again")
    assert "--keep BUNDLE" in (caught.value.remedy or "")
    verify = ("verify", published, "--key", NEW, "--history", "keys/history")
    with pytest.raises(IntegrityError, match="was revoked on"):
        run(*verify)
    assert run("keys", "revoke", old, "--reason", "forgotten", "--keep", published)[1]["change"] == "keep"
    told = run(*verify)[1]
    assert (told["intact"], told["approval"]["state"], told["approval"]["unlogged"]) == (True, "released", [])
    assert run("log", "show", "--kind", "key-change")[1][-1]["details"]["change"] == "kept more of it"
    assert all(one["entry"] is not None for one in run("keys", "history")[1]["changes"])
    with pytest.raises(UsageError, match="is kept already"):
        run("keys", "revoke", old, "--reason", "again", "--keep", published)
