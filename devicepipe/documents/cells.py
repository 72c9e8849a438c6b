"""Cells and tables that several sections share: verdicts, digests, byte counts."""

from __future__ import annotations

from typing import Final

from devicepipe.documents.model import Cell, Tone
from devicepipe.evidence.predicates import MemoryUse

NONE: Final = "—"
NOT_APPLICABLE: Final = Cell(NONE, tone=Tone.MUTED)
MISSING: Final = Cell("NO EVIDENCE", tone=Tone.BAD)

_VERDICTS: Final = {
    "": NOT_APPLICABLE,
    "passed": Cell("✓ passed", tone=Tone.GOOD),
    "failed": Cell("FAILED", tone=Tone.BAD),
    "error": Cell("ERROR", tone=Tone.BAD),
    "not_run": Cell("NOT RUN", tone=Tone.WARNING),
}


def verdict_cell(verdict: str) -> Cell:
    """A verdict as words that tell it without colour; a word outside the closed set is shown as something bad, as it stands."""
    return _VERDICTS.get(verdict) or Cell(verdict.replace("_", " ").replace("-", " ").upper(), tone=Tone.BAD)


def yes_no(holds: bool, *, yes: str = "✓ yes", no: str = "NO") -> Cell:
    """Whether something that should hold does."""
    return Cell(yes, tone=Tone.GOOD) if holds else Cell(no, tone=Tone.BAD)


def count_cell(count: int, *, bad: Tone | None = None) -> Cell:
    """A number; with `bad`, one that stands out unless it is 0."""
    return Cell(f"{count:,}", tone=bad if bad and count else Tone.PLAIN)


def memory_cell(use: MemoryUse) -> Cell:
    """Bytes used of the limit, and the share."""
    share = f"{100 * use.used / use.limit:.1f} %" if use.limit else "no limit given"
    over = use.limit > 0 and use.used > use.limit
    return Cell(f"{use.used:,} of {use.limit:,}", share, tone=Tone.BAD if over else Tone.PLAIN)


def time_text(time: str) -> str:
    """An RFC 3339 time as people read it: "2026-03-01 12:00:00 UTC"."""
    return time.replace("T", " ").replace("Z", " UTC")
