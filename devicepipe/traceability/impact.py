"""What a change touches: two states of a product's items and tests, what differs, and what has to be looked at or run again.

From what was added, removed or changed it goes two ways:

- *down*, along the links, to what rests on it, and on that in turn: whoever reviews it decides whether it has to change;
- *up*, to what the changed item itself rests on, above all risk controls and hazards: their verification is another one now.

Tests have to be run again that verify any of these, and those that changed themselves. What always holds: an item whose fingerprint
differs is among the changed ones, and nothing that rests on it is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from devicepipe.evidence.items import Change, changes, parents
from devicepipe.traceability.drafts import Traced

What = Literal["added", "removed", "changed"]
Way = Literal["itself", "rests on it", "is verified by it"]


@dataclass(frozen=True, slots=True)
class TestState:
    """A device test: what it verifies, where it stands, and the SHA-256 of its source ("": not known)."""

    __test__ = False

    id: str
    verifies: tuple[str, ...]
    sha256: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """A product's items and tests at one time, and how the user called that; no tests: nothing is known of them."""

    name: str
    items: Mapping[str, Traced]
    tests: Mapping[str, TestState] | None = None


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item that was added, removed or changed, and in which attributes."""

    item: Traced
    what: What
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class TestChange:
    """A test that was added, removed or changed."""

    __test__ = False

    test: TestState
    what: What
    why: str = ""


@dataclass(frozen=True, slots=True)
class Touched:
    """An item that did not change, but what it rests on or what verifies it did: `by` is the next one on the way there."""

    item: Traced
    way: Way
    by: str


@dataclass(frozen=True, slots=True)
class Again:
    """A test that has to be run again, and for which items, or "" for its own change."""

    __test__ = False

    test: TestState
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change touches; each list in the order of the later state."""

    before: str
    after: str
    items: tuple[ItemChange, ...]
    tests: tuple[TestChange, ...]
    touched: tuple[Touched, ...]
    again: tuple[Again, ...]
    documents: tuple[str, ...] = field(default=())

    @property
    def nothing(self) -> bool:
        """Whether nothing differs."""
        return not (self.items or self.tests)

    def types(self) -> set[str]:
        """The types of all items that changed or are touched, and "test" where a test is."""
        found = {one.item.type for one in self.items} | {one.item.type for one in self.touched}
        return found | ({"test"} if self.tests or self.again else set())

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "items": [
                {
                    **_place(one.item),
                    "what": one.what,
                    "changes": [change.to_json() for change in one.changes],
                }
                for one in self.items
            ],
            "tests": [{**_test(one.test), "what": one.what, "why": one.why} for one in self.tests],
            "touched": [{**_place(one.item), "way": one.way, "by": one.by} for one in self.touched],
            "runAgain": [{**_test(one.test), "for": list(one.why)} for one in self.again],
            "documents": list(self.documents),
        }

    def lines(self) -> Iterator[tuple[str, ...]]:
        """As the lines of a table: what is listed, id, type or file, what became of it, and why."""
        yield ("sort", "id", "type", "title", "file", "line", "what", "why")
        for changed in self.items:
            attributes = ", ".join(change.attribute for change in changed.changes)
            yield ("item", *_cells(changed.item), changed.what, attributes)
        for touched in self.touched:
            yield ("touched", *_cells(touched.item), touched.way, touched.by)
        for test in self.tests:
            yield ("test", test.test.id, "", "", test.test.file, _number(test.test.line), test.what, test.why)
        for again in self.again:
            why = ", ".join(again.why)
            yield ("run again", again.test.id, "", "", again.test.file, _number(again.test.line), "", why)
        for document in self.documents:
            yield ("document", document, "", "", "", "", "", "")


def impact(before: State, after: State) -> Impact:
    """What the way from one state to another touches. Its `documents` are empty: they are for the caller to say."""
    changed = list(_item_changes(before.items, after.items))
    tests = list(_test_changes(before.tests, after.tests))
    ways = _ways(before.items, after.items, {one.item.id for one in changed})
    every = {**before.items, **after.items}
    touched = [Touched(every[name], way, by) for name, (way, by) in ways.items() if name in every]
    order = {name: index for index, name in enumerate(every)}
    touched.sort(key=lambda one: order[one.item.id])
    concerned = {one.item.id: None for one in changed} | {one.item.id: None for one in touched}
    again = _again(after.tests or {}, concerned, {one.test.id for one in tests})
    return Impact(before.name, after.name, tuple(changed), tuple(tests), tuple(touched), tuple(again))


