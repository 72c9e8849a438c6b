"""Single files out of source archives (tar, zip), without trusting the archive.

What always holds: nothing is ever unpacked as a whole; a member is read only when it was asked for by its exact name, is a
regular file, stands in the archive once, and is not larger than `MAXIMUM_MEMBER`. Where it is written is not the archive's choice.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

MAXIMUM_MEMBER = 64 * 1024 * 1024
"""The largest member that is read, in bytes: a C source is far smaller, and a decompression bomb far larger."""

_ZIP_LINK = 0o120000
_ZIP_TYPE = 0o170000


class ArchiveError(Exception):
    """A member cannot be had from the archive.

    Attributes:
        nearest: Names in the archive with the same file name, to help with a misspelt path.
    """

    def __init__(self, message: str, *, nearest: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.nearest = list(nearest)


def read_members(archive: Path, filename: str, members: Iterable[str]) -> dict[str, bytes]:
    """Read the named members.

    Args:
        archive: The archive's file.
        filename: Its published name, which tells the format: .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .zip or .whl.
        members: Exact member names.

    Raises:
        ArchiveError: The archive is unreadable, or a member is missing, doubled, a link or another special file, or too large.
    """
    wanted = list(dict.fromkeys(members))
    try:
        if filename.endswith((".zip", ".whl")):
            return _read_zip(archive, wanted)
        return _read_tar(archive, wanted)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ArchiveError(f"the archive {filename} cannot be read: {error}") from error


def _check(member: str, names: list[str], *, regular: bool, size: int) -> None:
    if names.count(member) > 1:
        raise ArchiveError(f"'{member}' stands more than once in the archive")
    if not regular:
        raise ArchiveError(f"'{member}' is a link or special file, not a regular file")
    if size > MAXIMUM_MEMBER:
        raise ArchiveError(f"'{member}' has {size} bytes, more than the {MAXIMUM_MEMBER} that are read")


def _missing(member: str, names: list[str]) -> ArchiveError:
    base = member.rsplit("/", 1)[-1]
    nearest = sorted(name for name in names if name.rsplit("/", 1)[-1] == base)[:5]
    return ArchiveError(f"'{member}' is not in the archive", nearest=nearest)


def _read_tar(archive: Path, wanted: list[str]) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        entries = tar.getmembers()
        names = [entry.name for entry in entries]
        by_name = {entry.name: entry for entry in entries}
        contents = {}
        for member in wanted:
            entry = by_name.get(member)
            if entry is None:
                raise _missing(member, names)
            _check(member, names, regular=entry.isreg(), size=entry.size)
            stream = tar.extractfile(entry)
            if stream is None:
                raise _missing(member, names)
            contents[member] = stream.read()
    return contents


def _read_zip(archive: Path, wanted: list[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        contents = {}
        for member in wanted:
            if member not in names:
                raise _missing(member, names)
            entry = packed.getinfo(member)
            is_link = (entry.external_attr >> 16) & _ZIP_TYPE == _ZIP_LINK
            _check(member, names, regular=not is_link and not entry.is_dir(), size=entry.file_size)
            contents[member] = packed.read(entry)
    return contents
