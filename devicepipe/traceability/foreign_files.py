"""Reading other people's files without trusting them: sizes are bounded, and what could act or blow up is refused.

What always holds: XML has no document type (evidence/safe_xml.py), YAML has neither tags nor
aliases, JSON names no key twice, an archive unpacks to a bounded size, and every refusal is a UsageError with file and, where it
can be known, line.
"""

from __future__ import annotations

import bisect
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any, NoReturn

from devicepipe.errors import UsageError

MAXIMUM_FILE = 256 * 1024 * 1024
MAXIMUM_UNPACKED = 512 * 1024 * 1024
MAXIMUM_MEMBERS = 10_000
_MAXIMUM_RATIO = 200  # deflate gives ordinary XML and text up to about 50
_SMALL = 1024 * 1024  # below it a ratio says nothing

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]|[\ud800-\udfff]")


def read_bytes(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        UsageError: It cannot be read, or is too large.
    """
    try:
        if path.stat().st_size > MAXIMUM_FILE:
            raise UsageError(f"is larger than {MAXIMUM_FILE // 2**20} MiB", file=path, remedy="part it")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path) from error


def read_text(path: Path) -> str:
    r"""The file as text with "\\n" line ends, without a byte order mark.

    Raises:
        UsageError: It cannot be read, is too large, or is not UTF-8; names the line.
    """
    return decode(read_bytes(path), path)


def decode(data: bytes, path: Path) -> str:
    """Bytes of a file as text, as `read_text` gives it."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"is not UTF-8: byte {data[error.start]:#04x}", file=path, line=line, remedy="save the file as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def control_character(text: str) -> str:
    """The first character that no document can print, e.g. "U+0007"; "" where there is none."""
    found = _CONTROL.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""


def without_controls(text: str) -> str:
    """The text without such characters."""
    return _CONTROL.sub("", text)


def parse_yaml(text: str, path: Path, *, first_line: int = 1) -> Any:
    """A YAML document as plain data: mappings, lists, texts, numbers, dates.

    Args:
        text: The document.
        path: The file, for errors.
        first_line: The line of the file that the document starts at.

    Raises:
        UsageError: It is no YAML, or has a tag or an alias.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            line = first_line + event.start_mark.line
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise UsageError("has an alias, which may make it grow without bound: refused", file=path, line=line)
            if getattr(event, "tag", None):
                raise UsageError(
                    f"has the tag '{event.tag}', which may make anything of it: refused", file=path, line=line
                )
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + (mark.line if mark else 0)
        raise UsageError(f"is not valid YAML: {error.problem or error.context}", file=path, line=line) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise UsageError(f"is not valid YAML: {error}", file=path, line=first_line) from error
    except RecursionError as error:
        raise UsageError("is nested too deeply", file=path, line=first_line) from error


def parse_json(text: str, path: Path) -> Any:
    """A JSON document.

    Raises:
        UsageError: It is no JSON, names a key twice, or is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise UsageError(f"is not valid JSON: {error.msg}", file=path, line=error.lineno) from error
    except RecursionError as error:
        raise UsageError("is nested too deeply", file=path, line=1) from error
    except ValueError as error:
        key = str(error.args[-1]) if error.args else ""
        at = text.rfind(json.dumps(key, ensure_ascii=False)) if key else -1
        line = text.count("\n", 0, at) + 1 if at >= 0 else 1
        raise UsageError(f"is not valid JSON: {error.args[0]}", file=path, line=line) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key '{key}' stands twice in one object", key)
            seen.add(key)
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number", "")


def open_archive(path: Path) -> zipfile.ZipFile:
    """A ZIP archive that unpacks to a bounded size.

    Raises:
        UsageError: It is none, has too many members, or unpacks to too much (a "zip bomb").
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(read_bytes(path)))
        members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
        raise UsageError(f"is no ZIP archive: {error}", file=path) from error
    if len(members) > MAXIMUM_MEMBERS:
        raise UsageError(f"has more than {MAXIMUM_MEMBERS} members: refused", file=path)
    if sum(member.file_size for member in members) > MAXIMUM_UNPACKED:
        raise UsageError(f"unpacks to more than {MAXIMUM_UNPACKED // 2**20} MiB: refused", file=path)
    for member in members:
        if member.file_size > _SMALL and member.file_size > _MAXIMUM_RATIO * max(member.compress_size, 1):
            raise UsageError(f"its member '{member.filename}' unpacks to an absurd size: refused", file=path)
    return archive


def read_member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A member of an archive that `open_archive` opened; never more bytes than the archive says that it has.

    Raises:
        UsageError: It is damaged or encrypted.
    """
    import zlib

    try:
        return archive.read(name)
    except (
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        EOFError,
        LookupError,
        OSError,
        ValueError,
        OverflowError,
    ) as error:
        raise UsageError(f"its member '{name}' cannot be read: {error}", file=path) from error


class Lines:
    """The 1-based lines of places in a text."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def of(self, offset: int) -> int:
        """The line of a character."""
        return bisect.bisect_right(self._starts, offset)
