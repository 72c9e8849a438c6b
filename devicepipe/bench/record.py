"""The record of a session: one JSON object a line, appended as things happen, so that a session that dies leaves the truth behind.

What always holds: a case is recorded as collected before anything runs; each phase is recorded when it ends; and only the last
line of a session that ended in order is a `SessionEnd`. What a record does not say did not happen.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from devicepipe.errors import BenchError
from devicepipe.evidence.predicates import Identity, Verdict


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Collected(_Entry):
    """A case that pytest is going to run, with what it verifies and what it is."""

    event: Literal["collected"] = "collected"
    id: str
    verifies: list[str]
    procedure_file: str
    procedure_line: int
    procedure_sha256: str
    expected: str


class LeftOut(_Entry):
    """A case that applies to the board and that somebody took out of the session (-k, --lf, a conftest.py)."""

    event: Literal["left-out"] = "left-out"
    case: Collected


class CollectionError(_Entry):
    """A file that could not be collected."""

    event: Literal["collection-error"] = "collection-error"
    id: str
    message: str


class CaseStart(_Entry):
    """A case begins; from here on the raw serial log is its."""

    event: Literal["case-start"] = "case-start"
    id: str
    time: str
    log_offset: int


class Phase(_Entry):
    """A phase of a case has ended."""

    event: Literal["phase"] = "phase"
    id: str
    phase: Literal["setup", "call", "teardown"]
    verdict: Verdict
    reason: str
    seconds: float


class IdentityTaken(_Entry):
    """The device has said who it is: before or after a case, or after the session. `errors`: what should have been different."""

    event: Literal["identity"] = "identity"
    id: str
    when: Literal["before", "after", "end"]
    identity: Identity | None
    errors: list[str]


class FlashAltered(_Entry):
    """The case changed the flash on purpose: who the device is after it proves nothing."""

    event: Literal["flash-altered"] = "flash-altered"
    id: str


class CaseEnd(_Entry):
    """A case has ended; up to here the raw serial log is its."""

    event: Literal["case-end"] = "case-end"
    id: str
    log_offset: int


class SessionEnd(_Entry):
    """The session ended in order, with pytest's exit status, and the reason where it stopped early."""

    event: Literal["session-end"] = "session-end"
    exit_status: int
    stopped: str


Entry = Annotated[
    Collected | LeftOut | CollectionError | CaseStart | Phase | IdentityTaken | FlashAltered | CaseEnd | SessionEnd,
    Field(discriminator="event"),
]
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


class RecordWriter:
    """Appends entries to a record, and a copy of each to a file descriptor that the caller's process reads."""

    def __init__(self, path: Path, progress: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._progress = progress

    def write(self, entry: Entry) -> None:
        """Append one entry: after this, a kill of the process cannot lose it."""
        line = entry.model_dump_json().encode() + b"\n"
        os.write(self._file, line)
        try:
            while line:
                line = line[os.write(self._progress, line) :]
        except BrokenPipeError:
            return

    def close(self) -> None:
        """Close the record."""
        os.close(self._file)


def parse_entries(data: bytes) -> list[Entry]:
    """Read the whole lines of a record; a last line without its end was cut off by a kill and is left out.

    Raises:
        BenchError: A line is not an entry.
    """
    entries: list[Entry] = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            entries.append(_ENTRY.validate_json(line))
        except ValidationError as error:
            raise BenchError(
                f"the session's record is damaged at line {number}: {error.errors()[0]['msg']}",
                remedy="run the session again",
            ) from error
    return entries
