"""Files that last: whole or not there at all, and on the disk before anybody is told of them; one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicepipe.errors import UsageError


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Bring a folder and all that is in it to the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name an open file in the errors of what is done to it: the system does not, and somebody has to know which disk is full."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_new(path: Path, data: bytes, beside: Path | None = None) -> bool:
    """Write a file whole or not at all, and never over another one; False where there is one, which stays as it is.

    Args:
        path: The file; its folder is made.
        data: What is in it.
        beside: The folder of the temporary file, on the same file system: where what a killed process leaves disturbs nobody.
            By default the file's own.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(0o755, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=beside or path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        Path(temporary).unlink()
    sync(path.parent)
    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until nobody else is here with this file or folder. The lock is a file beside it, which stays."""
    with locked(path.with_name(f".{path.name}.lock")):
        yield


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file, which stays: of the processes that ask for it, one goes on at a time.

    The kernel ends it with the process. Who removes the file lets the next process in beside the one that holds it: what must not
    be lost even so is looked at again before it is replaced.

    Raises:
        UsageError: A link is in its place.
        OSError: It cannot be made or opened.
    """
    while True:
        lock = _opened(file)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_there(lock, file):
                yield
                return
            # Removed while this process waited: what it has now is a lock on a file that nobody else will ask for.
        finally:
            os.close(lock)


def _opened(file: Path) -> int:
    """The file, its owner's alone: whoever can read a lock file can hold it, and by that keep everybody waiting."""
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UsageError(
            "is a link, and no lock file: where it leads, others would not wait", file=file, remedy="remove it"
        ) from error
    seen = os.fstat(lock)
    if seen.st_mode & stat.S_IRWXO and seen.st_uid == os.geteuid():
        os.fchmod(lock, stat.S_IMODE(seen.st_mode) & ~stat.S_IRWXO)
    return lock


def _is_there(lock: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), os.lstat(file))
    except FileNotFoundError:
        return False
