"""SOUP items against the lock file that is built from: what was reviewed must be what is linked.

What always holds after `check_soup`: an item that names a locked component agrees with the lock in version, supplier, licence,
names and digest, and every item without an `origin` names one. A locked component without an item is told, not refused: the gate
decides about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devicepipe.errors import UsageError
from devicepipe.evidence.words import SOUP

if TYPE_CHECKING:
    from devicepipe.traceability.drafts import Traced

COMPARED = ("version", "supplier", "licence", "purl", "cpe", "sha256")


@dataclass(frozen=True, slots=True)
class Locked:
    """A component of the lock file: its name, where it stands there ("firmware/soup.toml:8"), and its fields by an item's keys."""

    name: str
    place: str
    fields: dict[str, str]


def check_soup(items: Sequence[Traced], locked: Sequence[Locked], root: Path) -> tuple[Locked, ...]:
    """Compare SOUP items with the lock file.

    Args:
        items: As `read_items` gives them.
        locked: The components of the lock file.
        root: The project's root, for errors.

    Returns:
        The locked components that no item is about.

    Raises:
        UsageError: An item and the lock differ, two items are about one component, or an item is about none; names both places.
    """
    by_name = {component.name.casefold(): component for component in locked}
    seen: dict[str, Traced] = {}
    for item in items:
        if item.type != SOUP:
            continue
        name = item.fields.get("component", item.title).casefold()
        component = by_name.get(name)
        if component is None:
            if "origin" in item.fields:
                continue
            known = ", ".join(by_name) or "none"
            raise _error(
                root, item, "component", f"no locked component is called '{name}'; there are: {known}",
                "correct '- component: …', or say with '- origin: …' with which tool it comes",
            )  # fmt: skip
        if name in seen:
            raise _error(root, item, "component", f"{seen[name].id} is about '{name}' already", "make one of them")
        seen[name] = item
        for key in COMPARED:
            mine, its = item.fields.get(key, ""), component.fields.get(key, "")
            if mine != its:
                raise _error(
                    root, item, key, f"'{mine}' here, but '{its}' in {component.place}",
                    "review the component that is locked, and write down what was reviewed",
                )  # fmt: skip
    return tuple(component for component in locked if component.name.casefold() not in seen)


def _error(root: Path, item: Traced, key: str, message: str, remedy: str) -> UsageError:
    return UsageError(message, file=root / item.file, line=item.line, key=f"{item.id} {key}", remedy=remedy)
