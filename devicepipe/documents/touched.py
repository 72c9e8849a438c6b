"""Which documents of the set show items of some types: those that a change of such items makes other documents.

Read from the definitions' blocks alone, so that it costs next to nothing; whether a definition is right is not checked here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from typing import Any, Final

from devicepipe.documents.definition import BRANDING, shipped_definitions

_ALL: Final = "*"

BLOCK_ITEMS: Final[Mapping[str, frozenset[str]]] = {
    "hazards": frozenset({"hazard"}),
    "residual-risks": frozenset({"hazard", "risk-control"}),
    "risk-controls": frozenset({"risk-control", "requirement", "test"}),
    "open-anomalies": frozenset({"anomaly"}),
    "resolved-anomalies": frozenset({"anomaly"}),
    "unresolved-anomalies": frozenset({"anomaly"}),
    "known-anomalies": frozenset({"anomaly"}),
    "matrix": frozenset({_ALL}),
    "requirements": frozenset({"requirement"}),
    "requirement-figure": frozenset({"requirement", "test"}),
    "other-items": frozenset({"user-need", "design", "test", "change-request"}),
    "untested": frozenset({"requirement", "test"}),
    "trace-findings": frozenset({_ALL}),
    "tests": frozenset({"test"}),
    "test-protocol": frozenset({"test"}),
    "test-results": frozenset({"test"}),
    "soup": frozenset({"soup"}),
    "security-controls": frozenset({"requirement"}),
    "change-impact": frozenset({_ALL}),
    "reviews": frozenset({_ALL}),
}
"""Block → the types of items that it shows; "test" is a device test as well."""


def documents_showing(types: Collection[str], own: Mapping[str, str]) -> list[str]:
    """The titles of the documents that show items of one of these types, in their order.

    Args:
        types: The types.
        own: The project's definitions by file name.

    Raises:
        tomllib.TOMLDecodeError: A definition is no TOML.
    """
    if not types:
        return []
    shipped = shipped_definitions()
    found = []
    for name in [*shipped, *sorted(own.keys() - shipped.keys())]:
        if name == BRANDING:
            continue
        layers = [tomllib.loads(text) for text in (shipped.get(name, ""), own.get(name, "")) if text]
        title, blocks = _merged(layers)
        shown = {kind for block in blocks for kind in BLOCK_ITEMS.get(block, ())}
        if _ALL in shown or shown & {*types}:
            found.append(title or name.removesuffix(".toml"))
    return found


def _merged(layers: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """Title and blocks of a definition; none where the project turned it off."""
    title, enabled = "", True
    sections: dict[str, list[str]] = {}
    for layer in layers:
        title, enabled = str(layer.get("title", title)), bool(layer.get("enabled", enabled))
        for name, section in layer.get("sections", {}).items():
            if "blocks" in section:
                sections[name] = [str(block) for block in section["blocks"]]
    return title, [block for blocks in sections.values() for block in blocks] if enabled else []
