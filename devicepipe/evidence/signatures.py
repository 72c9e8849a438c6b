"""Electronic signatures of people as evidence: what a person signed, under which roster of people, in which order.

The record of a release lies in a folder beside its bundle (`<bundle>.signatures/`), since a sealed bundle takes nothing more:

    0001.dsse.json …              signatures in their order, each by the key of its signer
    0001.tlog-proof …             proofs that they are in the log (signature_proofs.py)
    rosters/<SHA-256>.dsse.json   the rosters that they were given under, each signed by the release key

What always holds of a `SignedRecord`: every signature is about the release statement of this bundle (its digest, so that it can be
neither excised nor transferred, 21 CFR 11.70), tells printed name, time and meaning (11.50), was made with the key that the roster
gave to that person then, in a role that the person had, and names the one before it by digest: none is left out between two others,
exchanged or brought in from another release; its roster is by a release key that was in force then; and no later roster of the
record took that from the person before (roster_order.py).
That the newest signature is there, and that no newer roster was when it was given, only the log can tell.

Sources: 21 CFR 11.50, 11.70, 11.100, 11.200; in-toto Statement v1.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, Protocol

from pydantic import Field, StringConstraints
from securesystemslib.signer import Signer

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.dsse import open_envelope, payload_unverified, sign_envelope
from devicepipe.evidence.files import Entry, read_file, shown, walk
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import PROOF_SUFFIX, RELEASE_STATEMENT, SUFFIX
from devicepipe.evidence.ledger.proof import MAXIMUM_PROOF
from devicepipe.evidence.model import Component, Instant, Model, ProviderLogin, Sha256
from devicepipe.evidence.names import address
from devicepipe.evidence.predicates import Release
from devicepipe.evidence.printed import Words
from devicepipe.evidence.roster_order import check_people, check_rosters
from devicepipe.evidence.statement import (
    MAXIMUM_BYTES,
    canonical_text,
    make_statement,
    parse_canonical,
    read_predicate,
)
from devicepipe.signing.keys import PublicKey

SIGNATURE = "urn:devicepipe:predicate:signature:v1"
ROSTER = "urn:devicepipe:predicate:roster:v1"

ROSTERS = "rosters/"
BOTH = 2
"""The components of an identification: something that only the person knows, and something that only the person has."""
_MOST = 9999

ACCOUNT_FORM: Final = re.compile(r"[a-z][a-z0-9._-]{0,31}")
Account = Annotated[str, StringConstraints(pattern=rf"^{ACCOUNT_FORM.pattern}$")]
"""The id of an account: of one person for ever (11.100(a))."""
_Pem = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Identity(Model):
    """Somebody as an OpenID provider knows them: its issuer identifier, and the subject."""

    issuer: Words
    subject: Words


class Person(Model):
    """Somebody of a roster: account, printed name, roles, and the key of the signatures with the time that it is in force.

    By the e-mail address a person is known as the author of commits, by the identity at the OpenID provider.
    """

    account: Account
    name: Words
    email: str
    roles: list[Words] = Field(min_length=1)
    public_key: _Pem
    since: Instant
    until: Instant | None = None
    identity: Identity | None = None


class Roster(Model):
    """Predicate ROSTER: who may sign for a product, as the holder of the release key states it. Its subject is the release key."""

    product: Words
    number: int = Field(ge=1)
    on: Instant
    people: list[Person]


class Signature(Model):
    """Predicate SIGNATURE: what a person signed. Its one subject is the release statement.

    Attributes:
        product: Whose release it is.
        version: Of which version.
        number: Its place among the signatures of the release, from 1.
        follows: SHA-256 of the file of the signature before it.
        roster: SHA-256 of the file of the roster.
        action: What it does: submit, approve, reject, retract, release or withdraw.
        meaning: What it means, in words (11.50(a)(3)).
        account: Whose it is.
        name: The signer's printed name (11.50(a)(1)).
        role: The role that it was given in.
        on: When, in UTC (11.50(a)(2)).
        components: By what the signer was identified for it (11.200(a)(1)).
        session: The signing session.
        first_of_session: Whether it is the first of its session, which takes all components.
        login: The login at an OpenID provider that was one of the components.
    """

    product: Words
    version: Words
    number: int = Field(ge=1, le=_MOST)
    follows: Sha256 | None = None
    roster: Sha256
    action: Literal["submit", "approve", "reject", "retract", "release", "withdraw"]
    meaning: Words
    account: Account
    name: Words
    role: Words
    on: Instant
    components: list[Component] = Field(min_length=1)
    session: Words
    first_of_session: bool
    login: ProviderLogin | None = None

    @property
    def told(self) -> str:
        """The signature's manifestation in one line; blanks that fill a terminal's line would begin another one."""
        return " ".join(f"{self.name} ({self.role}) on {self.on[:10]} {self.on[11:19]} UTC: {self.meaning}".split())


@dataclass(frozen=True, slots=True)
class Given:
    """A signature of a record: its file, the SHA-256 of that, what it says, the id of the key that made it, and its roster."""

    file: str
    sha256: str
    signature: Signature
    keyid: str
    roster: Roster


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """The signatures of a release, verified and in their order, and the rosters that they were given under.

    `files` are the bytes of all files of the record, as they were verified. `logged` has the number in the log of each signature
    (by its own number) that a proof shows to be there.
    """

    signatures: tuple[Given, ...]
    rosters: tuple[Roster, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    logged: Mapping[int, int] = field(default_factory=dict)

    @property
    def unlogged(self) -> list[str]:
        """The files of signatures that no proof shows to be in the log."""
        return [one.file for one in self.signatures if one.signature.number not in self.logged]

    def people(self) -> dict[str, str]:
        """The person of each account, named by the first of all accounts that share an e-mail address, or a provider's identity."""
        groups: list[set[tuple[str, str]]] = []
        for one in (person for roster in self.rosters for person in roster.people):
            marks = {("account", one.account), ("address", address(one.email))}
            if one.identity is not None:
                marks.add((one.identity.issuer, one.identity.subject))
            joined = [group for group in groups if group & marks]
            groups = [*(group for group in groups if group not in joined), marks.union(*joined)]
        accounts = [sorted(name for kind, name in group if kind == "account") for group in groups]
        return {account: group[0] for group in accounts for account in group}

    def people_of(self, emails: Collection[str]) -> frozenset[str]:
        """The people, as `people` tells them, to whom a roster gives one of these e-mail addresses."""
        accounts, wanted = self.people(), {*map(address, emails)}
        people = (person for roster in self.rosters for person in roster.people)
        return frozenset(accounts[person.account] for person in people if address(person.email) in wanted)


