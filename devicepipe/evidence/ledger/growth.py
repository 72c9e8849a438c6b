"""A tree while it grows, and the tiles that it grows by. Pure but for reading the right edge of a log once."""

from __future__ import annotations

from collections.abc import Sequence

from devicepipe.errors import IntegrityError
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.tiles import (
    ENTRIES,
    HEIGHT,
    TILE_SIZE,
    WIDTH,
    Tile,
    encode_bundle,
    levels,
    tiles_between,
)
from devicepipe.evidence.ledger.tree import HASH_SIZE, CompactRange, full_root, leaf_hash


class Growth:
    """The right edge of a tree: its peaks, the hashes of its partial tiles, and the entries of its partial bundle.

    Full tiles are kept until `forget` is called.
    """

    def __init__(self) -> None:
        """The empty tree."""
        self._range = CompactRange()
        self._edge: list[bytearray] = [bytearray()]
        self._bundle: list[bytes] = []
        self._full: dict[Tile, bytes] = {}

    @classmethod
    def of(cls, log: Log) -> Growth:
        """The edge of a log.

        Raises:
            IntegrityError: Tiles are missing, or do not give the root that the checkpoint signs.
        """
        growth, size = cls(), log.size
        growth._edge = [bytearray(_edge(log, level)) for level in levels(size)] or [bytearray()]
        growth._range = CompactRange(size, [peak for edge in reversed(growth._edge) for peak in _peaks(edge)])
        if growth.root() != log.signed.root:
            raise IntegrityError(
                f"the tiles at the right edge of the log do not give the root that it signs for size {size}",
                link="checkpoint",
                remedy="run `devicepipe log verify`, which names what is broken, and restore the log from a copy",
            )
        if size % WIDTH:
            growth._bundle = log.read_bundle(size // WIDTH)
            hashes = b"".join(map(leaf_hash, growth._bundle))
            if hashes != growth._edge[0]:
                raise IntegrityError(
                    "its entries do not hash to what the tile beside it holds",
                    link=log.tile_at(ENTRIES, size // WIDTH).path,
                    remedy="run `devicepipe log verify`, which names what is broken, and restore the log from a copy",
                )
        return growth

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._range.size

    def root(self) -> bytes:
        """The root."""
        return self._range.root()

    def extend(self, entries: Sequence[bytes]) -> None:
        """Append entries."""
        for entry in entries:
            leaf = leaf_hash(entry)
            completed = self._range.append(leaf)
            self._bundle.append(entry)
            self._edge[0] += leaf
            if len(self._edge[0]) == TILE_SIZE:
                self._close(completed)

    def _close(self, completed: Sequence[bytes]) -> None:
        """Put the tiles aside that the last leaf filled; `completed` are the nodes that it completed, by level."""
        size = self.size
        self._full[Tile(ENTRIES, size // WIDTH - 1)] = encode_bundle(self._bundle)
        self._bundle = []
        for level, edge in enumerate(self._edge):
            if len(edge) < TILE_SIZE:
                return
            self._full[Tile(level, (size >> (HEIGHT * (level + 1))) - 1)] = bytes(edge)
            edge.clear()
            if level + 1 == len(self._edge):
                self._edge.append(bytearray())
            self._edge[level + 1] += completed[HEIGHT * (level + 1)]

    def tiles(self, published: int) -> list[tuple[Tile, bytes]]:
        """The tiles and bundles that a tree of `published` leaves has not, with their bytes."""
        size, found = self.size, []
        for level in (ENTRIES, *levels(size)):
            for tile in tiles_between(published, size, level):
                if tile.width == WIDTH:
                    found.append((tile, self._full[tile]))
                elif level == ENTRIES:
                    found.append((tile, encode_bundle(self._bundle)))
                else:
                    found.append((tile, bytes(self._edge[level])))
        return found

    def forget(self) -> None:
        """Forget the full tiles, once they are written."""
        self._full.clear()


def _edge(log: Log, level: int) -> bytes:
    count = log.size >> (HEIGHT * level)
    return log.read_tile(log.tile_at(level, count // WIDTH)) if count % WIDTH else b""


def _peaks(edge: bytes | bytearray) -> list[bytes]:
    """The peaks that the hashes of a partial tile consist of, the largest first."""
    found, place, count = [], 0, len(edge) // HASH_SIZE
    for bit in reversed(range(HEIGHT)):
        if count >> bit & 1:
            end = place + (HASH_SIZE << bit)
            found.append(full_root(bytes(edge[place:end])))
            place = end
    return found
