"""Where a log's tree and entries lie in files, and how (C2SP tlog-tiles).

A tile holds 256 hashes side by side, or fewer at the right edge of the tree (a partial tile, whose name says how many). Level 0
holds leaf hashes; each hash of a higher level is the hash of a full tile below. An entry bundle holds the entries of a tile of
level 0, each after its length in two bytes, big-endian. A file's name tells the range that it covers; none is written twice with
different content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from devicepipe.evidence.ledger.tree import HASH_SIZE

HEIGHT = 8
WIDTH = 1 << HEIGHT
TILE_SIZE = WIDTH * HASH_SIZE
MAXIMUM_ENTRY = 65535
"""The longest entry, in bytes."""
MAXIMUM_BUNDLE = WIDTH * (2 + MAXIMUM_ENTRY)
ENTRIES = -1
"""The level of entry bundles, which lie beside the tiles of level 0."""
FOLDER = "tile"

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_MAXIMUM_LEVEL = 63


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile or entry bundle: its level (`ENTRIES` for a bundle), its number there, and how many hashes or entries it holds."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The name of its file."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"{FOLDER}/{level}/{_number_path(self.number)}{partial}"

    @property
    def full(self) -> Tile:
        """The same tile once it is full."""
        return Tile(self.level, self.number)

    @property
    def size(self) -> int:
        """The smallest tree that has it: the number of leaves up to its last one."""
        return (self.number * WIDTH + self.width) << (HEIGHT * max(self.level, 0))


def parse_path(path: str) -> Tile | None:
    """The tile of a file's name; None where no tile has that name."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level = ENTRIES if match[1] == "entries" else int(match[1])
    width = int(match[3]) if match[3] else WIDTH
    tile = Tile(level, int(match[2].replace("/", "").replace("x", "")), width)
    return tile if tile.path == path and level <= _MAXIMUM_LEVEL else None


def tiles_between(old: int, new: int, level: int) -> Iterator[Tile]:
    """The tiles of a level that a tree of `new` leaves has and one of `old` leaves has not, from left to right."""
    shift = HEIGHT * max(level, 0)
    before, after = old >> shift, new >> shift
    for number in range(before // WIDTH, after // WIDTH):
        yield Tile(level, number)
    if after % WIDTH and after != before:
        yield Tile(level, after // WIDTH, after % WIDTH)


def levels(size: int) -> range:
    """The levels of tiles (of hashes) that a tree has."""
    count = 0
    while size >> (HEIGHT * count):
        count += 1
    return range(count)


def tiles_of(size: int) -> Iterator[Tile]:
    """All tiles and bundles of a tree, by level."""
    for level in (ENTRIES, *levels(size)):
        yield from tiles_between(0, size, level)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle. Raises OverflowError for an entry longer than `MAXIMUM_ENTRY`."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def decode_bundle(data: bytes, count: int) -> list[bytes]:
    """The entries of a bundle of `count`. Raises ValueError where it is none of exactly so many."""
    entries: list[bytes] = []
    place, size = 0, len(data)
    for _ in range(count):
        start = place + 2
        if start <= size:
            place = start + (data[place] << 8 | data[place + 1])
        if start > size or place > size:
            raise ValueError(f"ends within its entry {len(entries)}")
        entries.append(data[start:place])
    if place != len(data):
        raise ValueError(f"has {len(data) - place} bytes after its {count} entries")
    return entries


def _number_path(number: int) -> str:
    text = f"{number % 1000:03}"
    while number := number // 1000:
        text = f"x{number % 1000:03}/{text}"
    return text
