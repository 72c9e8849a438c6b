"""Names of files in a bundle, and of people in commits.

A name is a relative path with "/", and nothing that any file system, archive tool or reader could take for another path:
ASCII letters, digits and ``_ . + @ = , -`` only, no part that is hidden, "." or "..", that begins with "-" or ends with ".".
So a name has no Unicode twins, no line breaks and no way out of the folder. Two names of one bundle may not differ in case alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_PART = re.compile(r"[A-Za-z0-9_+@=,](?:[A-Za-z0-9_.+@=,-]*[A-Za-z0-9_+@=,-])?")
_MAXIMUM_LENGTH = 512
_MAXIMUM_PARTS = 16

RULE = "bundle-relative, of A-Z a-z 0-9 _ . + @ = , - and '/', no part hidden"


def is_name(name: str) -> bool:
    """Whether the text is a name of a file in a bundle."""
    parts = name.split("/")
    return (
        len(name) <= _MAXIMUM_LENGTH
        and len(parts) <= _MAXIMUM_PARTS
        and all(_PART.fullmatch(part) and len(part) <= 255 for part in parts)  # noqa: PLR2004 - NAME_MAX of POSIX
    )


def clash(names: Iterable[str]) -> str | None:
    """The first name that another one equals, or differs from in case alone (in any of its folders); None if there is none."""
    folders: dict[str, str] = {}
    files: set[str] = set()
    for name in names:
        parts = name.split("/")
        prefixes = ["/".join(parts[:length]) for length in range(1, len(parts))]
        for prefix in prefixes:
            if folders.setdefault(prefix.casefold(), prefix) != prefix or prefix.casefold() in files:
                return name
        if name.casefold() in files or name.casefold() in folders:
            return name
        files.add(name.casefold())
    return None


def address(text: str) -> str:
    """An e-mail address as addresses are compared: without case (casefold), composed (NFC), without white space around it."""
    return unicodedata.normalize("NFC", text.strip().casefold())
