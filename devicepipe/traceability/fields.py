"""The fields of items: what may stand in them and which an item needs, as the schema says it, and keys that look mistyped.

Some fields mean more than their words: `boards` names boards of the product, and `evidence` of a requirement names the record of an
analysis or inspection, a file whose digest becomes part of the item.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass

from devicepipe.evidence.words import EVIDENCE_DIGEST, HOST_TEST, RISK_CONTROL
from devicepipe.traceability.markdown import RawItem
from devicepipe.traceability.schema import ItemType, Schema

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIMILAR = 0.8
_METHODS = {RISK_CONTROL: "effectiveness"}
"""The field that says how an item is verified by its record, where that is not `verification`."""

BOARDS = "boards"
EVIDENCE = "evidence"
ALL_BOARDS = "all"
"""The value of `boards` that says in so many words what leaving it out means."""


@dataclass(frozen=True, slots=True)
class Scales:
    """The words that rate hazards, the least first; empty: any words, and nothing can be compared."""

    severities: tuple[str, ...] = ()
    probabilities: tuple[str, ...] = ()

    def of(self, rating: str) -> tuple[str, ...]:
        """The scale of one of RATINGS."""
        return self.severities if rating.startswith("severity") else self.probabilities


class FieldRules:
    """What the schema says of fields, looked up once for all items of a product."""

    def __init__(self, schema: Schema, scales: Scales) -> None:
        self._schema = schema
        self._scales = {"severities": scales.severities, "probabilities": scales.probabilities}
        self._reserved = {
            key: tuple(one.title for one in schema.types.values() if key in one.fields and one.fields[key].reserved)
            for kind in schema.types.values()
            for key, field in kind.fields.items()
            if field.reserved
        }
        self.links = {name: tuple(link.name for link in schema.links_of(name)) for name in schema.types}
        self.free: dict[str, set[str]] = {name: set() for name in schema.types}
        """Item type → the keys seen so far that are the product's own: nothing is to be checked about them."""
        self._needed = {
            name: (
                *(key for key, field in kind.fields.items() if field.needed),
                *(link for link in self.links[name] if schema.links[link].at_least),
            )
            for name, kind in schema.types.items()
        }

    def check_needed(self, raw: RawItem, kind: ItemType, present: Collection[str]) -> None:
        """An item has the fields and links that its type needs.

        Raises:
            UsageError: One is missing; names the item and the field.
        """
        for key in self._needed[kind.name]:
            if key not in present:
                raise raw.error(
                    raw.id, f"{kind.called} needs '{key}'", remedy=f"add '- {key}: …', or a section '### {key}'"
                )
        for keys in kind.one_of:
            if not {*keys} & {*present}:
                wanted = " or ".join(f"'{key}'" for key in keys)
                raise raw.error(
                    raw.id,
                    f"{kind.called} needs {wanted}",
                    remedy=f"add '- {keys[0]}: …', or one of the others",
                )

    def check(self, raw: RawItem, key: str, value: str, kind: ItemType) -> None:
        """A field is none that devicepipe writes, none mistyped, one that its type may have, and its value can be what it is for.

        Raises:
            UsageError: It is not so; names what was expected.
        """
        if key == EVIDENCE_DIGEST:
            raise raw.error(key, "is written by devicepipe", remedy="remove the line")
        field = kind.fields.get(key)
        if field is None:
            meant = self._meant(key, kind)
            if meant is not None:
                raise raw.error(key, "looks like a mistyped key", remedy=f"did you mean '{meant}'?")
            if key in self._reserved:
                only = " and ".join(f"{title}s" for title in self._reserved[key])
                raise raw.error(key, f"{kind.called} has no '{key}'", remedy=f"only {only} have it")
            self.free[kind.name].add(key)
            return
        method = _METHODS.get(kind.name, "verification")
        if key == EVIDENCE and raw.fields.get(method, "test") in ("test", HOST_TEST):
            raise raw.error(
                key,
                f"is for a {kind.title} verified by analysis or inspection",
                remedy=f"add '- {method}: analysis', or remove the line: a test's evidence is found by its id",
            )
        if field.form == "date":
            _check_date(raw, key, value)
        elif field.form == "sha256" and not _SHA256.fullmatch(value):
            raise raw.error(
                key, f"expected 64 hexadecimal digits, found '{value}'", remedy="run sha256sum on the archive"
            )
        allowed = field.values or (self._scales[field.scale] if field.scale else ())
        if allowed and value not in allowed:
            raise raw.error(
                key,
                f"expected one of {', '.join(allowed)}, found '{value}'",
                remedy="use one of these words, or extend the scale" if field.scale else "use one of these words",
            )

    def _meant(self, key: str, kind: ItemType) -> str | None:
        """The known key that `key` is a typo of; None for a known key and for a field of the user's own."""
        known = [*self.links[kind.name], *kind.fields, *([BOARDS] if kind.boards else ()), *self._reserved]
        close = [] if key in known else difflib.get_close_matches(key, known, n=1, cutoff=_SIMILAR)
        return close[0] if close else None


def _check_date(raw: RawItem, key: str, value: str) -> None:
    try:
        date = dt.date.fromisoformat(value)
    except ValueError:
        date = None
    if date is None or date.isoformat() != value:
        raise raw.error(
            key, f"expected a date such as 2026-11-25, found '{value}'", remedy="give the day of the review"
        )
