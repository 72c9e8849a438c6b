"""The record of a session: one JSON object a line, appended as things happen, so that a session that dies leaves the truth behind.

What always holds: a case is recorded as collected before anything runs; each phase is recorded when it ends; and only the last
line of a session that ended in order is a `SessionEnd`. What a record does not say did not happen.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from devicepipe.errors import BenchError
from devicepipe.evidence.results import Identity, Measurement, Quarantine, Verdict


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limit(_Entry):
    """What the mark `limit` says of a value that the test measures."""

    name: str
    unit: str
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None


class Collected(_Entry):
    """A case that pytest is going to run, with what it verifies and what it is.

    Attributes:
        limits: What it must measure, by its marks.
        lacks: What it requires and the device has not, in words: it is not run.
        quarantine: That it is in quarantine.
        effectiveness: Those of `verifies` whose effectiveness, as risk controls, it shows.
    """

    event: Literal["collected"] = "collected"
    id: str
    verifies: list[str]
    procedure_file: str
    procedure_line: int
    procedure_sha256: str
    expected: str
    limits: list[Limit] = Field(default_factory=list)
    lacks: list[str] = Field(default_factory=list)
    quarantine: Quarantine | None = None
    effectiveness: list[str] = Field(default_factory=list)


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


class Programmed(_Entry):
    """The flash of a real device was written, as production programming does it."""

    event: Literal["programmed"] = "programmed"


class FlashAltered(_Entry):
    """The case changed the flash on purpose: who the device is after it proves nothing."""

    event: Literal["flash-altered"] = "flash-altered"
    id: str


class Measured(_Entry):
    """The case has measured something."""

    event: Literal["measured"] = "measured"
    id: str
    measurement: Measurement


class Retried(_Entry):
    """The attempt at a case has ended, here in the raw serial log, and by the session's policy another begins."""

    event: Literal["retried"] = "retried"
    id: str
    time: str
    log_offset: int


class CaseEnd(_Entry):
    """A case has ended; up to here the raw serial log is its."""

    event: Literal["case-end"] = "case-end"
    id: str
    log_offset: int


class RecordLost(_Entry):
    """The record could not be written any more, and why: nothing of what follows is known."""

    event: Literal["record-lost"] = "record-lost"
    reason: str


class SessionEnd(_Entry):
    """The session ended in order, with pytest's exit status, and the reason where it stopped early.

    Attributes:
        logs: UART → SHA-256 of all that was received on it: of its raw serial log, if nobody touched that.
    """

    event: Literal["session-end"] = "session-end"
    exit_status: int
    stopped: str
    logs: dict[int, str] = Field(default_factory=dict)


Entry = Annotated[
    Collected
    | LeftOut
    | CollectionError
    | CaseStart
    | Phase
    | IdentityTaken
    | Programmed
    | FlashAltered
    | Measured
    | Retried
    | CaseEnd
    | RecordLost
    | SessionEnd,
    Field(discriminator="event"),
]
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


class RecordWriter:
    """Appends entries to a record, and a copy of each to a file descriptor that the caller's process reads.

    Once an entry could not be written, no later one is: a record with a gap could tell less than the truth.
    """

    def __init__(self, path: Path, progress: int) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._progress = progress
        self._lost: BenchError | None = None

    def write(self, entry: Entry) -> None:
        """Append one entry: after this, a kill of the process cannot lose it.

        Raises:
            BenchError: It cannot be written.
        """
        if self._lost is not None:
            raise self._lost
        line = entry.model_dump_json().encode() + b"\n"
        try:
            _write(self._file, line)
            _write(self._progress, line)
        except BrokenPipeError:
            return
        except OSError as error:
            self._lost = BenchError(
                f"the session's record cannot be written: {error.strerror}", remedy="check the disk; run again"
            )
            self._tell(RecordLost(reason=self._lost.message))
            raise self._lost from error

    def _tell(self, entry: RecordLost) -> None:
        """Say by any way that is left why the record ends here: the caller's pipe, or the file opened anew."""
        line = entry.model_dump_json().encode() + b"\n"
        try:
            return _write(self._progress, line)
        except OSError:
            pass
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        except OSError:
            return None
        try:
            _write(file, line)
        except OSError:
            return None
        finally:
            os.close(file)

    def close(self) -> None:
        """Close the record."""
        os.close(self._file)


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


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
