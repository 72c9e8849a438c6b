"""Where a repository lies: a folder, or an object store (object_store.py). What is written is bytes under names, nothing else.

What always holds: `swap` gives a name its new bytes whole or not at all, only in the place of those that the caller knows, and
after everything that was put before it lasts. So whoever reads follows names that are swapped and finds a whole repository,
whatever happens to whoever writes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from devicepipe.errors import BenchError
from devicepipe.evidence.ledger.disk import Disk


class Store(Protocol):
    """A place for a repository. Every method raises OSError or BenchError where the place cannot be used."""

    @property
    def url(self) -> str:
        """Where it is, as clients name it."""

    def read(self, name: str) -> bytes:
        """The bytes under a name. Raises FileNotFoundError where there are none."""

    def put(self, name: str, data: bytes) -> None:
        """Put bytes under a name that says what they are (a digest), so that nobody puts other ones there."""

    def add(self, name: str, data: bytes) -> None:
        """Put bytes under a name that is free. Raises Conflict where it is not."""

    def swap(self, name: str, data: bytes, before: bytes | None) -> None:
        """Make all last that was put, and then give a name other bytes, all or none, in the place of `before` (None: of none).

        Raises:
            Conflict: Other bytes are there by now.
        """

    def locked(self) -> AbstractContextManager[None]:
        """Alone among all publishers, where the place can promise that; where not, `add` and `swap` find it out."""


class FolderStore:
    """A repository in a folder, which a web server or a copy of it serves as it is.

    Besides the repository it holds `.lock`, and for a moment `.new`.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._disk = disk or Disk(folder)

    @property
    def url(self) -> str:
        """The folder's address, `file:///…`, as it is named: what a link there leads to is no other repository."""
        return self._disk.folder.absolute().as_uri()

    def read(self, name: str) -> bytes:
        """See `Store.read`."""
        return self._disk.read(name)

    def put(self, name: str, data: bytes) -> None:
        """See `Store.put`."""
        self._disk.write(name, data)

    def add(self, name: str, data: bytes) -> None:
        """See `Store.add`."""
        folder, _, last = name.rpartition("/")
        if last in self._disk.names(folder):
            raise Conflict(name)
        self._disk.write(name, data)

    def swap(self, name: str, data: bytes, before: bytes | None) -> None:
        """See `Store.swap`."""
        folder, _, last = name.rpartition("/")
        found = self.read(name) if last in self._disk.names(folder) else None
        if found != before:
            raise Conflict(name)
        self._disk.sync()
        self._disk.replace(name, data, f"{folder}/.new" if folder else ".new")

    def locked(self) -> AbstractContextManager[None]:
        """See `Store.locked`: by a lock on a file that ends with the process."""
        self._disk.make()
        return self._disk.locked()


class Conflict(BenchError):  # noqa: N818 - what it is, not how it is told
    """Other bytes are under a name than were expected: another publisher was quicker."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is another one by now: somebody else publishes too", remedy="run it again")
