"""The journal of a log: batches that are acknowledged and not yet published.

A batch is one record: the size of the log before it, its entries, and the checkpoint of the log after it, signed. A record lasts
with one fsync, and then nothing that is in it can be lost. A record that ends too early, or is not what its digest says, was
being written when the process or the machine died; only the last one can be so.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from devicepipe.errors import IntegrityError
from devicepipe.evidence.ledger.tiles import decode_bundle, encode_bundle

JOURNAL = ".journal"

_MAGIC = b"dpj1"
_CANDIDATES = 1000  # places that may begin a record: a torn one has a few by chance, and more are meant to waste time
_HEAD = struct.Struct(">4sI32s")
_BODY = struct.Struct(">QII")


@dataclass(frozen=True, slots=True)
class Record:
    """A batch: the log's size before it, its entries, and the bytes of the signed checkpoint after it."""

    old: int
    entries: tuple[bytes, ...]
    checkpoint: bytes

    @property
    def new(self) -> int:
        """The log's size after it."""
        return self.old + len(self.entries)

    def to_bytes(self) -> bytes:
        """The record as it stands in the journal."""
        bundle = encode_bundle(self.entries)
        body = _BODY.pack(self.old, len(self.entries), len(bundle)) + bundle + self.checkpoint
        return _HEAD.pack(_MAGIC, len(body), hashlib.sha256(body).digest()) + body


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal as found: its whole records, where they end, and how many bytes of a broken one are behind them."""

    records: Sequence[Record]
    end: int
    torn: int


def parse_journal(data: bytes) -> Journal:
    """Read a journal.

    Raises:
        IntegrityError: A record is damaged that others were written behind.
    """
    records, place = [], 0
    while found := _record(data, place):
        record, place = found
        records.append(record)
    later = data.find(_MAGIC, place + 1)
    for tried in count(1):
        if later < 0:
            break
        if tried > _CANDIDATES or _record(data, later):
            raise IntegrityError(
                f"is damaged at byte {place}: the record there is not what was written",
                link=JOURNAL,
                remedy="restore the log from a copy; entries that were acknowledged are in the damaged record",
            )
        later = data.find(_MAGIC, later + 1)
    return Journal(records, place, len(data) - place)


def _record(data: bytes, place: int) -> tuple[Record, int] | None:
    """The whole record at a place, and where it ends."""
    start = place + _HEAD.size
    if start > len(data):
        return None
    magic, length, digest = _HEAD.unpack_from(data, place)
    body = data[start : start + length]
    if magic != _MAGIC or len(body) != length or length < _BODY.size or hashlib.sha256(body).digest() != digest:
        return None
    old, entries, size = _BODY.unpack_from(body)
    bundle = body[_BODY.size : _BODY.size + size]
    try:
        return Record(old, tuple(decode_bundle(bundle, entries)), body[_BODY.size + size :]), start + length
    except ValueError:
        return None
