"""Signing a release: one more signature in its record, if the life of the release allows it.

What always holds: a signature is written after the record was verified with it and the state machine had no objection, whole or
not at all, and never in the place of another; two people who sign at once both sign, one after the other. A process that is
killed leaves the record as it was, or with the signature whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from devicepipe.approval.lifecycle import Act, Action, ApprovalPolicy, Role, Standing, after
from devicepipe.durable import alone, sync, write_new
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import RELEASE_STATEMENT, SUFFIX
from devicepipe.evidence.predicates import Release
from devicepipe.evidence.printed import check_words
from devicepipe.evidence.roster_order import check_next_roster
from devicepipe.evidence.signature_proofs import check_proofs
from devicepipe.evidence.signatures import (
    ROSTERS,
    Given,
    Person,
    Roster,
    Signature,
    SignedRecord,
    check_login,
    instant,
    moment_of,
    open_roster,
    proof_file,
    record_folder,
    sign_release,
    signature_file,
    verify_record,
)
from devicepipe.evidence.verify import VerifiedBundle

if TYPE_CHECKING:
    from devicepipe.approval.accounts import Identified

FUTURE: Final = timedelta(days=1)
"""So far ahead of the reader's clock may a signature be dated: clocks differ, by a time zone that is set wrong at the most."""
AHEAD: Final = timedelta(minutes=5)
"""So far ahead of the signer's clock may the signature be dated that is followed."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody wants to sign: the action, the role that it is done in, and its meaning in words."""

    action: Action
    role: Role
    meaning: str


def read_record(bundle: VerifiedBundle, added: Mapping[str, bytes] = MappingProxyType({})) -> SignedRecord:
    """The signatures of a verified bundle, with files that are to come to them.

    Raises:
        IntegrityError: As `verify_record` and `check_proofs`.
    """
    folder, statement = record_folder(bundle.folder), bundle.sha256(RELEASE_STATEMENT)
    return open_record(folder, bundle.release, statement, bundle.trust, added)


def open_record(
    folder: Path,
    release: Release,
    statement: str,
    trust: KeyTrust,
    added: Mapping[str, bytes] = MappingProxyType({}),
) -> SignedRecord:
    """A record with its proofs from the log checked: `read_record` without a bundle; arguments as of `verify_record`."""
    record = verify_record(folder, release, statement, trust, added)
    return replace(record, logged=check_proofs(record, statement, trust))


def check_dates(record: SignedRecord, now: datetime) -> None:
    """Check that no signature is dated more than a day after the present.

    Such a one would keep all others from following, since they are in the order of their times. In a record that ends with a
    withdrawal it is let be: nothing follows, and a release is never kept from being withdrawn.

    Raises:
        IntegrityError: One is; names it.
    """
    last = record.signatures[-1:]
    if last and last[0].signature.action == Action.WITHDRAW.value:
        return
    for one in record.signatures:
        if one.signature.on > instant(now + FUTURE):
            raise IntegrityError(
                f"is dated {one.signature.on}, which is to come: it is {instant(now)} by this machine's clock",
                link=one.file,
                remedy="set the clock if that is wrong; else nobody can have signed so: only withdrawing the release is left",
            )


def standing_of(
    record: SignedRecord, policy: ApprovalPolicy, authors: Collection[str] = (), *, releasable: bool = True
) -> Standing:
    """Where a release stands by its signatures.

    What turned out later of those before it (that two accounts are one person) never keeps a release from being withdrawn.

    Args:
        record: The signatures.
        policy: What a release takes to be approved.
        authors: The e-mail addresses of those who wrote the change.
        releasable: What its gate decided.

    Raises:
        IntegrityError: A signature is there that could not be given when it was.
    """
    people, wrote = record.people(), record.people_of(authors)
    acts = [
        Act(Action(one.signature.action), one.signature.account, _role(one), people[one.signature.account])
        for one in record.signatures
    ]
    withdrawn = [number for number, act in enumerate(acts, start=1) if act.action is Action.WITHDRAW] == [len(acts)]
    standing = Standing(authors=wrote, releasable=releasable)
    for number, act in enumerate(acts, start=1):
        try:
            standing = after(standing, act, policy)
        except UsageError as error:
            if withdrawn and number < len(acts):
                continue
            raise IntegrityError(
                f"could not be given: {error.message}", link=record.signatures[number - 1].file
            ) from error
    return standing


