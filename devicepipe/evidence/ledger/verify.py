"""Verify a whole log: every entry, every tile, the checkpoint, and that it grew from what others saw of it.

What a fault is blamed on: the tree is followed from the signed root downwards, so that what is broken is told from what only lies
beside it. Where entries alone give the signed root, the tile is wrong; where tiles alone do, the entry.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.files import shown
from devicepipe.evidence.ledger.checkpoint import SignedCheckpoint, Trust, open_checkpoint
from devicepipe.evidence.ledger.growth import Growth
from devicepipe.evidence.ledger.journal import JOURNAL, parse_journal
from devicepipe.evidence.ledger.log import CHECKPOINT, Log
from devicepipe.evidence.ledger.parts import Differs, Fault, Part, check_parts
from devicepipe.evidence.ledger.proof import HEADER, verify_proof
from devicepipe.evidence.ledger.tiles import (
    ENTRIES,
    FOLDER,
    HEIGHT,
    WIDTH,
    Tile,
    decode_bundle,
    levels,
    parse_path,
    tiles_of,
)
from devicepipe.evidence.ledger.tree import HASH_SIZE, fold, full_root
from devicepipe.evidence.ledger.writer import replay

_ATTEMPTS = 20
_RESTORE = "do not trust the log as it is; compare it with a copy, or with what a witness saw"


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log that holds.

    Attributes:
        signed: Its checkpoint.
        files: How many tiles and bundles were read.
        earlier: The earlier checkpoints that it was found to have grown from, by the name of their files.
        pending: Entries that are acknowledged and wait in the journal to be published.
        torn: Bytes of a record in the journal that was not whole.
    """

    signed: SignedCheckpoint
    files: int
    earlier: Mapping[str, SignedCheckpoint]
    pending: int
    torn: int


def verify_log(
    folder: Path, trust: Trust, *, earlier: Mapping[str, bytes] | None = None, processes: int = 2
) -> VerifiedLog:
    """Verify the log in a folder.

    Args:
        folder: The log's folder.
        trust: Whose signatures are believed.
        earlier: Earlier checkpoints of the log, or proofs, each of which has one (the bytes of their files), by what they are
            called in errors.
        processes: How many processes share a long log.

    Raises:
        UsageError: There is no log.
        IntegrityError: Something does not hold; names the file, and the entry where it can.
    """
    for attempt in range(_ATTEMPTS):
        log = Log.open(folder, trust)
        try:
            return _verify(log, trust, earlier or {}, processes)
        except IntegrityError:
            # Whoever appends meanwhile moves tiles; the log as it is now decides.
            if attempt == _ATTEMPTS - 1 or log.disk.read(CHECKPOINT) == log.signed.data:
                raise
    raise AssertionError


def _verify(log: Log, trust: Trust, earlier: Mapping[str, bytes], processes: int) -> VerifiedLog:
    before = {name: _earlier(data, trust, name, log.signed) for name, data in earlier.items()}
    found = _find_tiles(log.disk.folder)
    pending, torn = _journal(log, found, trust)
    _raise(_missing(found, log.size))
    part = check_parts(log, processes)
    _raise(part.faults)
    _raise(_blame(log, part))
    _raise(_left_over(log, found))
    for name, signed in before.items():
        if log.root_at(signed.size) != signed.root:
            raise IntegrityError(
                f"is a checkpoint of {signed.size} entries that are not the first {signed.size} of the log at {log.size}",
                link=name,
                remedy="the log was rewritten (a fork), or the checkpoint is of another copy: keep both, they prove it",
            )
    return VerifiedLog(log.signed, len(found), before, pending, torn)


def _raise(faults: Sequence[Fault]) -> None:
    if faults:
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise IntegrityError(f"{faults[0].what}{more}", link=faults[0].link, remedy=_RESTORE)


def _earlier(data: bytes, trust: Trust, name: str, now: SignedCheckpoint) -> SignedCheckpoint:
    believed = Trust(trust.keys + trust.revoked, now.origin)
    is_proof = data.startswith(HEADER.encode())
    signed = verify_proof(data, believed, name).checkpoint if is_proof else open_checkpoint(data, believed, name)
    if signed.size > now.size:
        raise IntegrityError(
            f"is a checkpoint of {signed.size} entries, and the log has {now.size}: entries are gone",
            link=name,
            remedy="the log was rolled back, or is an older copy: find the newer one",
        )
    return signed