def instant(moment: datetime) -> str:
    """A moment as evidence has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_of(time: str) -> str:
    """A time of a statement (RFC 3339) as signatures have theirs, so that the two can be compared as text."""
    return instant(datetime.fromisoformat(time))


def record_folder(bundle: Path) -> Path:
    """Where the signatures of a bundle lie: beside the folder itself, whatever links or ".." it is named by."""
    place = bundle.resolve()
    return place.with_name(f"{place.name}.signatures")


def signature_file(number: int) -> str:
    """The name of a signature's file."""
    return f"{number:04}{SUFFIX}"


def proof_file(number: int) -> str:
    """The name of the file that proves a signature to be in the log."""
    return f"{number:04}{PROOF_SUFFIX}"


def sign_roster(roster: Roster, signer: Signer, public_key: PublicKey) -> bytes:
    """The bytes of a roster's file. Raises UsageError and BenchError as `keys.sign`."""
    subject = {"release-key": public_key.keyid}
    return sign_envelope(canonical_text(make_statement(ROSTER, roster, subject, "the roster")), signer, public_key)


def open_roster(data: bytes, release_key: PublicKey | KeyTrust, product: str, link: str) -> Roster:
    """A product's roster, its signature verified.

    Raises:
        IntegrityError: It is not exactly a roster signed by a release key that is trusted and was in force, is of another product,
            or has a person twice.
    """
    trust = KeyTrust.of(release_key)
    public_key = trust.key_of(data, link)
    statement = parse_canonical(open_envelope(data, public_key, link), link)
    if statement.predicate_type != ROSTER or statement.digest_of("release-key") != public_key.keyid:
        raise IntegrityError("is no roster of this release key", link=link)
    roster = read_predicate(statement.predicate, Roster, link)
    if roster.product != product:
        raise IntegrityError(f"is the roster of another product, {shown(roster.product)}", link=link)
    trust.check_time(public_key, roster.on, "was signed", link)
    keys = [_key(person, link).keyid for person in roster.people]
    if len({*keys}) != len(keys):
        raise IntegrityError("gives one key to two people, or twice to one", link=link)
    check_people(roster, link)
    return roster