def check_intent(
    bundle: VerifiedBundle,
    intent: Intent,
    account: str,
    roster: bytes,
    *,
    policy: ApprovalPolicy,
    authors: Collection[str],
    now: datetime,
) -> Standing:
    """Find out, before anybody is asked for a secret, whether an account may sign; returns where the release would stand.

    Raises:
        UsageError: It may not be signed now, not by this account, or not in this role.
        IntegrityError: The record as it stands does not hold.
    """
    if not intent.meaning.strip():
        raise UsageError(
            "a signature has a meaning", remedy='say it: --meaning "I have reviewed the verification report"'
        )
    check_words(intent.meaning, "--meaning")
    if not bundle.release.releasable and intent.action in (Action.SUBMIT, Action.APPROVE, Action.RELEASE):
        raise UsageError(
            f"it is NOT RELEASABLE: {bundle.release.reasons[0]}", remedy="mend it and make the release anew"
        )
    people = open_roster(roster, bundle.trust, bundle.release.product, "the roster")
    mine = [one for one in people.people if one.account == account and one.until is None]
    if not mine:
        raise UsageError(f"the roster knows no {account}", remedy="have it signed anew: `devicepipe account roster`")
    if intent.role not in mine[0].roles:
        raise UsageError(
            f"{account} does not have the role {intent.role}, but {', '.join(mine[0].roles)}",
            remedy="sign in a role that you have (--role)",
        )
    record = read_record(bundle)
    withdrawing = intent.action is Action.WITHDRAW
    check_next_roster(record.signatures, record.rosters, people, withdrawing=withdrawing)
    if not withdrawing:
        check_dates(record, now)
    _moment(intent, _earliest(bundle, record, people), now)
    record = replace(record, rosters=(*record.rosters, people))
    try:
        standing = standing_of(record, policy, authors, releasable=bundle.release.releasable)
    except IntegrityError:
        if not withdrawing:
            raise
        standing = Standing()
    return after(standing, Act(intent.action, account, intent.role, record.people()[account]), policy)


def sign(
    bundle: VerifiedBundle,
    intent: Intent,
    who: Identified,
    roster: bytes,
    *,
    policy: ApprovalPolicy,
    authors: Collection[str],
    now: Callable[[], datetime],
    held: AbstractContextManager[None] | None = None,
    check: Callable[[SignedRecord], None] = lambda _: None,
) -> tuple[Given, Standing]:
    """Sign a release; returns the signature and where the release stands with it.

    Args:
        bundle: The release.
        intent: What is signed.
        who: The signer.
        roster: The roster's file, by which `who` may sign.
        policy: What a release takes to be approved.
        authors: The e-mail addresses of those who wrote the change.
        now: The clock.
        held: What keeps the roster the newest one, from when the record waits for nobody until the signature is written.
        check: What else must hold of the record that is signed on (that it has all that was logged); raises where it does not.

    Raises:
        UsageError: It may not be signed now, not by this person, or not in this role; or the release was made anew meanwhile.
        IntegrityError: The record as it stands does not hold.
    """
    people = open_roster(roster, bundle.trust, bundle.release.product, "the roster")
    check_signer(people, who)
    folder = record_folder(bundle.folder)
    with alone(folder), held or nullcontext():
        if sha256_of(bundle.folder / RELEASE_STATEMENT) != bundle.sha256(RELEASE_STATEMENT):
            raise UsageError(
                "the release was made anew meanwhile", file=bundle.folder, remedy="read it, and sign that one"
            )
        check_intent(bundle, intent, who.account.id, roster, policy=policy, authors=authors, now=now())
        record = read_record(bundle)
        check(record)
        last = record.signatures[-1] if record.signatures else None
        signature = Signature(
            product=bundle.release.product,
            version=bundle.release.version,
            number=len(record.signatures) + 1,
            follows=last.sha256 if last else None,
            roster=hashlib.sha256(roster).hexdigest(),
            action=intent.action.value,
            meaning=intent.meaning.strip(),
            account=who.account.id,
            name=who.account.name,
            role=intent.role.value,
            on=_moment(intent, _earliest(bundle, record, people), now()),
            components=[*who.components],
            session=who.session,
            first_of_session=who.first_of_session,
            login=who.login,
        )
        data = sign_release(signature, bundle.sha256(RELEASE_STATEMENT), who.signer, who.public_key)
        files = {f"{ROSTERS}{signature.roster}{SUFFIX}": roster, signature_file(signature.number): data}
        signed = read_record(bundle, files)
        standing = standing_of(signed, policy, authors, releasable=bundle.release.releasable)
        for name, content in files.items():
            _write(folder, name, content)
    return signed.signatures[-1], standing


