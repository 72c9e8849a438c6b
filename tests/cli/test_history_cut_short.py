"""Whoever can write into the working tree takes changes of keys away from the end of the history: the log at hand has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest

from devicepipe.errors import UsageError
from devicepipe.signing.keys import ED25519
from tests.cli.calls import WORDS, run, sign
from tests.cli.rotation import HISTORY, REASON, Rotated, configure, prepare, release, revoke, rotate
from tests.signing.softhsm import Token

of_ed25519 = pytest.mark.parametrize("rotated", [ED25519], indirect=True)


def cut(root: Path) -> None:
    """Take the revocation away, and its proof."""
    for path in (root / HISTORY).glob("0003.*"):
        path.rename(root / path.name)


ACTS: dict[str, Callable[[Rotated, Path], object]] = {
    "approvals": lambda _, forged: run("approvals", forged),
    "submit": lambda rotated, forged: sign("submit", forged, "eva", WORDS["eva"], rotated.people["eva"].now()),
    "publish": lambda _, forged: run("publish", forged),
}


@of_ed25519
@pytest.mark.parametrize("act", ACTS)
def test_a_revocation_that_was_taken_away_counts_on_where_the_log_is(rotated: Rotated, act: str) -> None:
    """What whoever had stolen the key dated back was a release again, to be signed and published."""
    revoke(rotated, rotated.first)
    forged = release(rotated.root, "0.9.0", keys=rotated.old_keys, logged=False).path
    cut(rotated.root)
    with pytest.raises(
        UsageError, match=r"is older than the log, .*entry \d+\) of the release key .*: revoked, laptop"
    ):
        ACTS[act](rotated, forged)
    for path in rotated.root.glob("0003.*"):
        path.rename(rotated.root / HISTORY / path.name)
    assert run("approvals", rotated.first)[1]["state"] == "candidate"


@of_ed25519
def test_a_revocation_that_was_lost_is_made_again(rotated: Rotated) -> None:
    """It was not committed yet, say: no copy has it, and the product goes on."""
    revoke(rotated, rotated.first)
    cut(rotated.root)
    revoke(rotated, rotated.first)
    assert run("approvals", rotated.first)[1]["state"] == "candidate"
    people = rotated.people
    assert sign("approve", rotated.first, "quinn", WORDS["quinn"], people["quinn"].now())[1]["state"] == "approved"


@pytest.mark.parametrize("lost_roster", [False, True])
def test_a_rotation_that_was_lost_was_the_end_of_the_product(
    root: Path, people: dict[str, pyotp.TOTP], token: Token, *, lost_roster: bool
) -> None:
    """`git clean` before the commit, say: under the old key the log was another's, under the new one all releases were."""
    prepare(root, people)
    roster = root / "approval/roster.dsse.json"
    before = roster.read_bytes()
    rotated = rotate(root, people, token, ED25519)
    for path in (root / HISTORY).iterdir():
        path.unlink()
    if lost_roster:
        roster.write_bytes(before)
    configure(root)  # as before the rotation
    uri = token.uri("release")
    words = ("keys", "rotate", "release", "--signer", uri, "--public", rotated.new, "--reason", REASON)
    assert ("approval/roster.dsse.json" in run(*words)[1]["files"]) is not lost_roster
    configure(root, release=uri, release_public=rotated.new.name)
    if lost_roster:
        with pytest.raises(UsageError, match="the newest is number 4"):
            run("account", "roster")
        run("account", "roster", "--accept-differences")
    assert run("approvals", rotated.first)[1]["state"] == "candidate"
    assert sign("approve", rotated.first, "quinn", WORDS["quinn"], people["quinn"].now())[1]["state"] == "approved"


@of_ed25519
def test_a_change_of_keys_where_the_log_is_not_is_refused(rotated: Rotated) -> None:
    """In a clone it began another log, and left a proof from that, by which the history held no more."""
    (rotated.root / "approval/roster.dsse.json").unlink()
    log = rotated.root / ".devicepipe/log"
    log.rename(rotated.root / "log-elsewhere")
    before = sorted((rotated.root / HISTORY).iterdir())
    with pytest.raises(
        UsageError, match=r"there is a proof of a change of keys, and the product's log, .*, is not here"
    ):
        revoke(rotated, rotated.first)
    assert sorted((rotated.root / HISTORY).iterdir()) == before
    assert not log.exists()
