"""Appending to a log, so that a crash at any moment loses nothing that was acknowledged and leaves nothing half done.

How, step by step, under the log's lock:

1. A batch goes into the journal as one record, together with the signed checkpoint of the log after it: one write, one fsync. Then
   it is acknowledged.
2. Publishing writes the tiles and bundles that the published checkpoint does not cover yet, fsyncs them, and only then puts the new
   checkpoint into the place of the old one by a rename, fsynced as well. Then the journal is emptied.

So a published checkpoint covers only files that last, and they are never written again: whoever opens the log after a crash finds
the batch in the journal and publishes it, without the key, since it is signed; or finds a torn record, which nobody was promised
anything of, and cuts it off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.ledger.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    Trust,
    add_cosignatures,
    check_origin,
    check_witnesses,
    open_checkpoint,
    sign_checkpoint,
)
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.entry import Entry, encode_entry
from devicepipe.evidence.ledger.growth import Growth
from devicepipe.evidence.ledger.journal import JOURNAL, Record, parse_journal
from devicepipe.evidence.ledger.log import CHECKPOINT, Log, has_log, read_checkpoint
from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.evidence.ledger.tiles import Tile
from devicepipe.evidence.ledger.tree import EMPTY_ROOT
from devicepipe.signing.keys import PublicKey

NEW_CHECKPOINT = ".checkpoint.new"
PUBLISH_AT = 16 * 1024 * 1024
"""How many bytes of the journal a long series of batches fills before it is published."""
MAXIMUM_BATCH = 32 * 1024 * 1024
"""The most bytes that the entries of a batch have together, with two for the length of each."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening a log found of an interrupted append.

    Attributes:
        published: Entries that were acknowledged, and are published now.
        torn: Bytes of a record that was not whole, and that nobody had an acknowledgement of; they were cut off.
    """

    published: int = 0
    torn: int = 0


class LogWriter:
    """A log that is open for appending, and locked. Made by `open_writer`.

    After an error of its own it takes no more: whatever was acknowledged is safe, and opening the log again finds it.
    """

    def __init__(self, log: Log, trust: Trust, signer: NoteSigner | None) -> None:
        """Take over what the journal holds. Raises IntegrityError, OSError as `open_writer`."""
        self._disk, self._signer, self._trust = log.disk, signer, trust
        self._published = self._signed = log.signed
        self._growth = Growth.of(log)
        self._journal = 0
        self._broken = False
        self.recovery = self._recover()

    @property
    def checkpoint(self) -> SignedCheckpoint:
        """The checkpoint of all that was acknowledged; published when `publish` returns."""
        return self._signed

    def append(self, entries: Sequence[Entry]) -> range:
        """Append a batch, all of it or nothing; when this returns, it lasts.

        Returns:
            The entries' numbers.

        Raises:
            UsageError: An entry or all of them are too long, and nothing happened; or the signer is not the log's.
            BenchError: The signing device, or the disk, failed. The writer is of no more use.
        """
        return self.append_raw([encode_entry(entry) for entry in entries])

    def append_raw(self, entries: Sequence[bytes]) -> range:
        """As `append`, of entries as bytes, which `encode_entry` made."""
        if self._signer is None:
            raise UsageError("the log was opened without its key", remedy="open it with the signer of the log")
        if self._broken:
            raise BenchError(
                "the log was given up after an error", remedy="open it again; what was acknowledged is safe"
            )
        old = self._growth.size
        if not entries:
            return range(old, old)
        if sum(map(len, entries)) + 2 * len(entries) > MAXIMUM_BATCH:
            raise UsageError(f"a batch of more than {MAXIMUM_BATCH} bytes is too large", remedy="append it in parts")
        with self._or_broken():
            self._growth.extend(entries)
            checkpoint = Checkpoint(self._published.origin, self._growth.size, self._growth.root())
            signed = sign_checkpoint(checkpoint, self._signer)
            record = Record(old, tuple(entries), signed.data).to_bytes()
            self._check_alone()
            self._disk.append(JOURNAL, record)
            self._journal += len(record)
            self._check_alone()
        # From here on the batch is in the log, whatever happens.
        self._signed = signed
        if self._journal >= PUBLISH_AT:
            self.publish()
        return range(old, self._growth.size)

    def publish(self) -> SignedCheckpoint:
        """Write what was acknowledged into tiles, and the checkpoint last.

        Raises:
            BenchError: The disk failed. What was acknowledged is in the journal.
        """
        if self._broken or self._signed.size == self._published.size:
            return self._published
        with self._or_broken():
            self._check_alone()
            tiles = self._growth.tiles(self._published.size)
            for tile, data in tiles:
                assert tile.size > self._published.size
                self._disk.write(tile.path, data)
            self._disk.sync()
            self._check_alone()
            self._disk.replace(CHECKPOINT, self._signed.data, NEW_CHECKPOINT)
            self._disk.truncate(JOURNAL, 0)
        self._published, self._journal = self._signed, 0
        self._growth.forget()
        self._tidy([tile for tile, _ in tiles])
        return self._published

    def _tidy(self, written: Sequence[Tile]) -> None:
        """Remove partial tiles whose full ones are there now. Nothing depends on it, so nothing is said where it fails."""
        for tile in written:
            if tile.full == tile:
                folder = f"{tile.path}.p"
                try:
                    names = self._disk.names(folder)
                    for name in names:
                        self._disk.remove(f"{folder}/{name}")
                    if names:
                        self._disk.remove_folder(folder)
                except OSError:
                    continue

    def _recover(self) -> Recovery:
        try:
            data = self._disk.read(JOURNAL)
        except FileNotFoundError:
            # A copy of a log has none.
            self._disk.write(JOURNAL, b"")
            self._disk.sync()
            return Recovery()
        journal, self._journal = parse_journal(data), len(data)
        before = self._published.size
        signed = replay(self._growth, journal.records, self._trust, before)
        if signed is not None:
            self._signed = signed
            self.publish()
        elif data:
            # All of it is published, and only the emptying is missing; or it was never whole.
            self._disk.truncate(JOURNAL, 0)
            self._journal = 0
        return Recovery(self._growth.size - before, journal.torn)

    def _check_alone(self) -> None:
        """See that checkpoint and journal are as this writer left them: a lock keeps out nobody once its file was removed.

        Raises:
            BenchError: Another process appended meanwhile. What this one was acknowledged, the other found in the journal.
        """
        if self._disk.size(JOURNAL) != self._journal or self._disk.read(CHECKPOINT) != self._published.data:
            raise BenchError(
                f"somebody else wrote to the log while this process had it locked: {self._disk.folder}",
                remedy="leave its `.lock` alone, see `devicepipe log verify`, and append again",
            )

    @contextmanager
    def _or_broken(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._broken = True
            if isinstance(error, OSError):
                raise BenchError(
                    f"the log cannot be written: {error.strerror or error}",
                    remedy="free or permit the disk, and append again; what was acknowledged is safe",
                ) from error
            raise


def replay(growth: Growth, records: Sequence[Record], trust: Trust, published: int) -> SignedCheckpoint | None:
    """Let a tree grow by the records of a journal; those that are published already are passed over.

    Returns:
        The checkpoint after the last record; None where there is nothing to take over.

    Raises:
        IntegrityError: A record does not continue the log, or its checkpoint is not signed by the log or not of its entries.
    """
    signed = None
    for record in records:
        if record.new <= published:
            continue
        if record.old != growth.size:
            raise IntegrityError(
                f"has a record that continues a log of {record.old} entries; there are {growth.size}",
                link=JOURNAL,
                remedy="the checkpoint or the journal is not the one that was there: restore the log from a copy",
            )
        signed = open_checkpoint(record.checkpoint, trust, JOURNAL)
        growth.extend(record.entries)
        if (signed.size, signed.root) != (growth.size, growth.root()):
            raise IntegrityError(
                f"its record of the entries {record.old} to {record.new - 1} is not what its checkpoint signs",
                link=JOURNAL,
                remedy="the record was altered: restore the log from a copy",
            )
    return signed


def create_log(folder: Path, signer: NoteSigner, disk: Disk | None = None) -> SignedCheckpoint:
    """Make an empty log, whose origin is the name of the signer's key.

    Raises:
        UsageError: There is one already, or the folder cannot be made.
        IntegrityError: There was one, and its checkpoint is missing.
    """
    check_origin(signer.key.name)
    try:
        if disk is None:
            disk = Disk(folder)
            disk.make()
        with disk.locked():
            if has_log(disk):
                raise UsageError("there is a log already", file=folder, remedy="append to it, or name another folder")
            signed = sign_checkpoint(Checkpoint(signer.key.name, 0, EMPTY_ROOT), signer)
            disk.write(JOURNAL, b"")
            disk.sync()
            disk.replace(CHECKPOINT, signed.data, NEW_CHECKPOINT)
            return signed
    except OSError as error:
        raise UsageError(
            f"the log cannot be made: {error.strerror}", file=folder, remedy="make the folder writable"
        ) from error


@contextmanager
def open_writer(
    folder: Path, signer: NoteSigner, former: Sequence[PublicKey] = (), disk: Disk | None = None
) -> Iterator[LogWriter]:
    """Open a log for appending; what was appended is published at the end.

    The log is locked as long: other processes that append wait. Readers do not.

    Args:
        folder: The log's folder.
        signer: The log's key; its name is the log's origin.
        former: Keys that signed the log before.
        disk: Another file system, for tests.

    Raises:
        UsageError: There is no log.
        IntegrityError: Its checkpoint is not to be trusted, or what the next append builds upon does not fit it.
        BenchError: The disk failed.
    """
    trust = Trust((signer.key.public, *former), signer.key.name)
    with _locked_writer(folder, trust, signer, disk) as writer:
        try:
            yield writer
        finally:
            writer.publish()


def recover_log(folder: Path, trust: Trust, disk: Disk | None = None) -> Recovery:
    """Publish what an interrupted append left in the journal; needs no key, since it is signed. Raises as `open_writer`."""
    with _locked_writer(folder, trust, None, disk) as writer:
        return writer.recovery


def append_entries(folder: Path, signer: NoteSigner, entries: Sequence[Entry]) -> range:
    """Append entries to a log, and publish them. Returns their numbers; raises as `open_writer` and `LogWriter.append`."""
    with open_writer(folder, signer) as writer:
        return writer.append(entries)


def store_cosignatures(
    folder: Path, trust: Trust, other: bytes, witnesses: Sequence[NoteKey], link: str
) -> SignedCheckpoint:
    """Take the cosignatures of witnesses over into the log's checkpoint, from a copy of it that they cosigned.

    Args:
        folder: The log's folder.
        trust: Whom to believe of the log.
        other: The bytes of the cosigned copy.
        witnesses: The witnesses whose cosignatures are taken.
        link: What the copy is called in errors.

    Raises:
        UsageError: There is no log, or a key is no witness's.
        IntegrityError: A signature is wrong, or the copy is of another checkpoint.
    """
    check_witnesses(witnesses, trust.keys)
    disk = Disk(folder)
    log = Log.open(folder, trust, disk)
    with disk.locked():
        signed = open_checkpoint(read_checkpoint(disk), trust, CHECKPOINT)
        merged = add_cosignatures(signed, other, witnesses, link)
        log.disk.replace(CHECKPOINT, merged.data, NEW_CHECKPOINT)
        return merged


@contextmanager
def _locked_writer(folder: Path, trust: Trust, signer: NoteSigner | None, disk: Disk | None) -> Iterator[LogWriter]:
    if disk is None:
        disk = Disk(folder)
        read_checkpoint(disk)  # before a lock is made in a folder that is no log's
    with disk.locked():
        disk.sync_names()  # the checkpoint's, on which all is built that is acknowledged from here on
        yield LogWriter(Log.open(folder, trust, disk), trust, signer)