# --- what lies there ---------------------------------------------------------------------------------------------------


def _find_tiles(folder: Path) -> frozenset[Tile]:
    """All tiles and bundles of a log's folder. Raises IntegrityError for whatever else lies among them."""
    found, pending = set(), [FOLDER] if (folder / FOLDER).is_dir() else []
    while pending:
        place = pending.pop()
        try:
            with os.scandir(folder / place) as entries:
                for entry in entries:
                    name = f"{place}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(name)
                        continue
                    tile = parse_path(name)
                    if tile is None or not entry.is_file(follow_symlinks=False):
                        raise IntegrityError("is no file of a log", link=shown(name), remedy=_RESTORE)
                    found.add(tile)
        except OSError as error:
            raise IntegrityError(f"cannot be read: {error.strerror}", link=place) from error
    return frozenset(found)


def _missing(found: frozenset[Tile], size: int) -> list[Fault]:
    return [Fault(tile.path, "is missing") for tile in tiles_of(size) if tile not in found and tile.full not in found]


def _journal(log: Log, found: frozenset[Tile], trust: Trust) -> tuple[int, int]:
    """How many entries wait in the journal, and the bytes of its torn record. Raises IntegrityError."""
    try:
        journal = parse_journal(log.disk.read(JOURNAL))
    except FileNotFoundError:
        journal = parse_journal(b"")
    end = log.size
    if any(record.new > log.size for record in journal.records):
        growth = Growth.of(log)
        replay(growth, journal.records, trust, log.size)
        end = growth.size
    beyond = sorted(tile for tile in found if tile.size > end)
    if beyond:
        # A log publishes its tiles from the journal, and empties that last.
        raise IntegrityError(
            f"is older than {beyond[0].path}, which is beyond its {log.size} entries",
            link=CHECKPOINT,
            remedy="the checkpoint was rolled back, or the log was copied while it grew: copy it again while nobody appends",
        )
    return end - log.size, journal.torn


def _left_over(log: Log, found: frozenset[Tile]) -> list[Fault]:
    """Partial tiles of smaller sizes that are not what the full ones begin with."""
    faults, needed = [], {*tiles_of(log.size)}
    for tile in sorted(found - needed):
        if tile.size <= log.size:
            whole = log.disk.read(_holder(log, tile, found).path)
            part = log.disk.read(tile.path)
            if not whole.startswith(part) or not _is_whole(part, tile):
                faults.append(Fault(tile.path, "is not what the tile began with that it is a part of"))
    return faults


def _is_whole(data: bytes, tile: Tile) -> bool:
    if tile.level != ENTRIES:
        return len(data) == tile.width * HASH_SIZE
    try:
        return len(decode_bundle(data, tile.width)) == tile.width
    except ValueError:
        return False


def _holder(log: Log, tile: Tile, found: frozenset[Tile]) -> Tile:
    wide = log.tile_at(tile.level, tile.number)
    return wide if wide in found else wide.full


# --- who is to blame ---------------------------------------------------------------------------------------------------


def _blame(log: Log, part: Part) -> list[Fault]:
    """What is broken of the tree; nothing where all of it gives the signed root."""
    root = log.signed.root
    if _root(part.entries, log.size) == root:
        # Every entry is what was signed. Tiles that say otherwise are wrong.
        wrong = [Fault(Tile(0, one.number, _width(log, one.number)).path, _tile_says(one)) for one in part.differs]
        return wrong + _wrong_tiles(log, part.entries)
    if _root(part.tiles, log.size) == root:
        return [_wrong_entry(log, one) for one in part.differs] + _wrong_tiles(log, part.tiles)
    return _blame_from_above(log, part)


def _tile_says(one: Differs) -> str:
    return f"does not hold the hash of entry {one.entry}, which is what was signed"


def _wrong_entry(log: Log, one: Differs) -> Fault:
    return Fault(
        Tile(ENTRIES, one.number, _width(log, one.number)).path, f"its entry {one.entry} is not the one that was logged"
    )


