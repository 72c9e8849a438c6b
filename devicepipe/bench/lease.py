"""Leases: one device, one user, across all processes of a machine.

A device's lease is a record in a folder that all users of the machine share, changed only under a file lock. It has a holder, an
expiry and a fencing token. What a device does for a test it does for who holds the lease at that moment: who asks says the token.

What always holds: at any time at most one holder has a device; its tokens only ever rise, also when a record is lost; a lease ends
when it is given back, when its time is up, or at once when its process has died; nobody but its holder ends it before, except
by force, which is written down. Every change but a renewal is in the device's history, which is only appended to.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from devicepipe.bench.holder import Holder, Host
from devicepipe.errors import BenchError, UsageError

FOLDER_VARIABLE = "DEVICEPIPE_BENCH"
_SHARED = Path("/var/lib/devicepipe/bench")
# Survives a restart of the machine, as tokens must, and every user may write there.
_FALLBACK = Path("/var/tmp/devicepipe-bench")  # noqa: S108 - its files' owners are no secret, and a lease is no permission

# A record is locked for some milliseconds at a time.
_LOCK_TIMEOUT, _LOCK_PAUSE = 10.0, 0.002
_MODE = 0o666

Event = Literal["acquired", "released", "expired", "taken by force"]


class LeaseHeldError(BenchError):
    """Somebody else has the device."""


class LeaseLostError(BenchError):
    """The device is no longer held: whatever it did since may have been done for somebody else."""


class LeaseRecord(BaseModel):
    """A device's lease as it stands in its file.

    Attributes:
        device: The device's id.
        token: Of the last lease; the next one has a higher one.
        holder: Who has the device; None: nobody.
        acquired_on: When it was acquired (UTC, seconds since 1970); likewise the next.
        expires_on: When it ends, unless it is renewed.
        expires_at: The same on the clock that has counted since the machine was started, sleep included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    token: int = 0
    holder: Holder | None = None
    acquired_on: float = 0.0
    expires_on: float = 0.0
    expires_at: float = 0.0


def _seconds(value: object) -> object:
    """A time as it is written; entries of former versions have seconds."""
    return dt.datetime.fromisoformat(value).timestamp() if isinstance(value, str) else value


