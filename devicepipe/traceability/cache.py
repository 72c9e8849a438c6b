"""What was read from files that have not changed since: drafts of items and the names of device tests, kept by content digest.

What always holds: an entry is found only under the SHA-256 of the file's name and bytes and of all that its reading depends on
(schema, boards, scales, the code of the readers), and only if it is undamaged. Anything else counts as nothing, and the file is
read anew: a cache that is damaged, old or unwritable costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_READERS = ("cache", "device_tests", "drafts", "fields", "markdown", "python_tests", "schema", "schema_files")
_DIGITS = 64


class FileCache:
    """Entries in a folder, one a source file.

    Args:
        folder: Where they are; it is made when the first is written.
        sort: What is kept of a file, e.g. "items": each sort has a folder of its own.
        depends_on: What the reading of all files depends on besides the readers' code.
    """

    def __init__(self, folder: Path, sort: str, depends_on: str = "") -> None:
        self.folder = folder / sort
        self._context = f"{_code_digest()}\0{depends_on}\0".encode()
        self._used: set[str] = set()
        self._written = False

    def only(self, name: str, data: bytes) -> Entry:
        """The entry of the one file of this sort: keeping it removes what was kept of it before."""
        return replace(self.entry(name, data), alone=True)

    def entry(self, name: str, data: bytes) -> Entry:
        """The entry of a file, by name and content."""
        digest = hashlib.sha256(self._context)
        digest.update(name.encode() + b"\0")
        digest.update(data)
        key = digest.hexdigest()
        self._used.add(key)
        return Entry(self, key)

    def tidy(self) -> None:
        """Remove the entries that nothing has asked for, if any was written."""
        if not self._written:
            return
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.folder):
                if entry.name not in self._used:
                    Path(entry.path).unlink(missing_ok=True)

    def write(self, key: str, data: bytes) -> None:
        """Write an entry, whole or not at all; where that cannot be, there is none."""
        scratch = self.folder / f"{key}.{os.getpid()}"
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(data)
            scratch.replace(self.folder / key)
            self._written = True


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one file."""

    cache: FileCache
    key: str
    alone: bool = False

    def content(self) -> list[Any] | None:
        """It, as JSON-ready data; None where there is none, or it is damaged."""
        try:
            entry = (self.cache.folder / self.key).read_bytes()
        except OSError:
            return None
        sealed, body = entry[:_DIGITS], entry[_DIGITS:]
        if self._seal(body) != sealed:
            return None
        content: list[Any] = json.loads(body)
        return content

    def keep(self, content: list[Any]) -> None:
        """Keep it for the next time."""
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        self.cache.write(self.key, self._seal(body) + body)
        if self.alone:
            self.cache.tidy()

    def _seal(self, body: bytes) -> bytes:
        return hashlib.sha256(self.key.encode() + body).hexdigest().encode()


@functools.cache
def _code_digest() -> str:
    """The SHA-256 of what reads: other code may read the same bytes otherwise."""
    house = _HERE.parent
    readers = [_HERE / f"{name}.py" for name in _READERS]
    readers += [
        _HERE / "schema.toml",
        house / "evidence/items.py",
        house / "evidence/words.py",
        house / "build/soup.py",
    ]
    digest = hashlib.sha256(sys.version.encode())
    for path in (*readers, *sorted([*(house / "project").glob("*.py"), *(house / "stages").glob("*items.py")])):
        digest.update(path.read_bytes())
    return digest.hexdigest()
