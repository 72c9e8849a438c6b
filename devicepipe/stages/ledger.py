"""The log of a product: what people and keys did, appended under the product's key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.entry import Entry, encode_entry
from devicepipe.evidence.ledger.index import INDEX, Search, find
from devicepipe.evidence.ledger.log import CHECKPOINT, Log
from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.evidence.ledger.writer import append_entries, create_log, recover_log
from devicepipe.project.config import Project
from devicepipe.stages.context import SigningKey, open_keys


def log_folder(project: Project) -> Path:
    """Where a product's log is."""
    return project.state / "log"


def append(project: Project, entries: Sequence[Entry]) -> range:
    """Append entries to the product's log, which is made if there is none; returns their numbers. When it returns, they last.

    Raises:
        UsageError, BenchError: The release key, which signs the log, cannot be used.
        IntegrityError: The log as it stands is not to be trusted.
    """
    signer, folder = _signer(project, open_keys(project).release), log_folder(project)
    if not (folder / CHECKPOINT).exists():
        try:
            create_log(folder, signer)
        except UsageError:
            if not (folder / CHECKPOINT).exists():  # else another process was first
                raise
    return append_entries(folder, signer, entries)


def append_once(project: Project, entries: Sequence[Entry]) -> list[int]:
    """Append those entries that a process which was killed has not; returns the numbers of all. Raises as `append`."""
    there: dict[bytes, int] = {}
    if entries and (log_folder(project) / CHECKPOINT).exists():
        recover_log(log_folder(project), _trust(project))
        log = _open(project)
        for entry in entries:
            search = Search(kinds=(entry.kind,), by=entry.by, digest=entry.digest)
            there |= {encode_entry(found): number for number, found in find(log, search, log_folder(project) / INDEX)}
    missing = [entry for entry in entries if encode_entry(entry) not in there]
    there |= dict(zip(map(encode_entry, missing), append(project, missing) if missing else (), strict=True))
    return [there[encode_entry(entry)] for entry in entries]


def prove(project: Project, index: int) -> bytes:
    """The file that proves an entry of the product's log.

    Raises:
        UsageError: There is no such entry.
        IntegrityError: The log is not to be trusted.
    """
    return _open(project).prove(index).to_bytes()


def prove_all(project: Project, indices: Iterable[int]) -> list[bytes]:
    """The files that prove entries of the product's log, each by itself. Raises as `prove`."""
    log = _open(project)
    return [log.prove(index).to_bytes() for index in indices]


def check(project: Project) -> None:
    """Find out whether the product's log can be appended to, before work is done that ends with that.

    Raises:
        UsageError, BenchError: The release key cannot be used.
        IntegrityError: The log's checkpoint is not to be trusted.
    """
    if (log_folder(project) / CHECKPOINT).exists():
        _open(project)


def open_log(project: Project) -> Log:
    """The product's log, for reading.

    Raises:
        UsageError: There is none.
        IntegrityError: It is not to be trusted.
    """
    return _open(project)


def _open(project: Project) -> Log:
    return Log.open(log_folder(project), _trust(project))


def _trust(project: Project) -> Trust:
    return Trust((open_keys(project).release.public,), _origin(project))


def _signer(project: Project, key: SigningKey) -> NoteSigner:
    return NoteSigner(NoteKey.of_log(_origin(project), key.public), key.signer)


def _origin(project: Project) -> str:
    return f"{project.product.name}/log"
