"""A witness: remembers the last checkpoint that it saw of a log, and cosigns a new one only where the log has grown from that.

What always holds: of one log a witness never cosigns two checkpoints that are not one line, as long as its file is kept. It has
the new checkpoint on disk before it gives its cosignature away.

Source: C2SP tlog-witness, section "add-checkpoint"; here between files, not over HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.checkpoint import SignedCheckpoint, Trust, check_witnesses, open_checkpoint
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.note import NoteSigner
from devicepipe.evidence.ledger.tree import verify_consistency


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What a witness did.

    Attributes:
        before: The size that it had seen; None where it saw the log for the first time.
        signed: The checkpoint that it cosigned.
        data: The bytes of that checkpoint with the cosignature.
    """

    before: int | None
    signed: SignedCheckpoint
    data: bytes


def witness_log(
    open_log: Callable[[], Log], trust: Trust, state: Path, signer: NoteSigner, *, first: bool = False
) -> Witnessed:
    """Witness the checkpoint of a log, with the proof that the log's own tiles give.

    Args:
        open_log: Opens the log. It is asked once nobody else is at the witness's file: a log that was opened before may have
            grown, and been witnessed, meanwhile, and what was read of it would look rolled back.
        trust: Whose signatures are believed of the log.
        state: The witness's file for this log.
        signer: The witness's key.
        first: The witness has not seen the log before, and its file is to be made.

    Raises:
        UsageError, IntegrityError, OSError: As `witness_checkpoint`, and as `open_log`.
    """
    with _alone(state, trust, signer) as disk:
        log = open_log()
        return _witness(disk, log.signed.data, trust, state, signer, log.consistency, first=first, now=None)


def witness_checkpoint(
    data: bytes,
    trust: Trust,
    state: Path,
    signer: NoteSigner,
    *,
    proof: Sequence[bytes] = (),
    first: bool = False,
    now: int | None = None,
) -> Witnessed:
    """Check a checkpoint against what was seen last, remember it, and cosign it.

    Args:
        data: The bytes of the checkpoint.
        trust: Whose signatures are believed of the log.
        state: The witness's file for this log.
        signer: The witness's key.
        proof: The consistency proof from what was seen last to this checkpoint.
        first: The witness has not seen the log before, and its file is to be made.
        now: The time of the cosignature, in seconds since 1970; None for now.

    Raises:
        UsageError: The file is missing though the log was seen before, is there at the first time, or is no regular file.
        IntegrityError: The checkpoint is not to be trusted, is older than what was seen (a rollback), or the log did not grow
            from what was seen (a fork). Nothing is cosigned, and what was seen stays.
    """
    with _alone(state, trust, signer) as disk:
        return _witness(disk, data, trust, state, signer, lambda _: proof, first=first, now=now)


@contextmanager
def _alone(state: Path, trust: Trust, signer: NoteSigner) -> Iterator[Disk]:
    check_witnesses((signer.key,), trust.keys)
    disk = Disk(state.parent)
    disk.make()
    with disk.locked(f".{state.name}.lock"):
        yield disk


def _witness(
    disk: Disk,
    data: bytes,
    trust: Trust,
    state: Path,
    signer: NoteSigner,
    proof_from: Callable[[int], Sequence[bytes]],
    *,
    first: bool,
    now: int | None,
) -> Witnessed:
    signed = open_checkpoint(data, trust, "checkpoint")
    seen = _seen(disk, state, trust, signer, first=first)
    if seen is not None:
        _check_growth(seen, signed, proof_from(seen.size) if seen.size <= signed.size else ())
    cosignature = signer.cosign(signed.note.text, int(time.time()) if now is None else now)
    cosigned = signed.note.with_signature(cosignature).to_bytes()
    disk.replace(state.name, cosigned, f".{state.name}.new")
    return Witnessed(None if seen is None else seen.size, signed, cosigned)


def _seen(disk: Disk, state: Path, trust: Trust, signer: NoteSigner, *, first: bool) -> SignedCheckpoint | None:
    if state.is_symlink() or (state.exists() and not state.is_file()):
        # Beside a link another file would be made in its place: where it leads would stay older, and a fork of that be cosigned.
        raise UsageError(
            "is no regular file", file=state, remedy="name the witness's file itself, not a link that leads to it"
        )
    if not state.exists():
        if first:
            return None
        raise UsageError(
            "the witness has no record of this log",
            file=state,
            remedy="if it has never seen it, say --first; if it has, restore the file: without it nobody can tell a rollback",
        )
    if first:
        raise UsageError("the witness has seen this log already", file=state, remedy="leave --first out")
    # The witness cosigned it: that the log's key was revoked since takes nothing from what it saw.
    keys, link = trust.keys + trust.revoked, str(state)
    return open_checkpoint(disk.read(state.name), Trust(keys, trust.origin, (signer.key,), quorum=1), link)


def _check_growth(seen: SignedCheckpoint, signed: SignedCheckpoint, proof: Sequence[bytes]) -> None:
    if signed.origin != seen.origin:
        raise IntegrityError(
            f"is of the log {signed.origin!r}, and the witness's file is of {seen.origin!r}",
            link="checkpoint",
            remedy="use one file for each log",
        )
    if signed.size < seen.size:
        raise IntegrityError(
            f"has {signed.size} entries, and the witness has seen {seen.size}: the log was rolled back",
            link="checkpoint",
            remedy="find the newer copy of the log; the witness's file proves that there was one",
        )
    grown = seen.size == 0 or verify_consistency(seen.size, seen.root, signed.size, signed.root, proof)
    if not grown:
        raise IntegrityError(
            f"is not of a log that grew from the {seen.size} entries that the witness has seen: a fork, or a rewritten log",
            link="checkpoint",
            remedy="keep both checkpoints: they are signed by the log, and together they prove it",
        )