def _written(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class HistoryEntry(BaseModel):
    """One change of a lease: when (seconds since 1970; in the file in ISO 8601, UTC), what, whose it was, and by whose force."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: Annotated[float, BeforeValidator(_seconds), PlainSerializer(_written)]
    event: Event
    token: int
    holder: Holder
    by: Holder | None = None


@dataclass(frozen=True)
class Lease:
    """What its holder has in hand: the device, the token, and where the records are."""

    device: str
    token: int
    folder: Path


class LeaseStore:
    """The leases of a machine.

    Args:
        folder: Where the records are; made when the first one is written.
        host: The machine's clocks and processes.
    """

    def __init__(self, folder: Path | None = None, host: Host | None = None) -> None:
        self.folder = folder or default_folder()
        self._host = host or Host()

    def acquire(self, device: str, holder: Holder, seconds: float) -> Lease:
        """Take a device that nobody has.

        Args:
            device: Its id.
            holder: Who takes it.
            seconds: How long it is held, unless renewed or given back.

        Raises:
            LeaseHeldError: Somebody has it; says who, and until when.
            BenchError: The record cannot be read or written.
        """
        with self._locked(device) as file:
            record = self._current(file, device)
            if record.holder is not None:
                raise self._held(record, holder)
            token = 1 + max([record.token, *(entry.token for entry in self.history(device))])
            taken = self._lasting(record, seconds).model_copy(
                update={"token": token, "holder": holder, "acquired_on": self._host.now()}
            )
            self._note(device, "acquired", taken)
            _write(file, taken)
        return Lease(device, taken.token, self.folder)

    def read(self, device: str) -> LeaseRecord:
        """The lease as it is now; one that has ended has no holder."""
        try:
            self._record(device).stat()
        except FileNotFoundError:  # it was never held, and looking makes no file
            return LeaseRecord(device=device)
        except OSError as error:
            raise self._unusable(error) from error
        with self._locked(device) as file:
            return self._current(file, device)

    def demand(self, lease: Lease) -> LeaseRecord:
        """The record of a lease that is still held.

        Raises:
            LeaseLostError: It is not; says what became of it.
        """
        with self._locked(lease.device) as file:
            return self._own(file, lease)

    def renew(self, lease: Lease, seconds: float) -> None:
        """Hold it for so many seconds from now.

        Raises:
            LeaseLostError: It is no longer held, so there is nothing to renew.
        """
        with self._locked(lease.device) as file:
            _write(file, self._lasting(self._own(file, lease), seconds))

    def release(self, lease: Lease) -> None:
        """Give it back.

        Raises:
            LeaseLostError: It is no longer held.
        """
        with self._locked(lease.device) as file:
            record = self._own(file, lease)
            self._note(lease.device, "released", record)
            _write(file, _free(record))

    def release_by(self, device: str, holder: Holder, *, force: bool = False) -> LeaseRecord:
        """End the lease of a device without its token, for its user, or for anyone by force, which is written down.

        Returns:
            The lease that ended.

        Raises:
            UsageError: Nobody has it; or it is another user's, or a running process's, and there is no force.
        """
        with self._locked(device) as file:
            record = self._current(file, device)
            if record.holder is None:
                raise UsageError(f"nobody has device '{device}'", remedy="nothing has to be done")
            own = record.holder.leaves_to(holder)
            if not own and not force:
                raise UsageError(
                    f"the lease is not yours to end: {self._held(record).message}",
                    remedy="ask its holder, or add --force, which is written down",
                )
            self._note(device, "released" if own else "taken by force", record, None if own else holder)
            _write(file, _free(record))
        return record

    def history(self, device: str) -> list[HistoryEntry]:
        """What became of the device's leases, in order; a line that a crash has left incomplete is left out."""
        try:
            lines = self._history(device).read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        entries: list[HistoryEntry] = []
        for line in lines:
            try:
                entries.append(HistoryEntry.model_validate_json(line))
            except ValidationError:
                continue
        return entries

    def _own(self, file: int, lease: Lease) -> LeaseRecord:
        record = self._current(file, lease.device)
        if record.holder is not None and record.token == lease.token:
            return record
        ends = [
            entry for entry in self.history(lease.device) if entry.token == lease.token and entry.event != "acquired"
        ]
        how = "it is not known how"
        if ends:
            by = f" by {ends[-1].by}" if ends[-1].by else ""
            how = f"it was {ends[-1].event}{by} on {moment(ends[-1].time)}".replace("it was expired", "it expired")
        now = f"; now {record.holder} has it (token {record.token})" if record.holder else ""
        raise LeaseLostError(
            f"the lease of device '{lease.device}' (token {lease.token}) was lost: {how}{now}",
            remedy="run again when the device is free: devicepipe bench list",
        )

    def _current(self, file: int, device: str) -> LeaseRecord:
        """The record, with a lease that has ended by itself taken out of it."""
        record = self._read(file, device)
        if record.holder is not None and self._ended(record, record.holder):
            self._note(device, "expired", record)
            record = _free(record)
            _write(file, record)
        return record

    def _read(self, file: int, device: str) -> LeaseRecord:
        content = os.pread(file, 65536, 0)
        try:
            return LeaseRecord.model_validate_json(content) if content else LeaseRecord(device=device)
        except ValidationError:
            # The record is damaged, and its lease is lost: nobody can be shown to have the device.
            return LeaseRecord(device=device)

    def _ended(self, record: LeaseRecord, holder: Holder) -> bool:
        if holder.boot == self._host.boot:
            return self._host.uptime() >= record.expires_at or not self._host.lives(holder)
        # Of another start of the machine, so no process of it is left; or of another machine that shares the folder.
        return self._host.now() >= record.expires_on or (holder.host == self._host.name and holder.process is not None)

    def _lasting(self, record: LeaseRecord, seconds: float) -> LeaseRecord:
        ends = {"expires_on": self._host.now() + seconds, "expires_at": self._host.uptime() + seconds}
        return record.model_copy(update=ends)

    def _held(self, record: LeaseRecord, by: Holder | None = None) -> LeaseHeldError:
        until = moment(record.expires_on)
        remedy = "wait, use another device (devicepipe bench list), or ask the holder"
        if by is not None and record.holder is not None and record.holder.same_user(by):
            process = record.holder.process
            if process is None:
                remedy = f"the lease is your own: give it back first (devicepipe bench release {record.device})"
            else:
                remedy = f"it is a process of your own: wait until {process.pid} has ended, or use another device"
        return LeaseHeldError(
            f"device '{record.device}' is held by {record.holder} until {until} (token {record.token})", remedy=remedy
        )

    def _note(self, device: str, event: Event, record: LeaseRecord, by: Holder | None = None) -> None:
        """Append to the history, before the record is changed: so that a token that was given out is never given out again."""
        if record.holder is None:
            return
        entry = HistoryEntry(time=self._host.now(), event=event, token=record.token, holder=record.holder, by=by)
        line = f"{entry.model_dump_json(exclude_none=True)}\n".encode()
        file = _open(self._history(device), os.O_RDWR | os.O_APPEND)
        try:
            # An entry that a crash has left incomplete must not swallow this one.
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                line = b"\n" + line
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)

    def _record(self, device: str) -> Path:
        return self.folder / f"{device}.lease.json"

    def _history(self, device: str) -> Path:
        return self.folder / f"{device}.history.jsonl"

    @contextmanager
    def _locked(self, device: str) -> Iterator[int]:
        """The device's record, open and locked; the kernel unlocks it when its process dies."""
        try:
            make_folder(self.folder)
            file = _open(self._record(device), os.O_RDWR)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._lock(file, device)
            yield file
        finally:
            os.close(file)

    def _lock(self, file: int, device: str) -> None:
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise BenchError(
                        f"the lease of device '{device}' was locked by another process for {_LOCK_TIMEOUT:g} s",
                        remedy="end the process that stands: fuser " + str(self._record(device)),
                    ) from error
            time.sleep(_LOCK_PAUSE)

    def _unusable(self, error: OSError) -> BenchError:
        return BenchError(
            f"leases cannot be kept in '{self.folder}': {error.strerror}",
            remedy=f"let all users of the bench write there, or set {FOLDER_VARIABLE} to a folder where they can",
        )


