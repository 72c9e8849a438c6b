"""Keys made, rotated and revoked, end to end: bundles, signatures of people and the log across it, on a real token."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.key_history import verify_history
from devicepipe.evidence.signatures import open_roster, record_folder, sign_roster
from devicepipe.signing.keys import ED25519, PublicKey
from devicepipe.signing.secret_sources import forget_secret
from tests.cli.calls import WORDS, entries, make_repository, run, run_text, sign
from tests.cli.rotation import HISTORY, Rotated, configure, own_keys, release, revoke, verify
from tests.signing.softhsm import PIN, Token

AFTER = "2100-01-01T00:00:00Z"


# --- rotation ---


def test_bundles_of_both_keys_verify_with_either_key_and_the_history(rotated: Rotated) -> None:
    second = release(rotated.root, "1.1.0").path
    for bundle in (rotated.first, second):
        for key in (rotated.old, rotated.new):
            assert verify(bundle, key, "--history", HISTORY)["intact"]
    with pytest.raises(IntegrityError, match="is signed by the key") as caught:
        verify(second, rotated.old)
    assert caught.value.link == "release.json.dsse"
    with pytest.raises(IntegrityError, match="is signed by the key"):
        verify(rotated.first, rotated.new)


def test_what_the_old_key_signs_later_is_refused(rotated: Rotated) -> None:
    late = release(rotated.root, "1.0.1", sealed=AFTER, keys=rotated.old_keys).path
    assert verify(late, rotated.old)["intact"]  # who knows nothing of the rotation
    for key in (rotated.old, rotated.new):
        with pytest.raises(
            IntegrityError, match=r"was sealed on .* with the release key .*, which was replaced on"
        ) as caught:
            verify(late, key, "--history", HISTORY)
        assert caught.value.link == "release.json.dsse"


def test_the_old_key_signs_no_more(rotated: Rotated) -> None:
    configure(rotated.root)
    with pytest.raises(UsageError, match=r"was replaced on .*: planned change of keys") as caught:
        run("keys")
    assert caught.value.key == "keys.release"
    with pytest.raises(UsageError, match="was replaced"):
        sign("submit", rotated.first, "eva", WORDS["eva"], rotated.people["eva"].now())


def test_a_record_of_signatures_goes_on_under_the_new_key(rotated: Rotated) -> None:
    """Approved before the rotation and withdrawn after it: one record, rosters and proofs of both keys."""
    first, people = rotated.first, rotated.people
    sign("approve", first, "quinn", WORDS["quinn"], people["quinn"].now())
    _, told = sign("withdraw", first, "quinn", WORDS["quinn"])
    assert told["state"] == "withdrawn"
    told = verify(first, rotated.new, "--history", HISTORY)["approval"]
    assert (told["state"], told["unlogged"]) == ("withdrawn", [])
    assert len([*(record_folder(first) / "rosters").iterdir()]) == 2
    with pytest.raises(IntegrityError):
        verify(first, rotated.old)  # which knows nothing of the roster's new key


def test_a_release_of_the_new_key_is_approved(rotated: Rotated) -> None:
    second, people = release(rotated.root, "1.1.0").path, rotated.people
    sign("submit", second, "eva", WORDS["eva"], people["eva"].now())
    told = verify(second, rotated.new)  # nothing here is of the old key
    assert told["approval"]["state"] == "candidate"


def test_the_log_goes_on_under_the_new_key_and_tells_of_the_change(rotated: Rotated) -> None:
    told = [(one["subject"], one["details"]["change"], one["details"]["keyid"]) for one in entries("key-change")]
    old, new = (PublicKey.load(path).keyid for path in (rotated.old, rotated.new))
    assert told == [("release key", "the first", old), ("release key", "rotated", new)]
    used = [(one["details"]["keyid"], one["details"]["purpose"], one["subject"]) for one in entries("key-use")]
    used = [one for one in used if one[1] == "roster"]
    assert used == [*((old, "roster", f"roster {number}") for number in (1, 2, 3)), (new, "roster", "roster 4")]
    roster = rotated.root / "approval/roster.dsse.json"
    assert entries("key-use")[-1]["digest"] == hashlib.sha256(roster.read_bytes()).hexdigest()
    size = run("log", "checkpoint")[1]["size"]
    sign("approve", rotated.first, "quinn", WORDS["quinn"], rotated.people["quinn"].now())
    assert run("log", "verify", ".devicepipe/log", "--key", rotated.new)[1]["size"] > size
    with pytest.raises(IntegrityError, match="is not signed by a trusted key"):
        run("log", "verify", ".devicepipe/log", "--key", rotated.old)


def test_the_history_is_shown_and_verified(rotated: Rotated) -> None:
    _, told = run("keys", "history")
    assert [(one["role"], one["inForce"]) for one in told["keys"]] == [("release", False), ("release", True)]
    assert [one["change"] for one in told["changes"]] == ["begin", "rotate"]
    assert all(one["entry"] is not None for one in told["changes"])
    assert run("keys", "history", HISTORY, "--key", rotated.old)[1] == told
    assert "in force until" in run_text("keys", "history")
    (HISTORY / "0002.tlog-proof").unlink()
    assert "no proof that it is in the log" in run_text("keys", "history")


def test_what_was_not_logged_is_logged_with_the_next_change(rotated: Rotated, token: Token) -> None:
    (HISTORY / "0002.tlog-proof").unlink()
    uri, public = token.uri("image"), rotated.root / "image-2.pub.pem"
    run("keys", "make", uri, "--public", public)
    run("keys", "rotate", "image", "--signer", uri, "--public", public, "--reason", "x")
    assert all(one["entry"] is not None for one in run("keys", "history")[1]["changes"])


def test_it_is_rotated_again(rotated: Rotated, token: Token) -> None:
    uri, third = token.uri("release-3"), rotated.root / "release-3.pub.pem"
    second = release(rotated.root, "1.1.0").path
    run("keys", "make", uri, "--public", third)
    run("keys", "rotate", "release", "--signer", uri, "--public", third, "--reason", "again")
    configure(rotated.root, release=uri, release_public=third.name)
    for bundle in (rotated.first, second, release(rotated.root, "1.2.0").path):
        for key in (rotated.old, rotated.new, third):
            assert verify(bundle, key, "--history", HISTORY)["intact"]


def test_a_known_key_does_not_come_in_again(rotated: Rotated) -> None:
    words = ("--signer", "file:.devicepipe/keys/release.key.pem", "--public", rotated.old, "--reason", "back")
    with pytest.raises(UsageError, match="no key comes in twice"):
        run("keys", "rotate", "release", *words)
    assert len(run("keys", "history")[1]["changes"]) == 2


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
@pytest.mark.parametrize("step", ["_log", "_sign_roster_anew"])
def test_a_rotation_that_was_killed_leaves_what_holds(
    rotated: Rotated, token: Token, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed after the change was written, before log or roster follow: by a new roster people sign on."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    uri, third = token.uri("release-3"), rotated.root / "release-3.pub.pem"
    run("keys", "make", uri, "--public", third)
    with monkeypatch.context() as patch:
        patch.setattr(f"devicepipe.stages.key_changes.{step}", killed)
        with pytest.raises(AssertionError):  # that nothing was raised
            run("keys", "rotate", "release", "--signer", uri, "--public", third, "--reason", "again")
    told = run("keys", "history", HISTORY, "--key", third)[1]
    assert [one["entry"] is not None for one in told["changes"]] == [True, True, step != "_log"]
    configure(rotated.root, release=uri, release_public=third.name)
    first, people = rotated.first, rotated.people
    with pytest.raises(
        UsageError, match=r"signed by a release key that is in force no longer|not the newest"
    ) as caught:
        sign("approve", first, "quinn", WORDS["quinn"], people["quinn"].now())
    assert "devicepipe account roster" in (caught.value.remedy or "")
    run("account", "roster")
    assert all(one["entry"] is not None for one in run("keys", "history")[1]["changes"])  # it finishes the rotation
    sign("approve", first, "quinn", WORDS["quinn"], people["quinn"].now())
    assert verify(first, third, "--history", HISTORY)["approval"]["state"] == "approved"
    run("keys", "revoke", PublicKey.load(rotated.old).keyid, "--reason", "x", "--keep", first)
    assert all(one["entry"] is not None for one in run("keys", "history")[1]["changes"])
    assert verify(first, third, "--history", HISTORY)["approval"]["unlogged"] == []


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
@pytest.mark.parametrize("what", ["revoke", "revoke and keep", "image"])
def test_a_change_that_was_killed_before_it_was_logged_is_finished_by_the_same_command(
    rotated: Rotated, token: Token, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It was told to be done, or to be no change, and stayed out of the log: taken away, it was missed by nobody."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    make_repository(rotated.root)
    words: tuple[object, ...] = ("keys", "revoke", PublicKey.load(rotated.old).keyid, "--reason", "stolen")
    words += ("--keep", rotated.first) if what == "revoke and keep" else ("--keep-no-others",)
    if what == "image":
        uri, image = token.uri("image-2"), rotated.root / "image-2.pub.pem"
        run("keys", "make", uri, "--public", image)
        words = ("keys", "rotate", "image", "--signer", uri, "--public", image, "--reason", "lost")
    with monkeypatch.context() as patch:
        patch.setattr("devicepipe.stages.key_changes._log", killed)
        with pytest.raises(AssertionError):  # that nothing was raised
            run(*words)
    told = run(*words)[1]
    last = f"{HISTORY}/{told['number']:04}"
    assert {f"{last}.dsse.json", f"{last}.tlog-proof"} <= {*told["files"]}
    assert all(one["entry"] is not None for one in run("keys", "history")[1]["changes"])
    with pytest.raises(UsageError, match=r"was revoked on|is kept already|no key comes in twice"):
        run(*words)


def test_no_pin_is_left_anywhere(rotated: Rotated) -> None:
    sign("approve", rotated.first, "quinn", WORDS["quinn"], rotated.people["quinn"].now())
    files = [path for path in rotated.root.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert not [path for path in files if PIN.encode() in path.read_bytes()]


def test_the_history_of_another_product_is_refused(rotated: Rotated, monkeypatch: pytest.MonkeyPatch) -> None:
    """One release key may be that of two products; what was revoked differs."""
    found = dataclasses.replace(verify_history(rotated.root / HISTORY), product="other")
    monkeypatch.setattr("devicepipe.evidence.key_history.verify_history", lambda _: found)
    with pytest.raises(IntegrityError, match="is of the keys of 'other', not of 'pump'"):
        verify(rotated.first, rotated.new, "--history", HISTORY)


# --- revocation ---


def test_a_revoked_key_counts_only_for_what_is_kept(rotated: Rotated) -> None:
    other = release(rotated.root, "1.0.1", keys=rotated.old_keys).path
    assert verify(other, rotated.new, "--history", HISTORY)["intact"]
    revoke(rotated, rotated.first)
    told = verify(rotated.first, rotated.new, "--history", HISTORY)
    assert (told["intact"], told["approval"]["state"], told["approval"]["unlogged"]) == (True, "candidate", [])
    with pytest.raises(IntegrityError, match=r"revoked on .*: laptop stolen") as caught:
        verify(other, rotated.new, "--history", HISTORY)
    assert caught.value.link == "release.json.dsse"


def test_a_thief_who_dates_back_gains_nothing(rotated: Rotated) -> None:
    revoke(rotated, rotated.first)
    forged = release(rotated.root, "0.9.0", keys=rotated.old_keys, logged=False).path  # sealed long before, as it says
    with pytest.raises(IntegrityError, match="revoked"):
        verify(forged, rotated.new, "--history", HISTORY)
    # Nor with signatures beside a release that is kept.
    rosters, old = record_folder(rotated.first) / "rosters", rotated.old_keys.release
    people = open_roster(next(rosters.iterdir()).read_bytes(), old.public, "pump", "the roster")
    forged_roster = sign_roster(people.model_copy(update={"number": 99}), old.signer, old.public)
    (rosters / f"{hashlib.sha256(forged_roster).hexdigest()}.dsse.json").write_bytes(forged_roster)
    with pytest.raises(IntegrityError, match="revoked") as caught:
        verify(rotated.first, rotated.new, "--history", HISTORY)
    assert caught.value.link.startswith("rosters/")


def test_who_trusts_the_revoked_key_is_told(rotated: Rotated) -> None:
    revoke(rotated, rotated.first)
    with pytest.raises(IntegrityError, match=r"the key that you trust, .*, was revoked on"):
        verify(rotated.first, rotated.old, "--history", HISTORY)


def test_the_product_goes_on_after_a_revocation(rotated: Rotated) -> None:
    revoke(rotated, rotated.first)
    first, people = rotated.first, rotated.people
    sign("approve", first, "quinn", WORDS["quinn"], people["quinn"].now())
    assert verify(first, rotated.new, "--history", HISTORY)["approval"]["state"] == "approved"
    assert [one["details"]["change"] for one in entries("key-change")] == ["the first", "rotated", "revoked"]
    assert all(one["entry"] is not None for one in run("keys", "history")[1]["changes"])


def test_a_revoked_key_signs_nothing(rotated: Rotated) -> None:
    revoke(rotated)
    configure(rotated.root)
    with pytest.raises(UsageError, match=r"was revoked on .*: laptop stolen"):
        run("keys")


def test_a_key_is_revoked_once(rotated: Rotated) -> None:
    revoke(rotated)
    with pytest.raises(UsageError, match=r"was revoked on .*: laptop stolen"):
        revoke(rotated)


def test_the_release_key_in_force_is_not_revoked(rotated: Rotated) -> None:
    with pytest.raises(UsageError, match="the release key in force") as caught:
        run("keys", "revoke", PublicKey.load(rotated.new).keyid, "--reason", "x")
    assert "rotate" in caught.value.remedy


def test_a_bundle_that_does_not_hold_is_not_kept(rotated: Rotated) -> None:
    (rotated.first / "documents/report.pdf").write_bytes(b"another")
    with pytest.raises(IntegrityError):
        revoke(rotated, rotated.first)
    assert len(run("keys", "history")[1]["changes"]) == 2


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_a_revoked_image_key(rotated: Rotated, token: Token) -> None:
    image = own_keys(rotated.root).image.public.keyid
    kept, other = release(rotated.root, "1.1.0").path, release(rotated.root, "1.1.1").path
    run("keys", "revoke", image, "--reason", "copied", "--keep", kept, "--keep-no-others")
    assert verify(kept, rotated.new, "--history", HISTORY)["intact"]
    with pytest.raises(IntegrityError, match=r"is by the image key .*, which was revoked") as caught:
        verify(other, rotated.new, "--history", HISTORY)
    assert caught.value.link == "keys/image.pub.pem"
    with pytest.raises(UsageError, match=r"the image key .* was revoked on") as refused:
        run("keys")
    assert "devicepipe keys rotate image" in refused.value.remedy
    uri, public = token.uri("image"), rotated.root / "image-2.pub.pem"
    run("keys", "make", uri, "--public", public)
    run("keys", "rotate", "image", "--signer", uri, "--public", public, "--reason", "after the copy")
    configure(
        rotated.root, release=token.uri("release"), release_public=rotated.new.name, image=uri, image_public=public.name
    )
    assert verify(release(rotated.root, "1.2.0").path, rotated.new, "--history", HISTORY)["intact"]


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_mistakes_are_told(rotated: Rotated, tmp_path: Path) -> None:
    for text in ("", PublicKey.load(rotated.old).keyid[:7], "ffffffff", "f" * 100, "release"):
        with pytest.raises(UsageError, match="is not the id of one key"):
            run("keys", "revoke", text, "--reason", "x")
    assert len(run("keys", "history")[1]["changes"]) == 2
    with pytest.raises(UsageError, match="there is no history of keys"):
        run("keys", "history", tmp_path / "hil", "--key", rotated.new)
    with pytest.raises(UsageError, match="there is a file already"):
        run("keys", "make", rotated.token.uri("more"), "--public", rotated.new)
    with pytest.raises(UsageError, match="called 'release' already"):
        run("keys", "make", rotated.token.uri("release"), "--public", tmp_path / "more.pem")
    with pytest.raises(UsageError, match="no key is made by 'awskms:'"):
        run("keys", "make", "awskms:1", "--public", tmp_path / "more.pem")


# --- making keys ---


def test_an_encrypted_key_file_is_made_and_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_secret("r.key.pem")
    monkeypatch.setenv("DEVICEPIPE_SECRET_R_KEY_PEM", "correct horse")
    _, told = run("keys", "make", "file:keys/r.key.pem", "--public", "keys/r.pub.pem")
    assert (root / "keys/r.key.pem").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in (root / "keys/r.key.pem").read_bytes()
    configure(root, release="file:keys/r.key.pem", release_public="keys/r.pub.pem")
    assert run("keys")[1]["release"]["keyid"] == told["keyid"]
    run("keys", "make", "file:keys/r.key.pem", "--public", "again.pem", "--existing")
    assert (root / "again.pem").read_bytes() == (root / "keys/r.pub.pem").read_bytes()


def test_the_public_half_of_a_key_on_a_token(root: Path, token: Token) -> None:
    public = token.make("release")
    run("keys", "make", token.uri("release"), "--public", root / "r.pub.pem", "--existing")
    assert PublicKey.load(root / "r.pub.pem") == public
    assert "made there, never to leave it" in run_text(
        "keys", "make", token.uri("release"), "--public", root / "s.pub.pem", "--existing"
    )


@pytest.mark.parametrize("rotated", [ED25519], indirect=True)
def test_a_clock_that_was_ahead_at_a_rotation_keeps_no_key_from_being_revoked(
    rotated: Rotated, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No change could follow until the clock had got there: years, in which a stolen key could not be revoked."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(days=3650)

    uri, third = token.uri("release-3"), rotated.root / "release-3.pub.pem"
    run("keys", "make", uri, "--public", third)
    with monkeypatch.context() as patch:
        patch.setattr("devicepipe.stages.key_changes.datetime", Ahead)
        run("keys", "rotate", "release", "--signer", uri, "--public", third, "--reason", "yearly")
    configure(rotated.root, release=uri, release_public=third.name)
    revoke(rotated, rotated.first)
    told = run("keys", "history")[1]
    assert all(one["entry"] is not None for one in told["changes"])
    assert told["changes"][-1]["on"] == told["changes"][-2]["on"]
    assert verify(rotated.first, third, "--history", HISTORY)["approval"]["state"] == "candidate"
    run("account", "roster")
    first, people = rotated.first, rotated.people
    assert sign("approve", first, "quinn", WORDS["quinn"], people["quinn"].now())[1]["state"] == "approved"
