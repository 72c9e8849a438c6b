"""Waivers by accounts of people: what holds of a good one, and every way in which one is not, named by its file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from devicepipe.approval.secret_box import Secrets
from devicepipe.errors import IntegrityError
from devicepipe.evidence.decisions import WAIVERS, Waiver, WaiverSigner
from devicepipe.evidence.layout import SOURCE_CONFIG
from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.evidence.ledger.writer import append_entries, create_log
from devicepipe.evidence.personal_waivers import entry_of, proof_file, roster_file
from devicepipe.evidence.signatures import Person, Roster, sign_roster
from devicepipe.evidence.verify import verify_bundle
from devicepipe.evidence.waivers import sign_waiver
from tests.evidence.synthetic_bundle import Pair, Spoil, development_keys, make_bundle
from tests.evidence.test_policy_links import DIGEST, FILE, waived, waiver

QUINN, OTHER = Secrets.new(), Secrets.new()
ON = "2026-02-01T00:00:00.000000Z"
LATER = "2026-02-01T00:00:00.000001Z"
CONFIG = b"""
[product]
name = "pump"
[[board]]
name = "alpha"
manifest = "boards/alpha.json"
application = "alpha"
bootloader = "alpha"
"""
STRAY = f"{WAIVERS}rosters/{'ab' * 32}.dsse.json"


def person(**values: Any) -> Person:
    good: dict[str, Any] = {
        "account": "quinn",
        "name": "Quinn Quality",
        "email": "quinn@example.com",
        "roles": ["qa"],
        "public_key": QUINN.public_key().pem.decode(),
        "since": "2026-01-01T00:00:00.000000Z",
    }
    return Person.model_validate(good | values)


@dataclass(frozen=True)
class Given:
    """A waiver of a person, with what lies beside it; every part can be another one.

    Attributes:
        who: What the roster says of the person.
        others: Whom else it has.
        keys: Who signs the roster.
        on: When the roster was signed.
        product: Whose roster it is.
        secrets: Whose key signs the waiver.
        values: Other values of the waiver.
        signer: Other values of its signer.
        logged: Other values of the waiver that is logged.
        log_key: Who signs the log.
        without: Files that are left out.
        more: Further files.
    """

    who: Person = field(default_factory=person)
    others: tuple[Person, ...] = ()
    keys: int = 0
    on: str = ON
    product: str = "pump"
    secrets: Secrets = QUINN
    values: dict[str, Any] = field(default_factory=dict)
    signer: dict[str, Any] = field(default_factory=dict)
    logged: dict[str, Any] = field(default_factory=dict)
    log_key: Pair | None = None
    without: tuple[str, ...] = ()
    more: dict[str, bytes] = field(default_factory=dict)

    def spoil(self, folder: Path, **source: Any) -> Spoil:
        """The bundle whose one failure it waives; `source` changes the source attestation."""
        release = development_keys().release
        issuer = development_keys(self.keys).release if self.keys else release
        roster = sign_roster(
            Roster(product=self.product, number=1, on=self.on, people=[self.who, *self.others]),
            issuer.signer,
            issuer.public,
        )
        digest = hashlib.sha256(roster).hexdigest()
        signer = WaiverSigner.model_validate(
            {
                "account": "quinn",
                "role": "qa",
                "roster": digest,
                "on": ON,
                "components": ["password", "totp"],
                "session": "s",
                "first_of_session": True,
            }
            | self.signer
        )
        told: Waiver = waiver(**({"by": "Quinn Quality", "signer": signer} | self.values))
        data = sign_waiver(told, DIGEST, self.secrets.signer(), self.secrets.public_key())
        name = FILE.removeprefix(WAIVERS)
        entry = entry_of(told.model_copy(update=self.logged), name, hashlib.sha256(data).hexdigest())
        files = {
            FILE: data,
            f"{WAIVERS}{proof_file(name)}": prove(folder, entry, self.log_key or release),
            f"{WAIVERS}{roster_file(digest)}": roster,
        }
        files = {name: one for name, one in (files | self.more).items() if not name.startswith(self.without or "-")}
        spoil = waived(
            told, files=files, release=lambda gate: gate.update(waived=[f"tests-pass on alpha, waived {told.told}"])
        )
        return replace(spoil, edit={**spoil.edit, "source": lambda data: data.update(source)})


def prove(folder: Path, entry: Any, pair: Pair) -> bytes:
    signer = NoteSigner(NoteKey.of_log("pump/log", pair.public), pair.signer)
    create_log(folder / "log", signer)
    append_entries(folder / "log", signer, [entry])
    return Log.open(folder / "log", Trust((pair.public,))).prove(0).to_bytes()


def verified(folder: Path, spoil: Spoil) -> list[str]:
    made = make_bundle(folder, spoil=spoil)
    return [f"{one.link}: {one.check}" for one in verify_bundle(made.path, made.keys.release.public).links]


def test_a_waiver_by_an_account_verifies_offline(tmp_path: Path) -> None:
    links = verified(tmp_path, Given().spoil(tmp_path))
    assert any("1 waivers applied" in one for one in links)


def test_an_author_waived_by_a_second_account(tmp_path: Path) -> None:
    """One person by the login at a provider, which the first account had when its key was reset."""
    login = {"identity": {"issuer": "https://login.example.com", "subject": "q"}}
    first = person(account="q", email="q@example.com", public_key=OTHER.public_key().pem.decode(), until=ON, **login)
    logged_in = {"components": ["password", "oidc"], "login": login["identity"] | {"on": ON, "token": "ab" * 32}}
    spoil = Given(who=person(**login), others=(first,), signer=logged_in).spoil(tmp_path, authors=["q@example.com"])
    with pytest.raises(IntegrityError, match="was applied, but quinn is an author of the change"):
        verified(tmp_path, spoil)


def test_it_verifies_where_the_product_asks_for_accounts(tmp_path: Path) -> None:
    spoil = Given().spoil(tmp_path)
    asked = {**spoil.files, SOURCE_CONFIG: b'[policy]\nwaivers-by = "account"\n' + CONFIG}
    assert verified(tmp_path, replace(spoil, files=asked))


PROOF = f"{WAIVERS}w.tlog-proof"
BAD: dict[str, tuple[Given, str, str]] = {
    "not proven to be in the log": (Given(without=(PROOF,)), FILE, "is not proven to be in the log"),
    "another waiver is logged": (Given(logged={"until": "2026-04-01"}), PROOF, "its entry is"),
    "another reason is logged": (Given(logged={"reason": "Another."}), PROOF, "its entry is"),
    "another's log": (Given(log_key=development_keys(1).release), PROOF, "key"),
    "no roster": (Given(without=(f"{WAIVERS}rosters/",)), FILE, "under a roster that is not beside it"),
    "a roster of somebody else": (Given(keys=1), FILE, "is signed by the key"),
    "the roster of another product": (Given(product="pen"), FILE, "is the roster of another product, pen"),
    "a stray roster": (Given(more={STRAY: b"{}"}), STRAY, "belongs to no waiver"),
    "a stray file": (Given(more={f"{WAIVERS}note.txt": b"x"}), f"{WAIVERS}note.txt", "belongs to no waiver"),
    "a stray proof": (Given(more={f"{WAIVERS}v.tlog-proof": b"x"}), f"{WAIVERS}v.tlog-proof", "belongs to no waiver"),
    "an account that the roster does not know": (Given(who=person(account="ron")), FILE, "the roster knows no quinn"),
    "a roster that was made after it was signed": (Given(on=LATER), FILE, "before its roster was made"),
    "a roster with a key that begins after it": (Given(who=person(since=LATER)), FILE, "begins or ends after"),
    "a key that was no longer in force": (Given(who=person(until=ON)), FILE, "not in force"),
    "another's key": (Given(secrets=OTHER), FILE, "is signed by the key"),
    "another printed name": (Given(values={"by": "Q. Quality"}), FILE, "the roster Quinn Quality"),
    "a role that the person has not": (Given(who=person(roles=["reviewer"])), FILE, "the roster Quinn Quality (reviewer)"),
    "a role that the account's does not mean": (
        Given(who=person(roles=["engineer"]), signer={"role": "engineer"}),
        FILE,
        "an account's role engineer does not mean",
    ),
    "a role that may not waive": (Given(values={"role": "qa"}), FILE, "qa may not waive tests-pass"),
    "one component": (Given(signer={"components": ["password"]}), FILE, "with one component only"),
    "one component twice": (Given(signer={"components": ["totp", "totp"]}), FILE, "with one component only"),
    "another time": (Given(values={"made_on": "2026-02-02T00:00:00Z"}), FILE, "but was signed on"),
}  # fmt: skip


@pytest.mark.parametrize("story", BAD)
def test_one_that_does_not_hold_is_named(tmp_path: Path, story: str) -> None:
    given, link, why = BAD[story]
    with pytest.raises(IntegrityError) as caught:
        verified(tmp_path, given.spoil(tmp_path))
    assert (caught.value.link, why in caught.value.message) == (link, True), caught.value


def test_a_changed_file_beside_a_waiver_is_named(tmp_path: Path) -> None:
    spoil = Given().spoil(tmp_path)
    for name in (one for one in spoil.files if one != FILE):
        data = bytearray(spoil.files[name])
        data[len(data) // 2] ^= 1
        with pytest.raises(IntegrityError) as caught:
            verified(tmp_path / "", replace(spoil, files={**spoil.files, name: bytes(data)}))
        assert caught.value.link in (name, FILE)
        made = tmp_path / "bundle"
        assert made.is_dir()
        made.rename(tmp_path / hashlib.sha256(name.encode()).hexdigest())


def test_an_author_of_the_change_does_not_waive_in_a_separate_role(tmp_path: Path) -> None:
    spoil = Given().spoil(tmp_path, authors=["quinn@example.com"])
    with pytest.raises(IntegrityError, match="quinn is an author of the change, and may not waive as qa"):
        verified(tmp_path, spoil)
    loose = {**spoil.files, SOURCE_CONFIG: CONFIG + b"[approval]\nseparate = []\n"}
    (tmp_path / "loose").mkdir()
    assert verified(tmp_path / "loose", replace(spoil, files=loose))


def test_a_waiver_of_the_release_key_alone_is_not_taken_where_the_product_asks_for_accounts(tmp_path: Path) -> None:
    asked = {SOURCE_CONFIG: b'[policy]\nwaivers-by = "account"\n' + CONFIG}
    spoil = waived()
    with pytest.raises(IntegrityError, match="is not signed by an account"):
        verified(tmp_path, replace(spoil, files={**spoil.files, **asked}))


def test_what_a_product_asks_is_understood_or_refused(tmp_path: Path) -> None:
    asked = {SOURCE_CONFIG: b'[policy]\nwaivers-by = "anybody"\n' + CONFIG}
    spoil = waived()
    with pytest.raises(IntegrityError, match="its waivers-by is 'anybody'") as caught:
        verified(tmp_path, replace(spoil, files={**spoil.files, **asked}))
    assert caught.value.link == SOURCE_CONFIG