def default_folder() -> Path:
    """Where this machine's leases are: $DEVICEPIPE_BENCH, the folder that its administrator made, or one that anyone can make."""
    if configured := os.environ.get(FOLDER_VARIABLE):
        return Path(configured)
    return _SHARED if _SHARED.is_dir() else _FALLBACK


def make_folder(folder: Path) -> None:
    """Make the folder of leases where it is missing; the one that anyone can make is for all users."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        if folder == _FALLBACK:
            folder.chmod(0o1777)


def moment(seconds: float) -> str:
    """A time in UTC, to the second."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _free(record: LeaseRecord) -> LeaseRecord:
    return LeaseRecord(device=record.device, token=record.token)


def _write(file: int, record: LeaseRecord) -> None:
    """Replace a record in its place: a renamed file would have another lock."""
    content = record.model_dump_json(exclude_none=True).encode() + b"\n"
    os.pwrite(file, content, 0)
    os.ftruncate(file, len(content))


def _open(path: Path, flags: int) -> int:
    """Open a file that every user of the folder may write, whoever made it."""
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            # Not with O_CREAT: in a folder for all, that is refused for another user's file (proc_sys_fs(5), protected_regular).
            return os.open(path, flags)
        except FileNotFoundError:
            pass
        try:
            file = os.open(path, flags | os.O_CREAT | os.O_EXCL, _MODE)
        except FileExistsError:
            continue
        os.fchmod(file, _MODE)
        return file
