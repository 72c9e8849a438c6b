"""Where a key stands in a TOML text. The standard library's reader tells values but not their lines."""

from __future__ import annotations

import re

_TABLE = re.compile(r"^\s*\[(\[?)\s*([^\[\]]+?)\s*\]?\]\s*(#.*)?$")
_KEY = re.compile(r"""^\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*((?:\.\s*[A-Za-z0-9_-]+\s*)*)=""")


def line_of(text: str, where: tuple[str | int, ...]) -> int | None:
    """The 1-based line of a key, or of the nearest table above it that exists; None where nothing of it stands in the text.

    Args:
        text: The TOML text.
        where: Path of keys and array-of-tables indexes, e.g. ("board", 1, "manifest").
    """
    found: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    entries: dict[tuple[str | int, ...], int] = {}  # of each array of tables, the index of its last entry
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = ()
            for part in header[2].split("."):
                if table in entries:
                    table = (*table, entries[table])
                table = (*table, part.strip().strip("\"'"))
            if header[1]:
                entries[table] = entries.get(table, -1) + 1
                table = (*table, entries[table])
            found.setdefault(table, number)
            found.setdefault(table[:1], number)
        elif key := _KEY.match(line):
            rest = tuple(part.strip() for part in key[2].split(".") if part.strip())
            full = (*table, key[1].strip("\"'"), *rest)
            found.setdefault(full, number)
    for length in range(len(where), 0, -1):
        if where[:length] in found:
            return found[where[:length]]
    return None