def sign_release(signature: Signature, release: str, signer: Signer, public_key: PublicKey) -> bytes:
    """The bytes of a signature's file.

    Args:
        signature: What is signed.
        release: SHA-256 of the release statement.
        signer: The signer of the person's key.
        public_key: Its public half.

    Raises:
        UsageError, BenchError: As `keys.sign`.
    """
    statement = make_statement(SIGNATURE, signature, {RELEASE_STATEMENT: release}, signature_file(signature.number))
    return sign_envelope(canonical_text(statement), signer, public_key)


def verify_record(
    folder: Path,
    release: Release,
    statement: str,
    release_key: PublicKey | KeyTrust,
    added: Mapping[str, bytes] = MappingProxyType({}),
) -> SignedRecord:
    """Verify the signatures of a release.

    Args:
        folder: The record's folder; there are no signatures where there is none.
        release: What the release statement says.
        statement: Its SHA-256.
        release_key: The release key that the caller trusts, by which, or by one that it is joined with, the rosters are signed.
        added: Files that are to come to the record: it is verified as it would be with them.

    Raises:
        IntegrityError: A link does not hold; `link` names the first one.
    """
    if not folder.is_dir() and os.path.lexists(folder):
        raise IntegrityError("is no folder, where the signatures of people lie", link=folder.name)
    files, rosters, proofs = _files(folder, added)
    trust = KeyTrust.of(release_key)

    def read(name: str, most: int) -> bytes:
        return added[name] if name in added else read_file(folder, name, most)

    # Each is read once: what is verified is what is used.
    texts = {name: read(name, MAXIMUM_BYTES) for name in rosters}
    known = {name: open_roster(text, trust, release.product, name) for name, text in texts.items()}
    for name, text in texts.items():
        if name != _roster_file(hashlib.sha256(text).hexdigest()):
            raise IntegrityError("is not the roster that its name says", link=name)
    given: list[Given] = []
    for number, name in enumerate(files, start=1):
        if name != signature_file(number):
            raise IntegrityError("is missing, though there are later signatures", link=signature_file(number))
        texts[name] = data = read(name, MAXIMUM_BYTES)
        one = _open_signature(data, known, statement, name)
        trust.check_use(texts[_roster_file(one.signature.roster)], one.signature.on, "was given", name)
        _check_place(one, given, release)
        given.append(one)
    check_rosters(given, known.values())
    expected = {proof_file(one.signature.number) for one in given}
    if stray := [name for name in proofs if name not in expected]:
        raise IntegrityError(
            "proves no signature that is there",
            link=stray[0],
            remedy=f"restore {stray[0].removesuffix(PROOF_SUFFIX)}{SUFFIX} from a copy: it was signed and logged",
        )
    texts |= {name: read(name, MAXIMUM_PROOF) for name in proofs}
    return SignedRecord(tuple(given), tuple(known.values()), texts)


def _files(folder: Path, added: Mapping[str, bytes]) -> tuple[list[str], list[str], list[str]]:
    """The signatures, rosters and proofs of a record, sorted; nothing else may be there."""
    files: list[str] = []
    rosters: list[str] = []
    proofs: list[str] = []
    there = {entry.name: entry for entry in walk(folder)} if folder.is_dir() else {}
    for entry in (there | {name: Entry(name, is_folder=False, is_file=True) for name in added}).values():
        if entry.is_folder and entry.name == ROSTERS.rstrip("/"):
            continue
        if entry.is_file and entry.name.endswith(PROOF_SUFFIX):
            proofs.append(entry.name)
            continue
        if not entry.is_file or not entry.name.endswith(SUFFIX):
            raise IntegrityError("does not belong to a record of signatures", link=shown(entry.name))
        (rosters if entry.name.startswith(ROSTERS) else files).append(entry.name)
    return sorted(files), sorted(rosters), sorted(proofs)


def _roster_file(sha256: str) -> str:
    return f"{ROSTERS}{sha256}{SUFFIX}"


