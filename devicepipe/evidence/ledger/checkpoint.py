"""Checkpoints: what a log signs of itself, and witnesses cosign.

What always holds of a `Checkpoint`: an origin of one line, a size that a signed 64-bit integer holds, a root of 32 bytes, and the
root of the empty tree for size 0. Of a `SignedCheckpoint`: a trusted key of the log signed it, no trusted signature on it is
wrong, and at least as many trusted witnesses cosigned it as were asked for.

Sources: C2SP tlog-checkpoint, tlog-cosignature (https://c2sp.org).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.note import (
    DAMAGED,
    TYPE_COSIGNATURE,
    Note,
    NoteKey,
    NoteSigner,
    decode_base64,
    is_key_name,
    parse_note,
    signed_by,
)
from devicepipe.evidence.ledger.tree import EMPTY_ROOT, HASH_SIZE, MAXIMUM_SIZE
from devicepipe.signing.keys import PublicKey

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log at one size.

    Attributes:
        origin: The log's name, unique to it, e.g. `example.com/pump/log`.
        size: The number of its entries.
        root: The root of its tree.
        extensions: Further lines. Ours have none; those of others are kept.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> bytes:
        """What is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a reader of a log believes.

    Attributes:
        keys: The log's public keys: the present one, and those before it that were not revoked.
        origin: The log's name; None takes the one that a checkpoint gives.
        witnesses: The keys of witnesses; none of them a key of the log.
        quorum: How many of the witnesses must have cosigned.
        revoked: Keys of the log that were revoked. Nothing counts by them but a checkpoint that the reader kept, which the log must
            have grown from: a forged one could only have the log refused.
    """

    keys: tuple[PublicKey, ...]
    origin: str | None = None
    witnesses: tuple[NoteKey, ...] = ()
    quorum: int = 0
    revoked: tuple[PublicKey, ...] = ()

    def __post_init__(self) -> None:
        if not self.keys:
            raise UsageError("no key of the log is named", remedy="name the log's public key")
        check_witnesses(self.witnesses, self.keys)
        if not 0 <= self.quorum <= len(self.witnesses):
            raise UsageError(f"{self.quorum} of {len(self.witnesses)} witnesses cannot be asked for")


@dataclass(frozen=True, slots=True)
class Cosigned:
    """That a witness cosigned, and when (seconds since 1970, UTC)."""

    name: str
    time: int


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose signatures were checked.

    Attributes:
        checkpoint: What it says.
        note: The note that it was read from.
        key: The trusted key that signed it.
        cosigned: The trusted witnesses that cosigned it.
    """

    checkpoint: Checkpoint
    note: Note
    key: PublicKey
    cosigned: tuple[Cosigned, ...]

    @property
    def data(self) -> bytes:
        """The bytes of its file."""
        return self.note.to_bytes()

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.checkpoint.origin

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        """The root of the tree."""
        return self.checkpoint.root


def origin_of(product: str) -> str:
    """The name of a product's log."""
    return f"{product}/log"


def check_witnesses(witnesses: Sequence[NoteKey], keys: Sequence[PublicKey]) -> None:
    """See that keys are those of witnesses, who are others than the log.

    Raises:
        UsageError: One makes no cosignatures, or is a key of the log under another name.
    """
    for one in witnesses:
        if one.kind != TYPE_COSIGNATURE:
            raise UsageError(
                f"the verifier key {one.name!r} is that of a log, and makes no cosignatures",
                remedy="name the key that the witness printed: `devicepipe log witness`",
            )
        if one.public.keyid in {key.keyid for key in keys}:
            raise UsageError(
                f"the witness {one.name!r} has the log's own key: a log is no witness of itself",
                remedy="have somebody else witness it, with another key",
            )


def check_origin(origin: str) -> str:
    """The origin, fit to name a log and its key. Raises UsageError."""
    if not is_key_name(origin):
        raise UsageError(
            f"{origin!r} cannot be the origin of a log",
            remedy="use a name without spaces and '+', unique to the log, e.g. example.com/pump/log",
        )
    return origin


def parse_checkpoint(text: bytes, link: str) -> Checkpoint:
    """Read the text of a checkpoint, without signatures.

    Raises:
        IntegrityError: It is none.
    """
    try:
        return _of_lines(text.decode().split("\n"))
    except ValueError as error:
        raise IntegrityError(f"is no checkpoint: {error}", link=link, remedy=DAMAGED) from error


