"""A log as it lies on disk, for reading: its checkpoint, tiles and entries, and proofs made from them.

What always holds of an open `Log`: its checkpoint's signature was checked. Tiles and entries are read as they are asked for; what
was read is checked as far as it says here, and `verify` checks all of it. Nothing here writes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.checkpoint import SignedCheckpoint, Trust, open_checkpoint
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.journal import JOURNAL
from devicepipe.evidence.ledger.proof import LogProof
from devicepipe.evidence.ledger.tiles import (
    ENTRIES,
    HEIGHT,
    WIDTH,
    Tile,
    decode_bundle,
)
from devicepipe.evidence.ledger.tree import (
    HASH_SIZE,
    consistency_proof,
    full_root,
    inclusion_proof,
    leaf_hash,
    range_hash,
    verify_inclusion,
)

CHECKPOINT = "checkpoint"
_CACHED = 64
_VERIFY = "run `devicepipe log verify`, which names all that is broken, and restore the log from a copy"


def has_log(disk: Disk) -> bool:
    """Whether there is a log in the folder.

    Raises:
        IntegrityError: There is what only a log has, and no checkpoint: it was lost, and nothing is to be begun over the rest.
    """
    # First what a log has, and then its checkpoint: another process may be making the log, and that is there before the rest.
    left = "tiles" if disk.names("tile") else "a journal" if disk.size(JOURNAL) else ""
    if CHECKPOINT in disk.names(""):
        return True
    if left:
        raise IntegrityError(
            f"is missing, though the log has {left}",
            link=CHECKPOINT,
            remedy=f"restore it from a copy of the log: {disk.folder / CHECKPOINT}",
        )
    return False


def read_checkpoint(disk: Disk) -> bytes:
    """The bytes of a log's checkpoint.

    Raises:
        UsageError: There is no log in the folder.
        IntegrityError: As `has_log`.
    """
    if not has_log(disk):
        raise UsageError(
            "there is no log here: it has no checkpoint", file=disk.folder, remedy="name the folder of a log"
        )
    try:
        return disk.read(CHECKPOINT)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise IntegrityError(f"cannot be read: {error.strerror}", link=CHECKPOINT) from error


@dataclass
class Log:
    """A log at the size of a checkpoint.

    Attributes:
        disk: Where it lies.
        signed: Its checkpoint.
    """

    disk: Disk
    signed: SignedCheckpoint
    _cache: OrderedDict[Tile, bytes] = field(default_factory=OrderedDict, repr=False)

    @classmethod
    def open(cls, folder: Path, trust: Trust, disk: Disk | None = None) -> Log:
        """Open the log in a folder.

        Raises:
            UsageError: There is none.
            IntegrityError: Its checkpoint is not to be trusted.
        """
        disk = disk or Disk(folder)
        return cls(disk, open_checkpoint(read_checkpoint(disk), trust, CHECKPOINT))

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.signed.size

    def tile_at(self, level: int, number: int) -> Tile:
        """The tile or bundle of a level as wide as this log has it."""
        wide = (self.size >> (HEIGHT * max(level, 0))) - number * WIDTH
        return Tile(level, number, min(wide, WIDTH))

    def read_tile(self, tile: Tile) -> bytes:
        """The bytes of a tile of hashes; where a partial one is gone, those of the full one as far.

        Raises:
            IntegrityError: It is missing or has not the size that its name says.
        """
        if tile in self._cache:
            self._cache.move_to_end(tile)
            return self._cache[tile]
        data, found = self._read(tile)
        if len(data) != found.width * HASH_SIZE:
            raise IntegrityError(
                f"has {len(data)} bytes, expected {found.width * HASH_SIZE}", link=found.path, remedy=_VERIFY
            )
        self._cache[tile] = data[: tile.width * HASH_SIZE]
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return self._cache[tile]

    def read_bundle(self, number: int) -> list[bytes]:
        """The entries of a bundle. Raises IntegrityError where it is missing or malformed."""
        wanted = self.tile_at(ENTRIES, number)
        data, found = self._read(wanted)
        try:
            return decode_bundle(data, found.width)[: wanted.width]
        except ValueError as error:
            raise IntegrityError(str(error), link=found.path, remedy=_VERIFY) from error

    def _read(self, tile: Tile) -> tuple[bytes, Tile]:
        for one in (tile, tile.full):
            try:
                return self.disk.read(one.path), one
            except FileNotFoundError:
                continue
            except OSError as error:
                raise IntegrityError(f"cannot be read: {error.strerror}", link=one.path) from error
        raise IntegrityError("is missing", link=tile.path, remedy=_VERIFY)

    def node(self, level: int, index: int) -> bytes:
        """The hash of a node of the tree, from the tiles. Raises IntegrityError as `read_tile`."""
        first = index << (level % HEIGHT)
        tile = self.tile_at(level // HEIGHT, first // WIDTH)
        start = first % WIDTH * HASH_SIZE
        return full_root(self.read_tile(tile)[start : start + (HASH_SIZE << (level % HEIGHT))])

    def root_at(self, size: int) -> bytes:
        """The root that the tree had at a size up to this log's. Raises IntegrityError as `read_tile`."""
        return range_hash(0, size, self.node)

    def entry(self, index: int) -> bytes:
        """The bytes of an entry, checked against its leaf hash.

        Raises:
            UsageError: There is no such entry.
            IntegrityError: It is not the one that was logged.
        """
        self._check_index(index)
        data = self.read_bundle(index // WIDTH)[index % WIDTH]
        tile = self.tile_at(0, index // WIDTH)
        start = index % WIDTH * HASH_SIZE
        if leaf_hash(data) != self.read_tile(tile)[start : start + HASH_SIZE]:
            raise _not_logged(index, self.tile_at(ENTRIES, index // WIDTH), tile)
        return data

    def entries(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """The entries from `start` to before `end`, with their numbers, checked against their leaf hashes.

        Raises:
            IntegrityError: One is not the one that was logged, or a file is missing.
        """
        end = self.size if end is None else min(end, self.size)
        for number in range(start // WIDTH, (end + WIDTH - 1) // WIDTH):
            tile = self.tile_at(0, number)
            hashes = self.read_tile(tile)
            for at, data in enumerate(self.read_bundle(number)):
                index = number * WIDTH + at
                if start <= index < end:
                    if leaf_hash(data) != hashes[at * HASH_SIZE : (at + 1) * HASH_SIZE]:
                        raise _not_logged(index, self.tile_at(ENTRIES, number), tile)
                    yield index, data

    def inclusion(self, index: int) -> list[bytes]:
        """The proof that an entry is in the log. Raises UsageError where there is no such entry."""
        self._check_index(index)
        return inclusion_proof(index, self.size, self.node)

    def consistency(self, old: int) -> list[bytes]:
        """The proof that this log began as one of `old` entries. Raises UsageError where it is the smaller one."""
        if not 0 <= old <= self.size:
            raise UsageError(f"the log has {self.size} entries, and cannot have grown from {old}")
        return consistency_proof(old, self.size, self.node)

    def prove(self, index: int) -> LogProof:
        """A proof of an entry that stands alone, checked.

        Raises:
            UsageError: There is no such entry.
            IntegrityError: The log does not hold together there.
        """
        entry, hashes = self.entry(index), self.inclusion(index)
        if not verify_inclusion(index, self.size, leaf_hash(entry), hashes, self.signed.root):
            raise IntegrityError(
                f"the tiles around entry {index} do not give the root that the checkpoint signs",
                link=self.tile_at(0, index // WIDTH).path,
                remedy=_VERIFY,
            )
        return LogProof(index, tuple(hashes), self.signed.data, entry)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.size:
            has = f"its entries are 0 to {self.size - 1}" if self.size else "it is empty"
            raise UsageError(f"the log has no entry {index}", remedy=has)


def _not_logged(index: int, bundle: Tile, tile: Tile) -> IntegrityError:
    return IntegrityError(
        f"entry {index} does not hash to what {tile.path} holds for it", link=bundle.path, remedy=_VERIFY
    )
