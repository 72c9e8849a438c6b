"""Proofs that changes of keys are in the log: `NNNN.tlog-proof` beside each in the history.

A proof is about the log's entry of kind `key-change` that says what the change says. A change without a proof is told, not
refused: its process may have been killed between the two.
"""

from __future__ import annotations

from pathlib import Path

from devicepipe.errors import IntegrityError
from devicepipe.evidence.checks import same
from devicepipe.evidence.files import read_file
from devicepipe.evidence.key_history import Changed, KeyHistory, change_proof
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.ledger.checkpoint import Trust, origin_of
from devicepipe.evidence.ledger.entry import Entry, decode_entry, make_entry
from devicepipe.evidence.ledger.proof import MAXIMUM_PROOF, verify_proof

WORDS = {"begin": "the first", "rotate": "rotated", "revoke": "revoked", "keep": "kept more of it"}
"""What the log says of each change."""


def entry_of(changed: Changed) -> Entry:
    """What the log says of a change."""
    change = changed.change
    return make_entry(
        "key-change",
        at=change.on,
        by=change.by,
        subject=f"{change.role} key",
        digest=changed.sha256,
        details={"change": WORDS[change.change], "keyid": changed.keyid, "reason": change.reason},
    )


def check_change_proofs(folder: Path, history: KeyHistory, trust: KeyTrust) -> dict[int, int]:
    """Check every proof of a history; returns the number of the log's entry, by the number of the change.

    Raises:
        IntegrityError: A proof does not hold, is about something else, or does not keep the order; names it.
    """
    found: dict[int, int] = {}
    last = -1
    for changed in history.changes:
        name = change_proof(changed.change.number)
        if not (folder / name).exists():
            continue
        data = read_file(folder, name, MAXIMUM_PROOF)
        proven = verify_proof(data, Trust(trust.keys, origin_of(history.product)), name)
        trust.check_kept(proven.checkpoint.key, data, name)
        same("entry", decode_entry(proven.entry, name), entry_of(changed), name, changed.file)
        if proven.index <= last:
            raise IntegrityError("stands in the log before a change that it follows", link=name)
        found[changed.change.number] = last = proven.index
    return found
