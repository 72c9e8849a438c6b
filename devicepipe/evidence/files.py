"""Files of a bundle's folder, without being led out of it or held up.

What always holds: nothing here follows a symbolic link below the folder, waits for a FIFO or device, or reads without a bound.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from devicepipe.errors import IntegrityError
from devicepipe.evidence.names import is_name

MAXIMUM_FILE = 1024 * 1024 * 1024
MAXIMUM_TOTAL = 8 * 1024 * 1024 * 1024

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """Something found in a folder: its name relative to it, and whether it is a folder or a regular file (or neither)."""

    name: str
    is_folder: bool
    is_file: bool


def shown(name: str) -> str:
    """A name as found on disk, fit to be printed: line breaks, terminal escapes and bytes that are no UTF-8 are escaped."""
    return name if name.isprintable() else ascii(name)[1:-1]


def walk(folder: Path) -> Iterator[Entry]:
    """All entries below a folder, lazily, so that a reader can stop at the first one that does not belong.

    Raises:
        IntegrityError: A folder cannot be read, or has a name that no file of a bundle can have.
    """
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(folder / prefix) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    is_folder = entry.is_dir(follow_symlinks=False)
                    yield Entry(name, is_folder, entry.is_file(follow_symlinks=False))
                    if is_folder:
                        if not is_name(name):
                            raise IntegrityError("is a folder that does not belong to a bundle", link=shown(name))
                        pending.append(name + "/")
        except OSError as error:
            raise IntegrityError(f"cannot be read: {error.strerror}", link=shown(prefix) or str(folder)) from error


@contextmanager
def open_file(folder: Path, name: str) -> Iterator[BinaryIO]:
    """Open a regular file of the folder for reading.

    Raises:
        IntegrityError: Bad name, no such file, not a regular file, or reached through a symbolic link.
    """
    if not is_name(name):
        raise IntegrityError("is not the name of a file in a bundle", link=shown(name))
    *folders, last = name.split("/")
    handle = -1
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        for part in folders:
            handle = _step(handle, part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        handle = _step(handle, last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise IntegrityError("is not a regular file", link=name)
        with os.fdopen(handle, "rb", closefd=False) as file:
            yield file
    except FileNotFoundError as error:
        raise IntegrityError("is missing", link=name) from error
    except OSError as error:
        raise IntegrityError(f"cannot be read as a regular file: {error.strerror}", link=name) from error
    finally:
        if handle >= 0:
            os.close(handle)


def _step(folder: int, part: str, flags: int) -> int:
    handle = os.open(part, flags, dir_fd=folder)
    os.close(folder)
    return handle


def size_of(folder: Path, name: str) -> int:
    """Size of a file of the folder in bytes. Raises IntegrityError as `read_file`."""
    with open_file(folder, name) as file:
        return _bounded_size(file, name, MAXIMUM_FILE)


def read_file(folder: Path, name: str, maximum: int = MAXIMUM_FILE) -> bytes:
    """The bytes of a file of the folder.

    Raises:
        IntegrityError: As `open_file`, or it is larger than `maximum` bytes.
    """
    with open_file(folder, name) as file:
        return file.read(_bounded_size(file, name, maximum) + 1)


def hash_file(folder: Path, name: str) -> str:
    """SHA-256 of a file of the folder, in lower-case hexadecimal. Raises IntegrityError as `read_file`."""
    digest = hashlib.sha256()
    with open_file(folder, name) as file:
        left = (
            _bounded_size(file, name, MAXIMUM_FILE) + 1
        )  # one more, so that a file that grows meanwhile hashes differently
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            left -= len(chunk)
            digest.update(chunk)
    return digest.hexdigest()


def _bounded_size(file: BinaryIO, name: str, maximum: int) -> int:
    size = os.fstat(file.fileno()).st_size
    if size > maximum:
        raise IntegrityError(f"is larger than {maximum} bytes", link=name)
    return size
