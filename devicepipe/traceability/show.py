"""Everything that one item rests on and everything that rests on it, as trees, with the verdicts of its tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devicepipe.evidence.trace import CodeMarker
from devicepipe.traceability.code_markers import Marker
from devicepipe.traceability.drafts import Traced


@dataclass(frozen=True, slots=True)
class Node:
    """An item, test or marker in a tree: by which kind of link it is there, and what follows it.

    `verdicts` are those of a test, by board; `again` says that what follows stands elsewhere in the tree already.
    """

    id: str
    title: str
    link: str
    type: str
    place: str
    below: tuple[Node, ...] = ()
    verdicts: Mapping[str, str] | None = None
    again: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        found: dict[str, Any] = {
            "id": self.id,
            "type": self.type,
            "title": self.title,
            "link": self.link,
            "place": self.place,
        }
        if self.verdicts is not None:
            found["verdicts"] = dict(self.verdicts)
        if self.again:
            found["again"] = True
        return found | {"below": [node.to_json() for node in self.below]}


@dataclass(frozen=True, slots=True)
class ShownTest:
    """A test: what it verifies, where it stands, and its verdict for an item on a board."""

    id: str
    verifies: tuple[str, ...]
    place: str
    verdicts: Mapping[str, Mapping[str, str]]  # item → board → verdict


class Surroundings:
    """The links of all items in both directions, with the tests and markers that name them."""

    def __init__(
        self, items: Sequence[Traced], tests: Sequence[ShownTest] = (), code: Sequence[CodeMarker | Marker] = ()
    ) -> None:
        self.items = {item.id: item for item in items}
        self._below: dict[str, list[tuple[str, str]]] = {}
        for item in items:
            for kind, targets in item.links.items():
                for target in targets:
                    self._below.setdefault(target, []).append((kind, item.id))
        self._tests: dict[str, list[ShownTest]] = {}
        for test in tests:
            for name in test.verifies:
                self._tests.setdefault(name, []).append(test)
        self._code: dict[str, list[CodeMarker | Marker]] = {}
        for marker in code:
            for name in marker.items:
                self._code.setdefault(name, []).append(marker)

    def above(self, name: str) -> tuple[Node, ...]:
        """What an item rests on, and that in turn."""
        return tuple(self._up(name, {name}))

    def below(self, name: str) -> tuple[Node, ...]:
        """What rests on an item, and on that in turn: items, markers in sources, and tests with their verdicts."""
        return tuple(self._down(name, {name}))

    def _up(self, name: str, seen: set[str]) -> Iterator[Node]:
        for kind, targets in self.items[name].links.items():
            for target in targets:
                if target in self.items:
                    yield self._node(target, kind, seen, up=True)

    def _down(self, name: str, seen: set[str]) -> Iterator[Node]:
        for kind, source in self._below.get(name, ()):
            yield self._node(source, kind, seen, up=False)
        for marker in self._code.get(name, ()):
            yield Node(marker.function or marker.file, "", "code", "code", f"{marker.file}:{marker.line}")
        for test in self._tests.get(name, ()):
            yield Node(test.id, "", "verified by", "test", test.place, verdicts=test.verdicts.get(name, {}))

    def _node(self, name: str, kind: str, seen: set[str], *, up: bool) -> Node:
        item = self.items[name]
        again = name in seen
        seen.add(name)
        below = () if again else tuple(self._up(name, seen) if up else self._down(name, seen))
        return Node(name, item.title, kind, item.type, f"{item.file}:{item.line}", below, again=again)
