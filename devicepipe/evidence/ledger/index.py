"""An index of a log in SQLite, for finding entries. Made from the log, thrown away and made again at will, and never believed.

What a search gives are numbers of entries; their text is read from the log, checked against its tree, and compared with the
search once more. So an index that lies can hide entries, but cannot alter or invent one; a search without it (`scan`) hides none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from devicepipe.evidence.ledger.entry import Entry, decode_entry
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.tiles import ENTRIES, WIDTH

INDEX = ".index.sqlite"

_SCHEMA = """
CREATE TABLE entries (number INTEGER PRIMARY KEY, kind TEXT, at TEXT, by TEXT, subject TEXT, digest TEXT) WITHOUT ROWID;
CREATE INDEX by_kind ON entries (kind, number);
CREATE INDEX by_person ON entries (by, number);
CREATE INDEX by_digest ON entries (digest, number);
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), origin TEXT, size INTEGER, root BLOB);
PRAGMA user_version = 1;
"""
_BATCH = 65_536


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; all that is given must fit.

    Attributes:
        kinds: One of these kinds.
        by: This person or program.
        since: At this time or later: RFC 3339 in UTC without its "Z", or its beginning, e.g. a day.
        until: At this time or before; of a day (or less of a time) up to its end.
        subject: This text is in the subject.
        digest: The digest begins with this.
    """

    kinds: tuple[str, ...] = ()
    by: str | None = None
    since: str | None = None
    until: str | None = None
    subject: str | None = None
    digest: str | None = None

    def fits(self, entry: Entry) -> bool:
        """Whether an entry is looked for."""
        return (
            (not self.kinds or entry.kind in self.kinds)
            and (self.by is None or entry.by == self.by)
            and (self.since is None or _moment(entry) >= self.since)
            and (self.until is None or _moment(entry)[: len(self.until)] <= self.until)
            and (self.subject is None or self.subject in entry.subject)
            and (self.digest is None or (entry.digest or "").startswith(self.digest))
        )

    def where(self) -> tuple[str, list[str]]:
        """As a condition of SQL, and its values."""
        parts, values = ["1"], [*self.kinds]
        if self.kinds:
            parts.append(f"kind IN ({','.join('?' * len(self.kinds))})")
        for condition, value in (
            ("by = ?", self.by),
            ("at >= ?", self.since),
            ("substr(at, 1, length(?)) <= ?", self.until),
            ("instr(subject, ?)", self.subject),
            ("substr(digest, 1, length(?)) = ?", self.digest),
        ):
            if value is not None:
                parts.append(condition)
                values += [value] * condition.count("?")
        return " AND ".join(parts), values


def _moment(entry: Entry) -> str:
    """Its time so that texts compare as times do: "…:00" is before "…:00.5", which "…:00Z" is not."""
    return entry.at.removesuffix("Z")


def scan(log: Log, search: Search) -> Iterator[tuple[int, Entry]]:
    """The entries that are looked for, from the log alone. Raises IntegrityError where the log does not hold."""
    for number, data in log.entries():
        entry = decode_entry(data, _link(log, number))
        if search.fits(entry):
            yield number, entry


def find(log: Log, search: Search, path: Path) -> Iterator[tuple[int, Entry]]:
    """The entries that are looked for, by the index in the file `path`, which is brought up to date or made first.

    Where it cannot be made (no room, no right to write), the log is scanned instead.

    Raises:
        IntegrityError: The log does not hold.
    """
    try:
        numbers = _numbers(log, search, path)
    except (sqlite3.Error, OSError):
        yield from scan(log, search)
        return
    bundle: list[bytes] = []
    read = -1
    for number in numbers:
        if number // WIDTH != read:
            read = number // WIDTH
            bundle = [data for _, data in log.entries(read * WIDTH, (read + 1) * WIDTH)]
        entry = decode_entry(bundle[number % WIDTH], _link(log, number))
        if search.fits(entry):
            yield number, entry


def _link(log: Log, number: int) -> str:
    return f"{log.tile_at(ENTRIES, number // WIDTH).path}: entry {number}"


def _numbers(log: Log, search: Search, path: Path) -> list[int]:
    with closing(_up_to_date(log, path)) as database:
        where, values = search.where()
        rows = database.execute(f"SELECT number FROM entries WHERE {where} ORDER BY number", values)  # noqa: S608 - no user's text
        return [number for (number,) in rows if isinstance(number, int) and 0 <= number < log.size]


def _up_to_date(log: Log, path: Path) -> sqlite3.Connection:
    database = _open(path)
    try:
        if not _is_of(database, log):
            database.close()
            path.unlink()
            database = _open(path)
        _extend(database, log)
    except BaseException:
        database.close()
        raise
    return database


def _open(path: Path) -> sqlite3.Connection:
    """The database, with its tables; what is no such database is removed."""
    for again in (True, False):
        database = sqlite3.connect(path, timeout=60)
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                database.executescript(_SCHEMA)
            elif version != 1:
                raise sqlite3.DatabaseError("is of another version")  # noqa: TRY301 - handled as any other file
        except sqlite3.OperationalError:
            database.close()
            raise
        except sqlite3.DatabaseError:
            database.close()
            if not again:
                raise
            path.unlink()
        else:
            return database
    raise AssertionError


def _is_of(database: sqlite3.Connection, log: Log) -> bool:
    """Whether the index is of this log at this size or before."""
    try:
        state = database.execute("SELECT origin, size, root FROM state").fetchone()
    except sqlite3.DatabaseError:
        return False
    if state is None:
        return True
    origin, size, root = state
    return origin == log.signed.origin and isinstance(size, int) and 0 <= size <= log.size and root == log.root_at(size)


def _extend(database: sqlite3.Connection, log: Log) -> None:
    state = database.execute("SELECT size FROM state").fetchone()
    size = state[0] if state else 0
    while size < log.size:
        end = min(size + _BATCH, log.size)
        rows = []
        for number, data in log.entries(size, end):
            entry = decode_entry(data, _link(log, number))
            rows.append((number, entry.kind, _moment(entry), entry.by, entry.subject, entry.digest))
        with database:
            database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.execute(
                "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?)", (log.signed.origin, end, log.root_at(end))
            )
        size = end
