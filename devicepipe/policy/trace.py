"""What rules see of user needs, design items and markers in sources: read from the items and their links.

A product's schema decides how severe findings of its rules are; it does not decide what a gate sees.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devicepipe.evidence.trace import Item, Traceability
from devicepipe.evidence.words import DESIGN, REQUIREMENT, USER_NEED


def trace_data(traced: Traceability) -> dict[str, Any]:
    """The keys `needs`, `design` and `code` of `release`: totals, and sentences about what is not covered."""
    needs, requirements, designs = (_of(traced.items, kind) for kind in (USER_NEED, REQUIREMENT, DESIGN))
    met, realised = _targets(requirements, "satisfies"), _targets(designs, "realises")
    # What is kept elsewhere as a whole, such as the design, is told only (traceability/markers.py).
    elsewhere = {
        (found.item, found.file, found.line)
        for found in traced.findings
        if found.kind == "unknown-item" and found.severity == "warning"
    }
    known = {item.id for item in traced.items}
    markers = traced.code or []
    coded = {name for marker in markers for name in marker.items}
    return {
        "needs": {
            "total": len(needs),
            "unmet": [f"{item.id} {item.title}: no requirement satisfies it" for item in needs if item.id not in met],
        },
        "design": {
            "total": len(designs),
            # A product without design items keeps its design elsewhere, and nothing here can say whether it is complete.
            "unrealised": [
                f"{item.id}: no design item realises it" for item in requirements if designs and item.id not in realised
            ],
            "unjustified": [
                f"{item.id}: it realises no requirement" for item in designs if not item.links.get("realises")
            ],
            "uncoded": [f"{item.id}: no source names it" for item in designs if coded and item.id not in coded],
        },
        "code": {
            "markers": len(markers),
            "unknownItems": [
                f"{name} in {marker.file}:{marker.line}"
                for marker in markers
                for name in marker.items
                if name not in known and (name, marker.file, marker.line) not in elsewhere
            ],
        },
    }


def _of(items: Iterable[Item], kind: str) -> list[Item]:
    return [item for item in items if item.type == kind]


def _targets(items: Iterable[Item], link: str) -> set[str]:
    return {target for item in items for target in item.links.get(link, ())}
