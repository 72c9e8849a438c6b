"""Proofs that signatures of people are in the log: `NNNN.tlog-proof` beside each in the record of a release.

A proof is about the log's entry of kind `approval` that says what the signature says. It needs no log to be checked, only the
release key, by which the checkpoint is signed. A signature without a proof is told, not refused: its process may have been killed
between the two.
"""

from __future__ import annotations

from devicepipe.errors import IntegrityError
from devicepipe.evidence.checks import same
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.ledger.checkpoint import Trust, origin_of
from devicepipe.evidence.ledger.entry import Entry, decode_entry, make_entry
from devicepipe.evidence.ledger.proof import verify_proof
from devicepipe.evidence.signatures import Given, SignedRecord, proof_file
from devicepipe.signing.keys import PublicKey


def entry_of(given: Given, release: str) -> Entry:
    """What the log says of a signature of a release (SHA-256 of its statement): of this very file."""
    signature = given.signature
    return make_entry(
        "approval",
        at=signature.on,
        by=signature.account,
        subject=f"{signature.product} {signature.version}",
        digest=release,
        details={
            "meaning": " ".join(signature.meaning.split()),
            "name": signature.name,
            "outcome": signature.action,
            "role": signature.role,
            "signature": given.sha256,
        },
    )


def check_proofs(record: SignedRecord, release: str, release_key: PublicKey | KeyTrust) -> dict[int, int]:
    """Check every proof of a record; returns the number of the log's entry, by the number of the signature.

    Raises:
        IntegrityError: A proof does not hold, is about something else, or does not keep the order; names it.
    """
    found: dict[int, int] = {}
    trust, last = KeyTrust.of(release_key), -1
    for given in record.signatures:
        name = proof_file(given.signature.number)
        if name in record.files:
            index = _check(record.files[name], name, given, release, trust)
            if index <= last:
                raise IntegrityError("stands in the log before a signature that it follows", link=name)
            found[given.signature.number] = last = index
    return found


def _check(data: bytes, name: str, given: Given, release: str, trust: KeyTrust) -> int:
    proven = verify_proof(data, Trust(trust.keys, origin_of(given.signature.product)), name)
    trust.check_kept(proven.checkpoint.key, data, name)
    same("entry", decode_entry(proven.entry, name), entry_of(given, release), name, given.file)
    return proven.index
