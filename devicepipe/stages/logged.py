"""The signatures of a release held against the product's log, wherever that is at hand: none that was logged is left out.

The record alone cannot tell that its newest signatures are there: a rejection whose file is deleted was never given, as far as
the other files know. The log has an entry of each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from devicepipe.approval.lifecycle import Standing
from devicepipe.approval.record import read_record
from devicepipe.errors import IntegrityError
from devicepipe.evidence.dsse import keyid_unverified
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import RELEASE_ENVELOPE, RELEASE_STATEMENT, SUFFIX
from devicepipe.evidence.ledger.entry import encode_entry
from devicepipe.evidence.ledger.proof import parse_proof
from devicepipe.evidence.log_proofs import DECISION
from devicepipe.evidence.signature_proofs import entry_of
from devicepipe.evidence.signatures import ROSTERS, SignedRecord, proof_file, record_folder, signature_file
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from devicepipe.project.config import Project
from devicepipe.stages import ledger
from devicepipe.stages.context import load_history, open_keys
from devicepipe.stages.standing import standing_by

_TRIES: Final = 3
"""Somebody may sign between the two reads, of the record and of the log: then the record is read again."""


def compare_with_log(project: Project, bundle: VerifiedBundle, record: SignedRecord, *, recover: bool = True) -> bool:
    """Compare a record with all that the log has of the release; returns whether there is a log here to compare with.

    Args:
        project: The product, whose log it is.
        bundle: The release.
        record: Its signatures.
        recover: As in `ledger.entries_about`.

    Raises:
        IntegrityError: The log has a signature that the record has not, or not the entry that a proof of the record is about, or
            lacks one by a roster whose key was revoked since; names the file.
        UsageError, BenchError: As `ledger.entries_about`.
    """
    release = bundle.sha256(RELEASE_STATEMENT)
    logged = ledger.entries_about(project, "approval", release, recover=recover)
    told = {one.signature.number: entry_of(one, release) for one in record.signatures}
    entries = [*dict.fromkeys(encode_entry(entry) for entry in (logged or {}).values())]
    unlogged = [number for number, entry in told.items() if encode_entry(entry) not in entries]
    _check_unlogged(project, record, unlogged, here=logged is not None)
    if logged is None:
        return False
    folder = record_folder(bundle.folder).name
    there = {encode_entry(entry) for entry in told.values()}
    for number, entry in logged.items():
        if encode_entry(entry) not in there:
            # They are logged in their order.
            file = signature_file(entries.index(encode_entry(entry)) + 1)
            raise IntegrityError(
                f"is not there: entry {number} of the log is the signature of {entry.details['name']} ({entry.by}), "
                f"{entry.details['outcome']}, of {entry.at}",
                link=f"{folder}/{file}",
                remedy="restore the file from a copy: it was signed and logged, and is not to be taken away",
            )
    for number, index in record.logged.items():
        if logged.get(index) != told[number]:
            raise IntegrityError(
                f"proves entry {index} of a log, which is another one in the log here",
                link=f"{folder}/{proof_file(number)}",
                remedy="restore the log from a copy: it is not the one that the signature was logged in",
            )
    return True


def _check_unlogged(project: Project, record: SignedRecord, unlogged: Collection[int], *, here: bool) -> None:
    """Check that no signature that the log lacks is by a roster whose key was revoked since: that can be a thief's.

    Where the log is here, also by a roster that is kept: it was kept with signatures that the log had, and lets nobody sign more.
    """
    history = load_history(project) if unlogged else None
    for one in record.signatures:
        if history is None or one.signature.number not in unlogged:
            continue
        name = f"{ROSTERS}{one.signature.roster}{SUFFIX}"
        key = history.key_with(keyid_unverified(record.files[name], name))
        kept = key is not None and one.signature.roster in key.kept
        if key is not None and key.revoked is not None and (here or not kept):
            raise IntegrityError(
                "is not in the log, and the key of its roster was revoked since",
                link=one.file,
                remedy=f"if {ledger.log_folder(project)} is not the product's log, bring that; else do not trust the signature: "
                f"whoever has the key can have made it. Delete it{'' if kept else ' and its roster'}",
            )


def check_logged(project: Project, bundle: VerifiedBundle, record: SignedRecord) -> None:
    """Check that a record has all that was logged of it, before anything is done by it.

    Raises:
        IntegrityError: As `compare_with_log`, or the release or its signatures were logged, and the log here is not that one.
        UsageError, BenchError: As `ledger.entries_about`.
    """
    _check_same_log(project, bundle)
    if not compare_with_log(project, bundle, record) and record.logged:
        raise IntegrityError(
            "proves an entry of the log, and there is no log here",
            link=proof_file(min(record.logged)),
            remedy=f"restore {ledger.log_folder(project)}: without it nobody sees whether a signature was taken away",
        )


def _check_same_log(project: Project, bundle: VerifiedBundle) -> None:
    """Check that the log here has the decision about the release where the bundle's own proof says."""
    if DECISION not in bundle.names():
        return
    sealed = parse_proof(bundle.read(DECISION), DECISION)
    if ledger.entry_at(project, sealed.index) != sealed.extra:
        raise IntegrityError(
            f"proves entry {sealed.index} of the product's log, and the log here is not that one",
            link=DECISION,
            remedy=f"bring the log to {ledger.log_folder(project)}: a product has one, in which it is released and signed",
        )


