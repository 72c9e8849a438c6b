"""A roster lets nobody sign after the release key that signed it has ended, also where the roster itself counts on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from devicepipe.approval.record import read_record
from devicepipe.approval.secret_box import Secrets
from devicepipe.errors import IntegrityError
from devicepipe.evidence.key_history import verify_history
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.signatures import Person, Roster, Signature, record_folder, sign_release, sign_roster
from devicepipe.evidence.verify import verify_bundle
from tests.evidence.synthetic_bundle import development_keys, make_bundle
from tests.evidence.test_key_history import TIMES, Making

EVA = Secrets.new()


def read(folder: Path, *, revoked: bool, on: str) -> int:
    """The number of signatures of a record: one, given then under a roster by a release key that was replaced on TIMES[3]."""
    first, second = (development_keys(number).release for number in (1, 0))
    old, new = (first.signer, first.public), (second.signer, second.public)
    people = [
        Person(
            account="eva",
            name="Eva",
            email="eva@example.com",
            roles=["engineer"],
            public_key=EVA.public_key().pem.decode(),
            since=TIMES[0],
        )
    ]
    roster = sign_roster(Roster(product="pump", number=1, on=TIMES[1], people=people), *old)
    digest = hashlib.sha256(roster).hexdigest()
    made = make_bundle(folder, keys=development_keys(1))  # sealed between TIMES[2] and TIMES[3]
    history = Making(folder / "history").add("begin", "release", old, old, on=TIMES[0])
    history.add("rotate", "release", new, old, new, on=TIMES[3], replaces=first.public.keyid)
    if revoked:
        kept = sorted([digest, hashlib.sha256((made.path / "release.json.dsse").read_bytes()).hexdigest()])
        history.add("revoke", "release", old, new, on=TIMES[4], kept=kept)
    bundle = verify_bundle(made.path, KeyTrust.of(second.public, verify_history(history.folder)))
    signature = Signature(
        product=bundle.release.product,
        version=bundle.release.version,
        number=1,
        roster=digest,
        action="submit",
        meaning="Ready",
        account="eva",
        name="Eva",
        role="engineer",
        on=on,
        components=["password", "totp"],
        session="s",
        first_of_session=True,
    )
    record = record_folder(made.path)
    (record / "rosters").mkdir(parents=True)
    (record / f"rosters/{digest}.dsse.json").write_bytes(roster)
    data = sign_release(signature, bundle.sha256("release.json"), EVA.signer(), EVA.public_key())
    (record / "0001.dsse.json").write_bytes(data)
    return len(read_record(bundle).signatures)


@pytest.mark.parametrize("revoked", [False, True], ids=["k2-replaced", "k3-revoked-and-kept"])
def test_a_roster_of_a_key_that_is_in_force_no_longer_lets_nobody_sign(tmp_path: Path, revoked: bool) -> None:
    with pytest.raises(IntegrityError, match=f"signed, which was in force until {TIMES[3]}") as caught:
        read(tmp_path, revoked=revoked, on=TIMES[5])
    assert caught.value.link == "0001.dsse.json"


@pytest.mark.parametrize("revoked", [False, True])
def test_what_was_signed_by_it_before_counts_on(tmp_path: Path, revoked: bool) -> None:
    assert read(tmp_path, revoked=revoked, on=TIMES[3]) == 1