def _of_lines(lines: list[str]) -> Checkpoint:
    if len(lines) <= _LINES or lines.pop() or not all(lines):
        raise ValueError("expected the lines origin, size and root, each with its end and none of them empty")
    origin, size, root, *extensions = lines
    if not origin.isprintable():
        raise ValueError(f"its origin {origin!r} cannot be printed")
    if not _SIZE.fullmatch(size) or int(size) > MAXIMUM_SIZE:
        raise ValueError(f"{size[:40]!r} is not the size of a tree")
    decoded = decode_base64(root)
    if decoded is None or len(decoded) != HASH_SIZE:
        raise ValueError("its root is not 32 bytes in base64")
    if size == "0" and decoded != EMPTY_ROOT:
        raise ValueError("the root of an empty tree is another")
    return Checkpoint(origin, int(size), decoded, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> SignedCheckpoint:
    """Sign a checkpoint with a key of the log. Raises UsageError, BenchError as `keys.sign`."""
    text = checkpoint.text()
    return SignedCheckpoint(checkpoint, Note(text, (signer.sign(text),)), signer.key.public, ())


def open_checkpoint(data: bytes, trust: Trust, link: str) -> SignedCheckpoint:
    """Read a checkpoint and check its signatures.

    Raises:
        IntegrityError: It is none, of another log, not signed by a trusted key, has a wrong signature of a trusted key or witness,
            or too few witnesses cosigned it.
    """
    note = parse_note(data, link)
    checkpoint = parse_checkpoint(note.text, link)
    origin = checkpoint.origin
    if trust.origin is not None and origin != trust.origin:
        raise IntegrityError(
            f"is of the log {origin!r}, expected {trust.origin!r}",
            link=link,
            remedy="it belongs to another log; take the one of this log",
        )
    if not is_key_name(origin):
        raise IntegrityError(f"its origin {origin!r} is no name that a key can have", link=link)
    signed = signed_by(note, [NoteKey.of_log(origin, key) for key in trust.keys], link)
    if not signed:
        names = ", ".join(sorted({f"{one.name}+{one.key_id.hex()}" for one in note.signatures}))
        wanted = ", ".join(key.keyid for key in trust.keys)
        raise IntegrityError(
            f"is not signed by a trusted key ({wanted}), but by {names}",
            link=link,
            remedy="make sure that this is the log's key; where that was rotated, name the history of the product's keys "
            "(--history); if it is by none of them, do not trust the file",
        )
    cosigned = signed_by(note, trust.witnesses, link) if trust.witnesses else []
    if len({key.public.keyid for key, _ in cosigned}) < trust.quorum:
        raise IntegrityError(
            f"is cosigned by {len(cosigned)} of the witnesses that are trusted, expected {trust.quorum}",
            link=link,
            remedy="have it witnessed (`devicepipe log witness`), and add that (`devicepipe log checkpoint --add`)",
        )
    witnesses = tuple(Cosigned(key.name, signature.time) for key, signature in cosigned)
    return SignedCheckpoint(checkpoint, note, signed[0][0].public, witnesses)


def add_cosignatures(
    signed: SignedCheckpoint, other: bytes, witnesses: Sequence[NoteKey], link: str
) -> SignedCheckpoint:
    """The checkpoint with the cosignatures of known witnesses from another copy of it.

    Args:
        signed: The checkpoint.
        other: The other copy.
        witnesses: The witnesses whose cosignatures are taken over, once checked.
        link: What the other copy is called in errors.

    Raises:
        IntegrityError: It is of another checkpoint, or a cosignature is wrong.
    """
    note = parse_note(other, link)
    if note.text != signed.note.text:
        there = parse_checkpoint(note.text, link)
        raise IntegrityError(
            f"is a checkpoint of {there.origin!r} at size {there.size}; the log is {signed.origin!r} at {signed.size}",
            link=link,
            remedy="the log has grown since: have it witnessed again",
        )
    merged, cosigned = signed.note, []
    for key, signature in signed_by(note, witnesses, link):
        merged = merged.with_signature(signature)
        cosigned.append(Cosigned(key.name, signature.time))
    if not cosigned:
        raise IntegrityError(
            "has no cosignature of a witness that is named", link=link, remedy="name the witness's key"
        )
    names = {one.name for one in cosigned}
    kept = [one for one in signed.cosigned if one.name not in names]
    return SignedCheckpoint(signed.checkpoint, merged, signed.key, (*kept, *cosigned))
