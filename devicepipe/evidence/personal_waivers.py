"""Waivers as a product gives them: by the key of a person's account, or by the release key, with what lies beside them.

In the folder of waivers, and likewise in a bundle:

    NAME.dsse.json                a waiver
    NAME.tlog-proof               the proof that it is in the product's log
    rosters/<SHA-256>.dsse.json   the rosters that people waived under, each signed by the release key

What always holds of a waiver of a person that was opened: the roster gave that key to that account then, with that printed name and
role; the account's role is one that the rule's role means; the person was identified by both components in that session; and the
log has it, as it is.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.checks import same
from devicepipe.evidence.decisions import WAIVER_SUFFIX, Waiver, WaiverSigner
from devicepipe.evidence.dsse import payload_unverified
from devicepipe.evidence.layout import SOURCE_CONFIG
from devicepipe.evidence.ledger.checkpoint import Trust, origin_of
from devicepipe.evidence.ledger.entry import Entry, decode_entry, make_entry
from devicepipe.evidence.ledger.proof import SUFFIX as PROOF_SUFFIX
from devicepipe.evidence.ledger.proof import verify_proof
from devicepipe.evidence.signatures import BOTH, Person, Roster, SignedRecord, check_login, open_roster
from devicepipe.evidence.statement import parse_canonical, read_predicate
from devicepipe.evidence.waivers import MAXIMUM_BYTES, open_waiver
from devicepipe.project.approval_settings import ApprovalSettings
from devicepipe.signing.keys import PublicKey

ROSTERS: Final = "rosters/"
_MEANS: Final[Mapping[str, tuple[str, ...]]] = {"qa": ("qa", "quality")}
"""The roles of rules that a role of an account means, where that is not its own name alone."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What lies beside a product's waivers: rosters by SHA-256, and proofs by the name of the waiver's file."""

    rosters: Mapping[str, bytes] = field(default_factory=dict)
    proofs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WaiverPolicy:
    """What a product asks of waivers.

    Attributes:
        by_account: Whether they must be signed by accounts.
        separate: The roles of accounts in which no author of the change may waive.
        authors: The e-mail addresses of who wrote the change, each as `address` has it.
    """

    by_account: bool = False
    separate: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()


def waiver_policy(config: bytes, authors: Collection[str]) -> WaiverPolicy:
    """What the devicepipe.toml that is released asks of waivers, which these people wrote.

    Raises:
        IntegrityError: It cannot be understood.
    """
    try:
        file = tomllib.loads(config.decode())
        by = file.get("policy", {}).get("waivers-by", "release-key")
        separate = file.get("approval", {}).get("separate", ApprovalSettings().separate)
        policy = WaiverPolicy(by == "account", frozenset(map(str, separate)), frozenset(authors))
    except (ValueError, TypeError, AttributeError) as error:
        raise IntegrityError(f"what it asks of waivers cannot be read: {error}", link=SOURCE_CONFIG) from error
    if by not in ("account", "release-key"):
        raise IntegrityError(f"its waivers-by is {by!r}", link=SOURCE_CONFIG)
    return policy


def proof_file(waiver: str) -> str:
    """The file of a waiver's proof."""
    return f"{waiver.removesuffix(WAIVER_SUFFIX)}{PROOF_SUFFIX}"


def roster_file(sha256: str) -> str:
    """The file of a roster."""
    return f"{ROSTERS}{sha256}{WAIVER_SUFFIX}"


def is_waiver(name: str) -> bool:
    """Whether a file of the folder of waivers is one."""
    return name.endswith(WAIVER_SUFFIX) and "/" not in name


def beside(files: Mapping[str, bytes]) -> Beside:
    """What lies beside waivers, of all files of their folder by name."""
    rosters = {hashlib.sha256(data).hexdigest(): data for name, data in files.items() if name.startswith(ROSTERS)}
    proofs = {name: files[proof_file(name)] for name in files if is_waiver(name) and proof_file(name) in files}
    return Beside(rosters, proofs)


def needed(waivers: Mapping[str, bytes]) -> set[str]:
    """The files that may lie beside waivers (their bytes by name): proofs of each, and the rosters that they name."""
    found = {proof_file(name) for name in waivers}
    for name, data in waivers.items():
        try:
            signer = _claimed(data, name).signer
        except IntegrityError:
            continue
        if signer is not None:
            found.add(roster_file(signer.roster))
    return found


def stands_for(role: str) -> tuple[str, ...]:
    """The roles of rules that an account's role means."""
    return _MEANS.get(role, (role,))


def entry_of(waiver: Waiver, name: str, sha256: str) -> Entry:
    """What the log says of a waiver, by its file.

    Raises:
        UsageError: What it says cannot be printed.
    """
    details = {"rule": waiver.rule, "until": waiver.until, "role": waiver.role, "reason": _line(waiver.reason)}
    if waiver.board:
        details["board"] = waiver.board
    at, by = (waiver.signer.on, waiver.signer.account) if waiver.signer else (waiver.made_on, waiver.by)
    return make_entry("waiver", at=at, by=_line(by), subject=name, digest=sha256, details=details)


