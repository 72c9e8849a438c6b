"""Proofs that an entry is in a log, as a file that is checked with nothing but public keys (C2SP tlog-proof).

Ours carry the entry itself as the "extra" data. Nothing is believed of it but what the proof then shows: that its hash is in the
tree that the checkpoint signs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass

from devicepipe.errors import IntegrityError
from devicepipe.evidence.ledger.checkpoint import SignedCheckpoint, Trust, open_checkpoint
from devicepipe.evidence.ledger.note import DAMAGED, NoteKey, decode_base64, parse_note
from devicepipe.evidence.ledger.tree import HASH_SIZE, MAXIMUM_SIZE, leaf_hash, verify_inclusion
from devicepipe.signing.keys import PublicKey

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
"""How the name of a proof's file ends."""
MAXIMUM_PROOF = 2 * 1024 * 1024
"""The longest proof that is read, in bytes."""

_MAXIMUM_HASHES = 63
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class LogProof:
    """A proof as its file says it; *nothing of it is checked*.

    Attributes:
        index: The entry's number, from 0.
        hashes: The inclusion proof, the leaf's sibling first.
        checkpoint: The bytes of the checkpoint.
        extra: What comes along with it; None where nothing does.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def to_bytes(self) -> bytes:
        """The bytes of its file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines.extend(base64.b64encode(one).decode() for one in self.hashes)
        return "\n".join(lines).encode() + b"\n\n" + self.checkpoint


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof shows: that the entry has this number in the log of the checkpoint."""

    index: int
    entry: bytes
    checkpoint: SignedCheckpoint


def parse_proof(data: bytes, link: str) -> LogProof:
    """Take a proof apart; nothing is checked.

    Raises:
        IntegrityError: It is none.
    """
    head, _, checkpoint = data.partition(b"\n\n")
    try:
        return _of_lines(iter(head.decode("ascii").split("\n")), checkpoint if len(data) <= MAXIMUM_PROOF else b"")
    except ValueError as error:
        raise IntegrityError(f"is no proof of a log: {error}", link=link, remedy=DAMAGED) from error


def _of_lines(lines: Iterator[str], checkpoint: bytes) -> LogProof:
    if next(lines) != HEADER:
        raise ValueError(f"its first line is not {HEADER!r}")
    if not checkpoint:
        raise ValueError("expected lines, a blank line and a checkpoint, and not too long")
    line, extra = next(lines, ""), None
    if line.startswith("extra "):
        extra = decode_base64(line.removeprefix("extra ")) if line != "extra " else b""
        if extra is None:
            raise ValueError("its extra data are not base64")
        line = next(lines, "")
    number = line.removeprefix("index ")
    if not line.startswith("index ") or not _NUMBER.fullmatch(number) or int(number) >= MAXIMUM_SIZE:
        raise ValueError("it has no line with the entry's index")
    hashes = [decode_base64(one) for one in lines]
    if len(hashes) > _MAXIMUM_HASHES:
        raise ValueError(f"it has more than {_MAXIMUM_HASHES} hashes")
    good = tuple(one for one in hashes if one is not None and len(one) == HASH_SIZE)
    if len(good) != len(hashes):
        raise ValueError("a line is not a hash of 32 bytes in base64")
    return LogProof(int(number), good, checkpoint, extra)


def says_key(data: bytes, key: PublicKey, link: str) -> bool:
    """Whether the checkpoint of a proof says that a key signed it, *without checking the signature*.

    Raises:
        IntegrityError: It is no proof of a log.
    """
    signatures = parse_note(parse_proof(data, link).checkpoint, link).signatures
    return any(one.key_id == NoteKey.of_log(one.name, key).key_id for one in signatures)


def verify_proof(data: bytes, trust: Trust, link: str, entry: bytes | None = None) -> Proven:
    """Check a proof.

    Args:
        data: The bytes of its file.
        trust: Whose signatures are believed.
        link: What the proof is called in errors.
        entry: The entry that it must be about; None takes the one that it carries.

    Raises:
        IntegrityError: It is no proof, its checkpoint is not to be trusted, or the entry is not at that place in that tree.
    """
    proof = parse_proof(data, link)
    signed = open_checkpoint(proof.checkpoint, trust, link)
    subject = proof.extra if entry is None else entry
    if subject is None:
        raise IntegrityError("does not carry its entry", link=link, remedy="give the entry beside the proof")
    if not verify_inclusion(proof.index, signed.size, leaf_hash(subject), proof.hashes, signed.root):
        raise IntegrityError(
            f"does not show that the entry is number {proof.index} of the log {signed.origin!r} at size {signed.size}",
            link=link,
            remedy="take the proof of this entry (`devicepipe log prove`); if this is it, do not trust it",
        )
    return Proven(proof.index, subject, signed)