def read_logged(project: Project, bundle: VerifiedBundle) -> SignedRecord:
    """The signatures of a release, with all that was logged.

    Raises:
        IntegrityError, UsageError, BenchError: As `read_record` and `check_logged`.
    """
    return _read(bundle, lambda record: check_logged(project, bundle, record))


def read_to_keep(project: Project, bundle: VerifiedBundle) -> SignedRecord:
    """The signatures of a release that is to count although a key of it is revoked: it was sealed and signed as the log has it.

    Whoever has the key can seal and make rosters, and by them sign, as they like, but not in the log.

    Raises:
        IntegrityError: The log has not that the release was sealed, or not all of its signatures and rosters; as `read_logged`.
        UsageError, BenchError: As `read_logged`.
    """
    record, release = read_logged(project, bundle), bundle.sha256(RELEASE_STATEMENT)
    sealing = {
        "keyid": keyid_unverified(bundle.read(RELEASE_ENVELOPE), RELEASE_ENVELOPE),
        "purpose": "release statement",
    }
    logged = ledger.entries_with(project, (f'"digest":"{release}"'.encode(), b'"purpose":"roster"')).values()
    uses = [one for one in logged if one.kind == "key-use"]
    if not any(one.digest == release and sealing.items() <= one.details.items() for one in uses):
        raise IntegrityError(
            "is not in the log: that the release was sealed is in no entry of it",
            link=RELEASE_STATEMENT,
            remedy=f"if {ledger.log_folder(project)} is not the product's log, bring that; else do not keep the release: "
            "whoever has the key can have made it",
        )
    there = {encode_entry(one) for one in logged if one.kind == "approval"}
    for one in record.signatures:
        if encode_entry(entry_of(one, release)) not in there:
            raise IntegrityError(
                "is not in the log",
                link=one.file,
                remedy=f"if it was signed so ({one.signature.told}), have anybody sign, which logs it; else do not keep it",
            )
    rosters = {f"{ROSTERS}{one.digest}{SUFFIX}" for one in uses if one.details["purpose"] == "roster"}
    for name in record.files:
        if name.startswith(ROSTERS) and name not in rosters:
            raise IntegrityError(
                "is not in the log, as each roster is before anybody signs by it",
                link=name,
                remedy="delete it: whoever has the key can have made it",
            )
    return record


def verify_to_withdraw(project: Project, bundle: Path) -> VerifiedBundle:
    """A release that is to be taken back, which can be done although a key that signed it was revoked since.

    It is verified as if none had been, and nothing is to be done by it but to withdraw it.

    Raises:
        IntegrityError: It does not hold even so; as `read_logged`.
        UsageError, BenchError: As `open_keys`, `verify_bundle` and `read_logged`.
    """
    trust = open_keys(project).trust
    try:
        verified = verify_bundle(bundle, trust)
        read_record(verified)  # its rosters and proofs are by the key of their time, not only by that of the bundle
    except IntegrityError:
        if trust.history is None or not any(key.revoked for key in trust.history.keys):
            raise
        verified = verify_bundle(bundle, KeyTrust(trust.anchor, trust.history.before_revocations()))
        read_logged(project, verified)
    return verified


def logged_standing(project: Project, bundle: VerifiedBundle) -> tuple[SignedRecord, Standing]:
    """The signatures of a release and where it stands by them, with all that was logged.

    Raises:
        IntegrityError, UsageError, BenchError: As `signed_standing`, `check_logged` and `ledger.check_history`.
    """
    ledger.check_history(project)
    record = read_logged(project, bundle)
    return record, standing_by(bundle, bundle.release, record)[1]


def shown_as_logged(project: Project, bundle: VerifiedBundle) -> bool:
    """Compare the record with the log, where there is one, changing nothing; returns whether there is.

    Raises:
        IntegrityError, UsageError, BenchError: As `read_record`, `compare_with_log` and `ledger.check_history`.
    """
    ledger.check_history(project, recover=False)
    there: list[bool] = []
    _read(bundle, lambda record: there.append(compare_with_log(project, bundle, record, recover=False)))
    return there[-1]


def _read(bundle: VerifiedBundle, check: Callable[[SignedRecord], None]) -> SignedRecord:
    for _ in range(_TRIES - 1):
        with suppress(IntegrityError):
            check(record := read_record(bundle))
            return record
    check(record := read_record(bundle))
    return record