def keep_proofs(
    bundle: VerifiedBundle,
    prove: Callable[[Sequence[Given]], Sequence[bytes]],
    check: Callable[[SignedRecord], None] = lambda _: None,
) -> None:
    """Put proofs from the log beside the signatures that have none, one process at a time.

    Args:
        bundle: The release.
        prove: Logs those signatures, in their order, and gives the proofs.
        check: What must hold of the record before; raises where it does not.

    Raises:
        IntegrityError: The record does not hold, or a proof does not prove its signature.
    """
    folder = record_folder(bundle.folder)
    with alone(folder):
        record = read_record(bundle)
        check(record)
        missing = [one for one in record.signatures if one.signature.number not in record.logged]
        if not missing:
            return
        proofs = {proof_file(one.signature.number): data for one, data in zip(missing, prove(missing), strict=True)}
        read_record(bundle, proofs)
        for name, data in proofs.items():
            _write(folder, name, data)


def _earliest(bundle: VerifiedBundle, record: SignedRecord, roster: Roster) -> tuple[str, str]:
    """When the next signature can be given at the earliest, and what was then."""
    last = record.signatures[-1:]
    return max(
        (moment_of(bundle.release.sealed_on), "the release"),
        (roster.on, "the roster"),
        *((one.signature.on, "the signature that yours would follow") for one in last),
    )


def _moment(intent: Intent, earliest: tuple[str, str], now: datetime) -> str:
    """When it is signed, as `moment` has it.

    Only a withdrawal follows what is dated far ahead, with its date: nothing keeps a release from being withdrawn.
    """
    before, what = earliest
    return max(instant(now), before) if intent.action is Action.WITHDRAW else moment(before, what, now)


def moment(earliest: str, what: str, now: datetime) -> str:
    """When something is signed: now, but not before what it follows, which has its time from another machine's clock.

    Args:
        earliest: When that was.
        what: What it is, in words.
        now: This machine's clock.

    Raises:
        UsageError: It is dated too far ahead (`AHEAD`).
    """
    if earliest > instant(now + AHEAD):
        raise UsageError(
            f"{what} is dated {earliest}, and by this machine's clock it is {instant(now)}",
            remedy="set the clock that is wrong; if it was the other machine's, wait until that time",
        )
    return max(instant(now), earliest)


def _role(one: Given) -> Role:
    try:
        return Role(one.signature.role)
    except ValueError as error:
        raise IntegrityError(f"was given as {one.signature.role}, which is no role", link=one.file) from error


def check_signer(roster: Roster, who: Identified) -> Person:
    """The person of the roster whose key somebody signs with.

    Raises:
        UsageError: The roster does not have the key, or other people's logins: it is not of now.
    """
    mine = [one for one in roster.people if one.account == who.account.id and one.until is None]
    remedy = "have it signed anew: `devicepipe account roster`"
    known = [one for one in mine if one.public_key.encode() == who.public_key.pem]
    if not known:
        raise UsageError(f"the roster does not know the key of {who.account.id}", remedy=remedy)
    try:
        check_login(who, known[0], who.account.id)
    except IntegrityError as error:
        raise UsageError(
            f"the roster is not of now: what {who.account.id} signs {error.message}", remedy=remedy
        ) from error
    return known[0]


def _write(folder: Path, name: str, data: bytes) -> None:
    """Write a file whole or not at all, and never over another one."""
    target = folder / name
    # Beside the record: what a killed process leaves is not found in it.
    if not write_new(target, data, folder.parent) and target.read_bytes() != data:
        raise IntegrityError("is there already, and is another file", link=name)
    for one in (folder, folder.parent):
        sync(one)