def _item_changes(before: Mapping[str, Traced], after: Mapping[str, Traced]) -> Iterator[ItemChange]:
    for name, item in after.items():
        old = before.get(name)
        if old is None:
            yield ItemChange(item, "added")
        elif old.fingerprint != item.fingerprint:
            yield ItemChange(item, "changed", changes(old, item))
    for name, item in before.items():
        if name not in after:
            yield ItemChange(item, "removed")


def _test_changes(
    before: Mapping[str, TestState] | None, after: Mapping[str, TestState] | None
) -> Iterator[TestChange]:
    if before is None or after is None:
        return
    for name, test in after.items():
        old = before.get(name)
        if old is None:
            yield TestChange(test, "added")
        elif old.verifies != test.verifies:
            lost, new = {*old.verifies} - {*test.verifies}, {*test.verifies} - {*old.verifies}
            said = [f"no longer verifies {', '.join(sorted(lost))}"] if lost else []
            said += [f"now verifies {', '.join(sorted(new))}"] if new else []
            yield TestChange(test, "changed", "; ".join(said))
        elif old.sha256 != test.sha256:
            yield TestChange(test, "changed", "its source")
    for name, test in before.items():
        if name not in after:
            verified = f"it verified {', '.join(test.verifies)}" if test.verifies else ""
            yield TestChange(test, "removed", verified)


def _ways(
    before: Mapping[str, Traced], after: Mapping[str, Traced], changed: Collection[str]
) -> dict[str, tuple[Way, str]]:
    """The items on the two ways from the changed ones, each with the next one on its way."""
    above, below = _links(before, after)
    found: dict[str, tuple[Way, str]] = {}
    _reach(below, changed, "rests on it", found)
    _reach(above, changed, "is verified by it", found)
    return found


def _links(
    before: Mapping[str, Traced], after: Mapping[str, Traced]
) -> tuple[dict[str, Sequence[str]], dict[str, list[str]]]:
    """The links of both states: item → what it rests on, and item → what rests on it."""
    above: dict[str, Sequence[str]] = {}
    below: dict[str, list[str]] = {}
    for items in (before, after):
        for name, item in items.items():
            own = parents(item) if item.links else ()
            known = above.get(name, ())
            new = [parent for parent in own if parent not in known]
            if new:
                above[name] = [*known, *new]
            for parent in new:
                below.setdefault(parent, []).append(name)
    return above, below


def _reach(
    links: Mapping[str, Sequence[str]], start: Collection[str], way: Way, found: dict[str, tuple[Way, str]]
) -> None:
    """All that links lead to from some items, and from there on."""
    frontier, seen = list(start), set(start)
    while frontier:
        reached = []
        for name in frontier:
            for further in links.get(name, ()):
                if further not in seen:
                    seen.add(further)
                    found.setdefault(further, (way, name))
                    reached.append(further)
        frontier = reached


def _again(tests: Mapping[str, TestState], concerned: Mapping[str, None], changed: Collection[str]) -> Iterator[Again]:
    for name, test in tests.items():
        why = tuple(item for item in test.verifies if item in concerned)
        if why or name in changed:
            yield Again(test, why or ("its own change",))


def _place(item: Traced) -> dict[str, Any]:
    return {"id": item.id, "type": item.type, "title": item.title, "file": item.file, "line": item.line}


def _test(test: TestState) -> dict[str, Any]:
    return {"id": test.id, "verifies": list(test.verifies), "file": test.file, "line": test.line}


def _cells(item: Traced) -> tuple[str, str, str, str, str]:
    return item.id, item.type, item.title, item.file, _number(item.line)


def _number(line: int) -> str:
    return str(line) if line else ""


def by_what(changed: Iterable[ItemChange]) -> dict[str, int]:
    """How many items were added, removed and changed."""
    counts = {"added": 0, "removed": 0, "changed": 0}
    for one in changed:
        counts[one.what] += 1
    return counts
