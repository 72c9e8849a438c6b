"""A part of a log's verification: a run of entry bundles, each against the tile beside it. Parts are done side by side."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

from devicepipe.errors import IntegrityError
from devicepipe.evidence.ledger.checkpoint import SignedCheckpoint
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.entry import decode_entry, is_plain_entry
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.tiles import ENTRIES, TILE_SIZE, WIDTH
from devicepipe.evidence.ledger.tree import HASH_SIZE, full_root, leaf_hashes

MAXIMUM_FAULTS = 100
_WORTH_A_PROCESS = 200  # bundles; below, starting a process takes longer than it saves


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not hold: the file, what is wrong with it, and the entry that it is about, if any."""

    link: str
    what: str


@dataclass(frozen=True, slots=True)
class Differs:
    """A bundle and the tile beside it that do not belong together.

    Attributes:
        number: Their number.
        entry: The first entry that does not hash to what the tile holds; -1 where only the number of entries differs.
        by_tile: The root of the tile's hashes; empty where it is not full.
        by_entries: The root of the entries' hashes.
    """

    number: int
    entry: int
    by_tile: bytes
    by_entries: bytes


@dataclass
class Part:
    """What was found in a run of bundles.

    Attributes:
        tiles: The hashes of the stored tiles: for a full one its root, for the last and partial one all of them.
        entries: The same, from the entries.
        differs: Where the two are not the same.
        faults: What cannot be read at all.
    """

    tiles: list[bytes] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    differs: list[Differs] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def check_parts(log: Log, processes: int) -> Part:
    """Check all bundles of a log, by so many processes. What a process that died was to do is done here."""
    count = (log.size + WIDTH - 1) // WIDTH
    processes = max(1, min(processes, count // _WORTH_A_PROCESS))
    bounds = [count * number // processes for number in range(processes + 1)]
    context = multiprocessing.get_context("spawn")
    running = []
    try:
        for start, end in pairwise(bounds[1:]):
            ours, theirs = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(log.disk.folder, log.signed, start, end, theirs), daemon=True)
            worker.start()
            theirs.close()
            running.append((worker, ours, start, end))
        whole = check_part(log, bounds[0], bounds[1])
        for _, ours, start, end in running:
            part = _answer(ours) or check_part(log, start, end)
            whole.tiles += part.tiles
            whole.entries += part.entries
            whole.differs += part.differs
            whole.faults += part.faults
    finally:
        for worker, ours, _, _ in running:
            ours.close()
            worker.kill()
            worker.join()
    return whole


def _answer(ours: Connection) -> Part | None:
    try:
        part: Part = ours.recv()
    except EOFError:  # killed, or there was no program to start it from
        return None
    return part


def _work(folder: Path, signed: SignedCheckpoint, start: int, end: int, answer: Connection) -> None:
    part = check_part(Log(Disk(folder), signed), start, end)
    try:
        answer.send(part)
    except BrokenPipeError:
        return  # whoever asked is gone


def check_part(log: Log, start: int, end: int) -> Part:
    """Check the bundles from `start` to before `end`."""
    part = Part()
    for number in range(start, end):
        if len(part.faults) + len(part.differs) >= MAXIMUM_FAULTS:
            break
        try:
            entries = log.read_bundle(number)
        except IntegrityError as error:
            part.faults.append(Fault(error.link, error.message))
            entries = []
        try:
            stored = log.read_tile(log.tile_at(0, number))
        except IntegrityError as error:
            part.faults.append(Fault(error.link, error.message))
            stored = b""
        hashes = leaf_hashes(entries)
        by_entries = full_root(hashes) if len(hashes) == TILE_SIZE else hashes
        by_tile = by_entries
        if stored != hashes:
            by_tile = full_root(stored) if len(stored) == TILE_SIZE else stored
            if entries and stored:
                part.differs.append(Differs(number, number * WIDTH + _first(stored, hashes), by_tile, by_entries))
        part.tiles.append(by_tile)
        part.entries.append(by_entries)
        if stored == hashes:
            part.faults += _no_entries(entries, number, log.tile_at(ENTRIES, number).path)
    return part


def _first(stored: bytes, hashes: bytes) -> int:
    for place in range(0, len(stored), HASH_SIZE):
        if stored[place : place + HASH_SIZE] != hashes[place : place + HASH_SIZE]:
            return place // HASH_SIZE
    return 0


def _no_entries(entries: Sequence[bytes], number: int, link: str) -> list[Fault]:
    """Those that were logged, and are no entries of ours."""
    found = []
    for at, data in enumerate(entries):
        if is_plain_entry(data):
            continue
        try:
            decode_entry(data, link)
        except IntegrityError as error:
            found.append(Fault(link, f"entry {number * WIDTH + at} {error.message}"))
    return found