def open_given(data: bytes, release_key: PublicKey, around: Beside, link: str) -> tuple[Waiver, str]:
    """A waiver, its signature and what lies beside it verified, and the digest of the rule that it is about.

    Args:
        data: The waiver's file.
        release_key: The release key, which signs waivers that name no account, rosters and the log.
        around: What lies beside it.
        link: What it is called in errors; its last part is the name of its file.

    Raises:
        IntegrityError: It is no waiver, or not of whom it names.
    """
    claimed = _claimed(data, link)
    signer = claimed.signer
    if signer is None:
        waiver, digest = open_waiver(data, release_key, link)
    else:
        # Whose key to verify with is in the signed text: it is read first, and believed only if that key signed it.
        person = person_of(signer, roster_of(signer, claimed.product, around, release_key, link), link)
        try:
            key = PublicKey.from_pem(person.public_key.encode())
        except UsageError as error:
            raise IntegrityError(f"the key of {signer.account} {error.message}", link=link) from error
        waiver, digest = open_waiver(data, key, link)
        _check_signer(waiver, signer, person, link)
    name = link.rpartition("/")[2]
    proof = around.proofs.get(name)
    if proof is not None:
        _check_proof(proof, waiver, (name, hashlib.sha256(data).hexdigest()), release_key, proof_file(link))
    elif signer is not None:
        raise IntegrityError("is not proven to be in the log", link=link)
    return waiver, digest


def objection(waiver: Waiver, policy: WaiverPolicy, around: Beside, release_key: PublicKey) -> str:
    """Why a product's policy does not take a waiver, in words; "" where it does. It was opened before."""
    signer = waiver.signer
    if signer is None:
        return "is not signed by an account, which `waivers-by` of [policy] asks for" if policy.by_account else ""
    roster = roster_of(signer, waiver.product, around, release_key, "the waiver")
    person_of(signer, roster, "the waiver")
    # As for approvals: an author is one by each account that the person has had.
    people = SignedRecord((), (roster,))
    if signer.role in policy.separate and people.people()[signer.account] in people.people_of(policy.authors):
        return f"{signer.account} is an author of the change, and may not waive as {signer.role}"
    return ""


def roster_of(signer: WaiverSigner, product: str, around: Beside, release_key: PublicKey, link: str) -> Roster:
    """The product's roster that a waiver was given under.

    Raises:
        IntegrityError: It is not there, not by the release key or of another product.
    """
    data = around.rosters.get(signer.roster)
    if data is None:
        raise IntegrityError("was given under a roster that is not beside it", link=link)
    return open_roster(data, release_key, product, link)


def person_of(signer: WaiverSigner, roster: Roster, link: str) -> Person:
    """The person that a roster gives the account of a waiver, when it was signed.

    Raises:
        IntegrityError: It knows no such account, was made later, or the account's key was not in force.
    """
    own = [one for one in roster.people if one.account == signer.account]
    if not own:
        raise IntegrityError(f"the roster knows no {signer.account}", link=link)
    if signer.on < roster.on:
        raise IntegrityError(f"was signed on {signer.on}, before its roster was made on {roster.on}", link=link)
    for one in own:
        if one.since <= signer.on and (one.until is None or signer.on < one.until):
            return one
    raise IntegrityError(f"the key of {signer.account} was not in force on {signer.on}", link=link)


def _claimed(data: bytes, link: str) -> Waiver:
    """What a waiver says, its signature not checked."""
    if len(data) > MAXIMUM_BYTES:
        raise IntegrityError(f"is larger than {MAXIMUM_BYTES} bytes", link=link)
    return read_predicate(parse_canonical(payload_unverified(data, link), link).predicate, Waiver, link)


def _check_signer(waiver: Waiver, signer: WaiverSigner, person: Person, link: str) -> None:
    if waiver.by != person.name or signer.role not in person.roles:
        raise IntegrityError(
            f"says {waiver.by} ({signer.role}), the roster {person.name} ({', '.join(person.roles)})", link=link
        )
    if waiver.role not in stands_for(signer.role):
        raise IntegrityError(f"waives as {waiver.role}, which an account's role {signer.role} does not mean", link=link)
    check_login(signer, person, link)
    if waiver.made_on != f"{signer.on[:19]}Z":
        raise IntegrityError(f"is of {waiver.made_on}, but was signed on {signer.on}", link=link)
    if signer.first_of_session and len({*signer.components}) < BOTH:
        raise IntegrityError("is the first of its session, and was signed with one component only", link=link)


def _check_proof(proof: bytes, waiver: Waiver, file: tuple[str, str], release_key: PublicKey, link: str) -> None:
    proven = verify_proof(proof, Trust((release_key,), origin_of(waiver.product)), link)
    try:
        expected = entry_of(waiver, *file)
    except UsageError as error:
        raise IntegrityError(f"cannot be about that waiver: {error.message}", link=link) from error
    same("entry", decode_entry(proven.entry, link), expected, link, file[0])


def _line(text: str) -> str:
    return " ".join(text.split())


def stray(names: Iterable[str], waivers: Mapping[str, bytes]) -> list[str]:
    """The files of a folder of waivers that are neither waivers nor may lie beside them, sorted."""
    allowed = needed(waivers) | waivers.keys()
    return sorted(name for name in names if name not in allowed)