def _width(log: Log, number: int) -> int:
    return min(WIDTH, log.size - number * WIDTH)


def _wrong_tiles(log: Log, hashes: Sequence[bytes]) -> list[Fault]:
    """The tiles above level 0 that do not hold what the level below gives."""
    faults, below = [], [one for one in hashes if len(one) == HASH_SIZE][: log.size // WIDTH]
    for level in levels(log.size)[1:]:
        for number in range((len(below) + WIDTH - 1) // WIDTH):
            tile = log.tile_at(level, number)
            wanted = b"".join(below[number * WIDTH : number * WIDTH + tile.width])
            try:
                stored = log.read_tile(tile)
            except IntegrityError as error:
                faults.append(Fault(error.link, error.message))
                continue
            if stored != wanted:
                at = next(
                    at
                    for at in range(0, len(wanted), HASH_SIZE)
                    if stored[at : at + HASH_SIZE] != wanted[at : at + HASH_SIZE]
                )
                what = f"its hash {at // HASH_SIZE} is not that of {Tile(level - 1, number * WIDTH + at // HASH_SIZE).path}"
                faults.append(Fault(tile.path, what))
        below = _next_level(below)
    return faults


def _next_level(hashes: Sequence[bytes]) -> list[bytes]:
    full = range(0, len(hashes) - WIDTH + 1, WIDTH)
    return [full_root(b"".join(hashes[start : start + WIDTH])) for start in full]


def _root(hashes: Sequence[bytes], size: int) -> bytes:
    """The root of a log, from the roots of its full bundles and the leaf hashes of its partial one."""
    if len(hashes) != (size + WIDTH - 1) // WIDTH:
        return b""
    edges = [hashes[-1] if size % WIDTH else b""]
    below = [*hashes[: size // WIDTH]]
    while below:
        edges.append(b"".join(below[len(below) // WIDTH * WIDTH :]))
        below = _next_level(below)
    return fold([peak for edge in reversed(edges) for peak in _peaks_of(edge)])


def _peaks_of(edge: bytes) -> Iterable[bytes]:
    place, count = 0, len(edge) // HASH_SIZE
    for bit in reversed(range(HEIGHT)):
        if count >> bit & 1:
            yield full_root(edge[place : place + (HASH_SIZE << bit)])
            place += HASH_SIZE << bit


def _blame_from_above(log: Log, part: Part) -> list[Fault]:
    """Neither the entries nor the tiles of level 0 give the signed root: several things are broken, or the checkpoint is."""
    faults = []
    by_number = {one.number: one for one in part.differs}
    for number, (tile, entries) in enumerate(zip(part.tiles, part.entries, strict=True)):
        one, above = by_number.get(number), _held_above(log, number)
        if one is not None and above == one.by_entries:
            faults.append(Fault(log.tile_at(0, number).path, _tile_says(one)))
        elif one is not None:
            faults.append(_wrong_entry(log, one))
        elif above is not None and above not in (tile, entries):
            first, last = number * WIDTH, number * WIDTH + WIDTH - 1
            what = f"the entries {first} to {last} and their tile are not what {log.tile_at(1, number // WIDTH).path} holds"
            faults.append(Fault(Tile(ENTRIES, number).path, what))
    if not faults:
        faults = _wrong_tiles(log, part.tiles)
    return faults or [Fault(CHECKPOINT, f"signs another root for {log.size} entries than the entries and tiles have")]


def _held_above(log: Log, number: int) -> bytes | None:
    """What the tile of level 1 holds for a full tile of level 0; None where it cannot tell."""
    if number >= log.size // WIDTH:
        return None
    try:
        tile = log.read_tile(log.tile_at(1, number // WIDTH))
    except IntegrityError:
        return None
    return tile[number % WIDTH * HASH_SIZE :][:HASH_SIZE]


def read_earlier(paths: Sequence[Path]) -> dict[str, bytes]:
    """The bytes of files of earlier checkpoints or proofs, by their paths. Raises UsageError where one cannot be read."""
    found = {}
    for path in paths:
        try:
            found[str(path)] = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"cannot be read: {error.strerror}", file=path, remedy="name the file of a checkpoint or of a proof"
            ) from error
    return found
