"""Facts that evidence is made of, in the form that it writes them: the time, and the digest of a file."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal


def utc_text(moment: datetime, precision: Literal["seconds", "microseconds"] = "seconds") -> str:
    """A moment as RFC 3339 in UTC, e.g. 2026-03-01T12:00:00Z."""
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def utc_now(precision: Literal["seconds", "microseconds"] = "seconds") -> str:
    """The time now, as `utc_text` writes it."""
    return utc_text(datetime.now(UTC), precision)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, 64 lower-case hexadecimal digits. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
