"""The fields of items: which an item type needs, and what may stand in them.

SOUP (IEC 62304 5.3.3, 7.1.3, 8.1.2): who supplies what under which licence and names, the digest of what is used (or, where it
comes with a tool and not from the lock file, `origin`), the requirements of the product that rest on it, and the list of known
anomalies with the day it was last reviewed. Its statement says what is asked of it.

Anomaly (FDA, content of premarket submissions, "unresolved anomalies"; IEC 62304 5.8.2): its statement describes it; how it was
found, its cause, its impact, and the rationale of leaving it.

Hazard: severity and probability, without and with the risk controls. They are not needed to be read, because a rule of the gate
asks for them; what stands there must be a word of the scales that devicepipe.toml gives.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import re
from collections.abc import Collection
from dataclasses import dataclass

from devicepipe.evidence.predicates import ANOMALY, HAZARD, OPEN, RATINGS, REQUIREMENT, SOUP
from devicepipe.traceability.markdown import RawItem

VERIFICATION = ("test", "analysis", "inspection")
STATUS = (OPEN, "resolved")

SOUP_FIELDS = ("version", "supplier", "licence", "purl", "cpe", "anomaly-list", "anomalies-reviewed")
ANOMALY_FIELDS = ("status", "found-by", "cause", "impact", "rationale")

_NEEDED = {SOUP: (*SOUP_FIELDS, "requirements"), ANOMALY: (*ANOMALY_FIELDS, "affects")}
_KNOWN = {
    REQUIREMENT: ("boards", "verification", "evidence"),
    HAZARD: RATINGS,
    SOUP: (*SOUP_FIELDS, "component", "sha256", "origin"),
    ANOMALY: ANOMALY_FIELDS,
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Scales:
    """The words that rate hazards, the least first; empty: any words, and nothing can be compared."""

    severities: tuple[str, ...] = ()
    probabilities: tuple[str, ...] = ()

    def of(self, rating: str) -> tuple[str, ...]:
        """The scale of one of RATINGS."""
        return self.severities if rating.startswith("severity") else self.probabilities


def article(kind: str) -> str:
    """The indefinite article of an item type."""
    return "an" if kind == ANOMALY else "a"


def check_needed(raw: RawItem, kind: str, present: Collection[str]) -> None:
    """An item has the fields and links that its type needs.

    Raises:
        UsageError: One is missing; names the item and the field.
    """
    for key in _NEEDED.get(kind, ()):
        if key not in present:
            raise raw.error(
                raw.id, f"{article(kind)} {kind} needs '{key}'", remedy=f"add '- {key}: …', or a section '### {key}'"
            )
    if kind == SOUP and not {"sha256", "origin"} & {*present}:
        raise raw.error(
            raw.id,
            "a soup needs 'sha256' or 'origin'",
            remedy="add '- sha256: …' of the archive; where it comes with a tool, '- origin: …' of which one",
        )


def check_value(raw: RawItem, key: str, value: str, kind: str, scales: Scales) -> None:
    """What stands in a field can be what the field is for.

    Raises:
        UsageError: It cannot; names what was expected.
    """
    allowed: tuple[str, ...] = ()
    if kind == REQUIREMENT and key == "verification":
        allowed = VERIFICATION
    elif kind == ANOMALY and key == "status":
        allowed = STATUS
    elif kind == HAZARD and key in RATINGS:
        allowed = scales.of(key)
    elif kind == SOUP and key == "anomalies-reviewed":
        _check_date(raw, key, value)
    elif kind == SOUP and key == "sha256" and not _SHA256.fullmatch(value):
        raise raw.error(key, f"expected 64 hexadecimal digits, found '{value}'", remedy="run sha256sum on the archive")
    if allowed and value not in allowed:
        raise raw.error(
            key,
            f"expected one of {', '.join(allowed)}, found '{value}'",
            remedy="use one of these words, or extend the scale" if kind == HAZARD else "use one of these words",
        )


def _check_date(raw: RawItem, key: str, value: str) -> None:
    try:
        date = dt.date.fromisoformat(value)
    except ValueError:
        date = None
    if date is None or date.isoformat() != value:
        raise raw.error(
            key, f"expected a date such as 2026-11-25, found '{value}'", remedy="give the day of the review"
        )


@functools.cache
def intended(key: str, kind: str, links: tuple[str, ...]) -> str | None:
    """The known key that `key` is a typo of; None for a known key and for a field of the user's own."""
    known = (*links, *_KNOWN.get(kind, ()), *_KNOWN[REQUIREMENT])
    if key in known:
        return None
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    return close[0] if close else None
