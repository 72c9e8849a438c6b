"""Items as values: their fingerprint, their attributes by name, and how two states of one item differ.

The fingerprint is the SHA-256 of the canonical JSON (RFC 8785) of all attributes of an item but the place where it stands: so
moving an item to another file changes nothing, and changing a field, a link or a board does.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

ITEM_ID = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z][A-Za-z0-9]*)*-\d(?:[0-9A-Za-z.]*[0-9A-Za-z])?")
"""An item's id: a prefix, "-", and a number that may go on with letters, digits and dots, e.g. SRS-012 or SYS-REQ-3.1a."""

_SHORT = 16
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Attributed(Protocol):
    """What the fingerprint of an item covers: an item of the evidence has it, and one that was only read."""

    @property
    def id(self) -> str:
        """The id."""

    @property
    def type(self) -> str:
        """The type."""

    @property
    def title(self) -> str:
        """The title."""

    @property
    def text(self) -> str:
        """The statement."""

    @property
    def fields(self) -> dict[str, str]:
        """The fields."""

    @property
    def links(self) -> dict[str, list[str]]:
        """The links: kind → targets."""

    @property
    def boards(self) -> list[str]:
        """The boards that it applies to."""


def fingerprint(
    *,
    id: str,  # noqa: A002 - the attribute's name
    type: str,  # noqa: A002 - the attribute's name
    title: str,
    text: str,
    fields: Mapping[str, str],
    links: Mapping[str, Iterable[str]],
    boards: Iterable[str],
) -> str:
    """SHA-256 of an item's attributes as canonical JSON, 64 lower-case hexadecimal digits.

    Python's encoder and pydantic's give RFC 8785 here, because the keys are put in order, every key is ASCII and every value a
    string; the tests compare them with a general implementation, which takes twenty times as long as pydantic's.
    """
    core = sys.modules.get("pydantic_core")  # three times as quick, but not worth importing for a few items
    content = {
        "boards": list(boards),
        "fields": dict(sorted(fields.items())),
        "id": id,
        "links": {kind: list(targets) for kind, targets in sorted(links.items())},
        "text": text,
        "title": title,
        "type": type,
    }
    return hashlib.sha256(core.to_json(content) if core else _encode(content).encode()).hexdigest()


def fingerprint_of(item: Attributed) -> str:
    """The fingerprint that an item's attributes give, whatever it says of itself."""
    return fingerprint(
        id=item.id,
        type=item.type,
        title=item.title,
        text=item.text,
        fields=item.fields,
        links=item.links,
        boards=item.boards,
    )


def parents(item: Attributed) -> tuple[str, ...]:
    """The items that it links to, by whichever kind of link: what it rests on."""
    return tuple(dict.fromkeys(target for targets in item.links.values() for target in targets))


def attributes(item: Attributed) -> dict[str, str]:
    """All that an item's fingerprint covers but its id, as text by name.

    Fields and links go by their keys, which are lower case; what every item has by names with a capital: they never clash.
    """
    boards, written = ", ".join(item.boards), item.fields.get("boards", "")
    said = boards if written == boards else f"{written or 'by default'} ({boards})"
    found = {"Title": item.title, "Statement": item.text, "Type": item.type, "Boards": said}
    found |= {key: value for key, value in item.fields.items() if key != "boards"}
    return found | {kind: ", ".join(targets) for kind, targets in item.links.items()}


def attribute_digests(item: Attributed) -> dict[str, str]:
    """The attributes of an item, each as the first 16 digits of its SHA-256."""
    return {name: _short(value) for name, value in sorted(attributes(item).items())}


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one attribute; None: there was, or is, none."""

    attribute: str
    before: str | None
    after: str | None

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"attribute": self.attribute, "before": self.before, "after": self.after}


def changes(before: Attributed, after: Attributed) -> tuple[Change, ...]:
    """The attributes in which two states of an item differ, in the order of the later one."""
    old, new = attributes(before), attributes(after)
    names = [*new, *(name for name in old if name not in new)]
    return tuple(Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))


def changed_attributes(before: Mapping[str, str], after: Attributed) -> tuple[str, ...]:
    """The names of the attributes that differ from recorded digests (`attribute_digests`); empty where nothing was recorded."""
    now = attribute_digests(after) if before else {}
    return tuple(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))


def _short(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:_SHORT]
