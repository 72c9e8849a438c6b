"""Whoever stole the release key puts a roster of their own beside a release, before the key is revoked."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import Signer

from devicepipe.approval.secret_box import Secrets
from devicepipe.errors import IntegrityError
from devicepipe.evidence.dsse import payload_unverified
from devicepipe.evidence.signatures import (
    Signature,
    instant,
    open_roster,
    record_folder,
    sign_release,
    sign_roster,
    signature_file,
)
from devicepipe.evidence.statement import parse_canonical
from devicepipe.project.config import load_project
from devicepipe.signing.keys import ED25519, PublicKey
from devicepipe.stages.approval import open_accounts
from tests.cli.calls import WORDS, run
from tests.cli.rotation import HISTORY, Rotated, revoke, verify

pytestmark = pytest.mark.parametrize("rotated", [ED25519], indirect=True)


class Thief:
    """Somebody who has the stolen key, and quinn's account by a roster of their own."""

    def __init__(self, rotated: Rotated) -> None:
        self.release, self.folder = rotated.first, record_folder(rotated.first)
        self.key, self.box = rotated.old_keys.release, Secrets.new()
        last = (self.folder / signature_file(2)).read_bytes()
        said: Any = parse_canonical(payload_unverified(last, "the last"), "the last").predicate
        self.follows, self.after = hashlib.sha256(last).hexdigest(), datetime.fromisoformat(said["on"])

    def later(self, microseconds: int) -> str:
        return instant(self.after + timedelta(microseconds=microseconds))

    def present(self) -> Path:
        """The roster that the release was signed by."""
        (found,) = (self.folder / "rosters").iterdir()
        return found

    def plant(self) -> Path:
        """A roster of their own."""
        roster = open_roster(self.present().read_bytes(), self.key.public, "pump", "the roster")
        pem = self.box.public_key().pem.decode()
        people = [
            one.model_copy(update={"public_key": pem}) if one.account == "quinn" else one for one in roster.people
        ]
        change = {"number": roster.number + 1, "people": people, "on": self.later(1)}
        data = sign_roster(roster.model_copy(update=change), self.key.signer, self.key.public)
        path = self.folder / f"rosters/{hashlib.sha256(data).hexdigest()}.dsse.json"
        path.write_bytes(data)
        return path

    def approve(self, roster: Path, signer: Signer, public_key: PublicKey) -> None:
        """Approve as quinn, dated before the release key was replaced."""
        signature = Signature(
            product="pump",
            version="1.0.0",
            number=3,
            follows=self.follows,
            roster=roster.name.partition(".")[0],
            action="approve",
            meaning="I have read it",
            account="quinn",
            name="Quinn",
            role="qa",
            on=self.later(2),
            components=["password", "totp"],
            session="0123456789abcdef",
            first_of_session=True,
        )
        release = hashlib.sha256((self.release / "release.json").read_bytes()).hexdigest()
        data = sign_release(signature, release, signer, public_key)
        (self.folder / signature_file(3)).write_bytes(data)


def test_a_roster_that_a_thief_planted_is_not_kept(rotated: Rotated) -> None:
    """All signatures were looked for in the log, and rosters that none named yet were kept with them: by one of those the thief
    approved the release as whom they liked, after the revocation."""
    thief = Thief(rotated)
    planted = thief.plant()
    with pytest.raises(IntegrityError, match="as each roster is before anybody signs by it") as caught:
        revoke(rotated, rotated.first)
    assert caught.value.link == f"rosters/{planted.name}"
    planted.unlink()
    revoke(rotated, rotated.first)
    thief.approve(thief.plant(), thief.box.signer(), thief.box.public_key())
    with pytest.raises(IntegrityError, match="laptop stolen"):
        verify(rotated.first, rotated.new, "--history", HISTORY)


def test_nobody_signs_more_by_a_roster_that_is_kept(rotated: Rotated) -> None:
    """Whose key was in force then can date a signature back, with a program of their own: the log lacks it, and did not count."""
    accounts = open_accounts(load_project(rotated.root / "devicepipe.toml"))
    quinn = accounts.identify("quinn", WORDS["quinn"], rotated.people["quinn"].now())
    accounts.dispose()
    thief = Thief(rotated)
    roster = thief.present()
    revoke(rotated, rotated.first)
    run("account", "close", "quinn")
    log = rotated.root / ".devicepipe/log"
    log.rename(log.with_name("elsewhere"))
    assert run("approvals", rotated.first)[1]["state"] == "candidate", "where the log is not, what is kept counts"
    log.with_name("elsewhere").rename(log)
    thief.approve(roster, quinn.signer, quinn.public_key)
    with pytest.raises(
        IntegrityError, match="is not in the log, and the key of its roster was revoked since"
    ) as caught:
        run("approvals", rotated.first)
    assert caught.value.link == signature_file(3)
