"""Logs for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.entry import Entry, make_entry
from devicepipe.evidence.ledger.note import NoteSigner
from devicepipe.evidence.ledger.writer import create_log, open_writer
from tests.evidence.ledger.keys import ORIGIN, log_signer

TRUST = Trust((log_signer().key.public,), ORIGIN)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sample(number: int, *, of: str = "pump") -> Entry:
    """An entry, of another kind and day than its neighbours."""
    at = f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T10:{number % 60:02}:00Z"
    by = ("alice", "bob", "carol")[number % 3]
    if number % 5 == 0:
        return make_entry("login", at=at, by=by, subject=by, details={"outcome": "succeeded"})
    if number % 7 == 0:
        details = {"meaning": "reviewed and approved", "name": by.title(), "outcome": "approved", "role": "QA"}
        details |= {"signature": digest(f"{of}{number}, signed")}
        return make_entry(
            "approval", at=at, by=by, subject=f"{of} 1.{number}", digest=digest(f"{of}{number}"), details=details
        )
    details = {"predicateType": "https://slsa.dev/provenance/v1"}
    subject = f"attestations/{of}/{number}.json"
    return make_entry("attestation", at=at, by=by, subject=subject, digest=digest(f"{of}{number}"), details=details)


def make_log(folder: Path, *batches: int, signer: NoteSigner | None = None, of: str = "pump") -> Path:
    """A log of sample entries, appended in batches of these sizes, each published."""
    signer = signer or log_signer()
    create_log(folder, signer)
    size = 0
    for batch in batches:
        with open_writer(folder, signer) as writer:
            writer.append([sample(number, of=of) for number in range(size, size + batch)])
        size += batch
    return folder
