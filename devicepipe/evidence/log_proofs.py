"""What the log says of a bundle, and the proofs of it that the bundle carries, so that `verify` needs no log.

Before a bundle is sealed, each of its attestations and each decision of the gate becomes an entry of the product's log. In
`evidence/log/` lies a proof for each attestation and one for the decision about the release, whose digest is that of the gate's
attestation, so of all decisions. They are C2SP tlog-proofs, signed like the log by the release key.

What always holds of a verified bundle: it has all of these proofs or, where its devicepipe kept no log, none; each is about the
entry that says what the bundle says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.checks import Link, same
from devicepipe.evidence.decisions import VerificationSummary
from devicepipe.evidence.files import size_of
from devicepipe.evidence.layout import ATTESTATIONS, SUFFIX, kind_of_model
from devicepipe.evidence.ledger.checkpoint import Trust, origin_of
from devicepipe.evidence.ledger.entry import Entry, decode_entry, make_entry
from devicepipe.evidence.ledger.proof import MAXIMUM_PROOF, verify_proof
from devicepipe.evidence.ledger.proof import SUFFIX as PROOF_SUFFIX
from devicepipe.evidence.predicates import Release, SourceInfo
from devicepipe.signing.keys import PublicKey

LOG = "evidence/log/"
"""Where the proofs lie in a bundle."""
DECISION = f"{LOG}decision{PROOF_SUFFIX}"
"""The proof of the decision about the release."""
_PROGRAM = "devicepipe"


def proven_entries(attestations: Iterable[Attestation], source: SourceInfo, at: str) -> dict[str, Entry]:
    """The entries of which a bundle carries proofs, by the proof's file, in the order in which they are logged.

    Args:
        attestations: All attestations of the bundle.
        source: What its source attestation says.
        at: When they are logged.
    """
    release = f"{source.product} {source.version}"
    ordered = sorted(attestations, key=lambda one: one.path)
    entries = {_file(one): _attestation_entry(one, release, at) for one in ordered}
    gate = next(one for one in ordered if one.kind == kind_of_model(VerificationSummary))
    summary = gate.read(VerificationSummary)
    outcome = "releasable" if summary.devicepipe.releasable else "not releasable"
    entries[DECISION] = _decision_entry(gate, summary, release, outcome=outcome)
    return entries


def rule_entries(gate: Attestation, source: SourceInfo) -> list[Entry]:
    """The entries of the decisions by single rules, in their order."""
    summary, release = gate.read(VerificationSummary), f"{source.product} {source.version}"
    return [
        _decision_entry(
            gate, summary, release, outcome=one.state, rule=one.rule, **({"board": one.board} if one.board else {})
        )
        for one in summary.devicepipe.decisions
    ]


def check_log_proofs(
    bundle: Bundle, attestations: Iterable[Attestation], source: SourceInfo, release: Release, release_key: PublicKey
) -> Link:
    """Check the proofs that a bundle carries.

    Raises:
        IntegrityError: One does not hold, is about something else, or is missing while others are there; names it.
    """
    found = {name for name in bundle.names() if name.startswith(LOG)}
    if not found:
        return Link(LOG, "has no proofs: the devicepipe that made the bundle kept no log")
    try:
        entries = proven_entries(attestations, source, release.sealed_on)
    except UsageError as error:
        raise IntegrityError(f"cannot be about this bundle: {error.message}", link=min(found)) from error
    if missing := sorted(entries.keys() - found):
        raise IntegrityError("is missing, though there are other proofs", link=missing[0])
    if stray := sorted(found - entries.keys()):
        raise IntegrityError("proves nothing of this bundle", link=stray[0])
    last = -1
    for name, expected in entries.items():
        index = _check(bundle, name, expected, release_key, release, source)
        if index <= last:
            raise IntegrityError("stands in the log before an entry that it follows", link=name)
        last = index
    return Link(LOG, f"{len(entries)} proofs: every attestation and the decision about the release are in the log")


def _check(bundle: Bundle, name: str, expected: Entry, key: PublicKey, release: Release, source: SourceInfo) -> int:
    if size_of(bundle.folder, name) > MAXIMUM_PROOF:
        raise IntegrityError(f"is larger than {MAXIMUM_PROOF} bytes", link=name)
    proven = verify_proof(bundle.read(name), Trust((key,), origin_of(release.product)), name)
    entry = decode_entry(proven.entry, name)
    if expected.kind == "attestation":
        started, sealed = map(datetime.fromisoformat, (source.started_on, release.sealed_on))
        if not started <= datetime.fromisoformat(entry.at) <= sealed:
            raise IntegrityError(f"is of {entry.at}, when the release was not being made", link=name)
        expected = expected.model_copy(update={"at": entry.at})
    same("entry", entry, expected, name, "the bundle")
    return proven.index


def _file(attestation: Attestation) -> str:
    stem = attestation.path.removeprefix(ATTESTATIONS).removesuffix(SUFFIX)
    return f"{LOG}{ATTESTATIONS}{stem}{PROOF_SUFFIX}"


def _attestation_entry(attestation: Attestation, release: str, at: str) -> Entry:
    details: Mapping[str, str] = {"predicateType": attestation.kind.predicate_type, "release": release}
    board = {"board": attestation.board} if attestation.board else {}
    return make_entry(
        "attestation",
        at=at,
        by=_PROGRAM,
        subject=attestation.path,
        digest=attestation.sha256,
        details={**details, **board},
    )


def _decision_entry(gate: Attestation, summary: VerificationSummary, release: str, **details: str) -> Entry:
    return make_entry(
        "decision", at=summary.time_verified, by="gate", subject=release, digest=gate.sha256, details=details
    )
