"""What lies where in a repository, as TUF clients ask for it (consistent snapshots, specification section 6.2)."""

from __future__ import annotations

import re
from typing import Final

from devicepipe.errors import UsageError

METADATA: Final = "metadata"
TARGETS: Final = "targets"
TIMESTAMP: Final = f"{METADATA}/timestamp.json"
"""The one name whose bytes change: whoever has it has the rest."""

LARGEST_ROOT: Final = 512_000
LARGEST_TIMESTAMP: Final = 16_384
LARGEST_SNAPSHOT: Final = 2_000_000
LARGEST_TARGETS: Final = 5_000_000
"""What stock clients read at most of a role's metadata, in bytes (the defaults of tuf.ngclient)."""

_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def metadata_file(role: str, version: int) -> str:
    """The name of a version of a role's metadata; the timestamp has one name only."""
    return TIMESTAMP if role == "timestamp" else f"{METADATA}/{version}.{role}.json"


def target_file(path: str, sha256: str) -> str:
    """The name of a target's file: beside its path, with its digest before the last part."""
    folder, slash, last = path.rpartition("/")
    return f"{TARGETS}/{folder}{slash}{sha256}.{last}"


def release_folder(product: str, version: str) -> str:
    """Where the targets of a release are. A '+' of a version is written '_': servers differ over what it means in a URL."""
    return f"{product}/{version.replace('+', '_')}"


def target_path(product: str, version: str, name: str) -> str:
    """The path of a release's file among the targets.

    Raises:
        UsageError: A part of the name is none that every server and client takes alike.
    """
    path = f"{release_folder(product, version)}/{name}"
    if not all(_PART.fullmatch(part) for part in path.split("/")):
        raise UsageError(
            f"'{path}' cannot name a published file", remedy="use letters, digits, '_', '.' and '-' in names of files"
        )
    return path
