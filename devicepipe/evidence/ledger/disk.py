"""The file system as a log uses it: each step that a crash can fall between is one method here.

What is promised: `write` and `append` have given the bytes to the kernel when they return, so that they outlive this process; what
`sync`, `append` and `replace` were called for outlives the machine's power, too. Between two calls to `sync` nothing is promised
of order. Tests put another file system in its place, that loses what it may lose.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from devicepipe.durable import locked, naming

MAXIMUM_READ = 128 * 1024 * 1024
"""The most that is read of a file, in bytes: more than any file of a log can have."""

_SYNCS_AT_ONCE = 8
_CREATE = (
    os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)  # no FIFO that lies there is waited for


class Disk:
    """The files below a folder, by their names relative to it. Every method raises OSError where the system refuses.

    What it makes nobody but its owner may write, whatever the umask: these are files that somebody believes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._known: set[str] = set()  # folders whose names `sync` makes last, or has

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, name: str) -> bytes:
        """The bytes of a file, and no more than `MAXIMUM_READ` of them. Raises FileNotFoundError where there is none."""
        with open(self.folder / name, "rb", opener=_open_to_read) as file:
            return file.read(MAXIMUM_READ)

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder."""
        try:
            return sorted(os.listdir(self.folder / folder))  # noqa: PTH208 - names, not paths
        except (FileNotFoundError, NotADirectoryError):
            return []

    def size(self, name: str) -> int:
        """How many bytes a file has; 0 where there is none."""
        try:
            return os.lstat(self.folder / name).st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, name: str, data: bytes) -> None:
        """Make a file with these bytes, or give it these bytes; `sync` makes it last."""
        self._need_folder(name.rpartition("/")[0])
        self._write(name, data)
        self._files.add(name)
        self._folders.add(name.rpartition("/")[0])

    def append(self, name: str, data: bytes) -> None:
        """Append to a file that is there, and make it last."""
        self._append(name, data)
        self._sync_file(name)

    def truncate(self, name: str, size: int) -> None:
        """Cut a file at a size; it may be whole again after a loss of power, until something else makes it last."""
        os.truncate(self.folder / name, size)

    def replace(self, name: str, data: bytes, temporary: str) -> None:
        """Give a file other bytes, all or none of them whatever happens, and make them last."""
        folder, _, last = temporary.rpartition("/")
        if last in self.names(folder):
            # After a loss of power both names may stand for one file, where a rename is not atomic on the disk.
            self.remove(temporary)
        self._write(temporary, data)
        self._sync_file(temporary)
        self._rename(temporary, name)
        self._sync_folder(name.rpartition("/")[0])

    def remove(self, name: str) -> None:
        """Remove a file; it may come back after a loss of power."""
        (self.folder / name).unlink()

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder; it may come back after a loss of power."""
        (self.folder / name).rmdir()

    def sync(self) -> None:
        """Make everything last that was written since the last call: the files, and then their names."""
        for names, one in ((self._files, self._sync_file), (self._folders, self._sync_folder)):
            if len(names) > 1:
                # Side by side they share the file system's commits: a third of the time, and less on a busy disk.
                with ThreadPoolExecutor(min(_SYNCS_AT_ONCE, len(names))) as pool:
                    list(pool.map(one, sorted(names)))
            else:
                for name in names:
                    one(name)
            names.clear()

    def sync_names(self) -> None:
        """Make the names in the folder itself last: one that a killed process gave is seen, and may not last yet."""
        self._sync_folder("")

    @contextmanager
    def locked(self, name: str = ".lock") -> Iterator[None]:
        """Alone among all that lock by this file, as `durable.locked`."""
        with locked(self.folder / name):
            yield

    def make(self, mode: int = 0o755) -> None:
        """Make the folder itself and those above it, with that mode, and make that last. Does nothing where it is there."""
        missing = [one for one in (self.folder, *self.folder.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(mode, exist_ok=True)
        for one in missing:
            _sync(one.parent, os.O_RDONLY | os.O_DIRECTORY, os.fsync)

    # --- what the system does ---------------------------------------------------------------------------------------

    def _need_folder(self, name: str) -> None:
        if name and (name not in self._known or not self._is_folder(name)):
            parent = name.rpartition("/")[0]
            self._need_folder(parent)
            if not self._is_folder(name):
                self._make_folder(name)
            # Once also for one that is there: a process that was killed may have made it, and not have seen that it lasts.
            self._folders.add(parent)
            self._known.add(name)

    def _is_folder(self, name: str) -> bool:
        return (self.folder / name).is_dir()

    def _make_folder(self, name: str) -> None:
        (self.folder / name).mkdir(0o755, exist_ok=True)

    def _write(self, name: str, data: bytes) -> None:
        handle = os.open(self.folder / name, _CREATE | os.O_TRUNC, 0o644)
        try:
            _write_all(handle, data, self.folder / name)
        finally:
            os.close(handle)

    def _append(self, name: str, data: bytes) -> None:
        handle = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _write_all(handle, data, self.folder / name)
        finally:
            os.close(handle)

    def _rename(self, old: str, new: str) -> None:
        (self.folder / old).rename(self.folder / new)

    def _sync_file(self, name: str) -> None:
        # What reading the file needs is enough: its bytes and its size, not its times.
        _sync(self.folder / name, os.O_RDONLY, os.fdatasync)

    def _sync_folder(self, name: str) -> None:
        _sync(self.folder / name, os.O_RDONLY | os.O_DIRECTORY, os.fsync)


def _open_to_read(path: str, _: int) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _write_all(handle: int, data: bytes, path: Path) -> None:
    left = memoryview(data)
    with naming(path):
        while left:
            left = left[os.write(handle, left) :]


def _sync(path: Path, flags: int, sync: Callable[[int], None]) -> None:
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        sync(handle)
    finally:
        os.close(handle)