def _open_signature(data: bytes, rosters: dict[str, Roster], release: str, link: str) -> Given:
    """A signature about the release, by the key of the person that it names, under the roster that it names."""
    # Whose key to verify with is in the signed text: it is read first, and believed only if that key signed it.
    claimed = _read(payload_unverified(data, link), release, link)
    roster = rosters.get(_roster_file(claimed.roster))
    if roster is None:
        raise IntegrityError("was given under a roster that is not in the record", link=link)
    why = f"the roster knows no {claimed.account}"
    for person in (one for one in roster.people if one.account == claimed.account):
        if not person.since <= claimed.on or (person.until is not None and claimed.on >= person.until):
            why = f"the key of {claimed.account} was not in force on {claimed.on}"
            continue
        key = _key(person, link)
        try:
            signature = _read(open_envelope(data, key, link), release, link)
        except IntegrityError as error:
            why = error.message
            continue
        if signature.name != person.name or signature.role not in person.roles:
            raise IntegrityError(
                f"says {signature.name} ({signature.role}), the roster {person.name} ({', '.join(person.roles)})",
                link=link,
            )
        check_login(signature, person, link)
        return Given(link, hashlib.sha256(data).hexdigest(), signature, key.keyid, roster)
    raise IntegrityError(why, link=link)


class SignedByAccount(Protocol):
    """What is signed by an account, as far as it tells how its person was identified."""

    @property
    def components(self) -> Sequence[Component]:
        """By what."""

    @property
    def login(self) -> ProviderLogin | None:
        """The login at a provider that was one of them."""

    @property
    def first_of_session(self) -> bool:
        """Whether it took all components."""


def check_login(signed: SignedByAccount, person: Person, link: str) -> None:
    """Check what is told of a login at a provider.

    It is told where it was a component, and there alone; it is that of the person whom the roster names; and the first signature of
    a session has one wherever the roster links the person to a provider.

    Raises:
        IntegrityError: It is not so.
    """
    login = signed.login
    if signed.first_of_session and person.identity is not None and login is None:
        raise IntegrityError(
            f"is the first of its session, and was given without a login at {person.identity.issuer}", link=link
        )
    if ("oidc" in signed.components) != (login is not None):
        raise IntegrityError("tells of a login at a provider that was no component, or not of one that was", link=link)
    if login is not None and (
        person.identity is None or (login.issuer, login.subject) != (person.identity.issuer, person.identity.subject)
    ):
        raise IntegrityError(
            f"tells of a login of {login.subject} at {login.issuer}, which is not the roster's {person.account}",
            link=link,
        )


def _read(payload: bytes, release: str, link: str) -> Signature:
    statement = parse_canonical(payload, link)
    if statement.predicate_type != SIGNATURE:
        raise IntegrityError("is no signature", link=link)
    if len(statement.subjects) != 1 or statement.digest_of(RELEASE_STATEMENT) != release:
        raise IntegrityError(
            "is about another release statement than this bundle's",
            link=link,
            remedy="restore from a copy the bundle that was signed, or its folder of signatures: they do not belong together",
        )
    return read_predicate(statement.predicate, Signature, link)


def _check_place(given: Given, before: list[Given], release: Release) -> None:
    signature, link, last = given.signature, given.file, before[-1] if before else None
    if (signature.product, signature.version) != (release.product, release.version):
        raise IntegrityError(f"is about {signature.product} {signature.version}", link=link)
    for what, when in (
        ("the release was sealed", moment_of(release.sealed_on)),
        ("its roster was made", given.roster.on),
    ):
        if signature.on < when:
            raise IntegrityError(f"is of {signature.on}, before {what} on {when}", link=link)
    if signature.number != len(before) + 1 or signature.follows != (last.sha256 if last else None):
        raise IntegrityError("does not follow the signature before it", link=link)
    if last is not None and signature.on < last.signature.on:
        raise IntegrityError(f"is of {signature.on}, before the signature that it follows", link=link)
    if any(one.signature.session == signature.session and one.signature.account != signature.account for one in before):
        raise IntegrityError("continues the signing session of somebody else", link=link)
    if signature.first_of_session and len({*signature.components}) < BOTH:
        raise IntegrityError("is the first of its session, and was given with one component only", link=link)


def _key(person: Person, link: str) -> PublicKey:
    try:
        return PublicKey.from_pem(person.public_key.encode())
    except UsageError as error:
        raise IntegrityError(f"the key of {person.account} {error.message}", link=link) from error
