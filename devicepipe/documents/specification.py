"""The software requirements specification: each requirement with its statement, where it comes from and what verifies it."""

from __future__ import annotations

from collections.abc import Iterable

from devicepipe.documents import anchors
from devicepipe.documents.cells import NONE
from devicepipe.documents.model import Block, Cell, Column, Heading, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord, requirements
from devicepipe.documents.risks import plain
from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import REQUIREMENT

_SHOWN = ("rationale", "source")
_TYPES = {
    "user-need": "User needs",
    REQUIREMENT: "Software requirements",
    "design": "Design items",
    "test": "Written tests",
    "change-request": "Change requests",
}


def topic_of(item: Item) -> str:
    """The topic of an item: its file's name in words."""
    name = item.file.rpartition("/")[2].rpartition(".")[0] or item.file
    return name.replace("-", " ").replace("_", " ").capitalize() or "Items"


def specification(record: ReleaseRecord) -> tuple[Block, ...]:
    """A table for each topic, in the order of the items."""
    topics: dict[str, list[Item]] = {}
    for item in requirements(record):
        topics.setdefault(topic_of(item), []).append(item)
    if not topics:
        return (Paragraph.plain("There is no requirement among the items."),)
    tests = tests_of(record)
    blocks: list[Block] = []
    for topic, items in topics.items():
        blocks += [Heading(2, topic), _requirements(topic, items, tests, record)]
    return tuple(blocks)


def tests_of(record: ReleaseRecord) -> dict[str, dict[str, dict[str, str]]]:
    """Requirement -> test -> board -> verdict, of the matrix."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in record.traceability.matrix:
        if row.requirement and row.test:
            found.setdefault(row.requirement, {}).setdefault(row.test, {}).update(row.verdicts)
    return found


def _requirements(
    topic: str, items: list[Item], tests: dict[str, dict[str, dict[str, str]]], record: ReleaseRecord
) -> Table:
    boards = record.source.boards
    changes = record.changes
    columns = (
        Column("Requirement", 17),
        Column("Statement", 34),
        Column("Comes from", 10),
        Column("Boards", 9),
        Column("Verified by", 30),
    )
    rows = tuple(
        (
            Cell(
                item.id,
                "\n".join(filter(None, (item.title, changes.get(item.id, "")))),
                strong=True,
                anchor=anchors.item(item.id),
            ),
            Cell(plain(item.text), details_of(item)),
            parents_cell(item),
            Cell("all" if item.boards == boards else ", ".join(item.boards)),
            tests_cell(item, tests.get(item.id, {})),
        )
        for item in items
    )
    return Table(topic, columns, rows)


def details_of(item: Item) -> str:
    """The rationale and the source of an item, a line each."""
    return "\n".join(f"{name.capitalize()}: {plain(item.fields[name])}" for name in _SHOWN if item.fields.get(name))


def parents_cell(item: Item) -> Cell:
    """The items that an item leads up to."""
    links = [one for targets in item.links.values() for one in targets]
    if not links:
        return Cell(NONE, tone=Tone.MUTED)
    return Cell(", ".join(links), links=anchors.to_items(links))


def tests_cell(item: Item, tests: dict[str, dict[str, str]]) -> Cell:
    """The tests of a requirement, with what became of them on how many boards."""
    if not tests:
        return Cell(item.record) if item.record else Cell("NO TEST", tone=Tone.WARNING)
    lines = [f"{test}: {summed(verdicts.values())}" for test, verdicts in tests.items()]
    return Cell("\n".join(lines), links=tuple((test, f"#{anchors.test_procedure(test)}") for test in tests))


def summed(verdicts: Iterable[str]) -> str:
    """Verdicts in words, e.g. "passed (4)" or "passed (3), FAILED (1)"; anything but passed stands out in capitals."""
    counts: dict[str, int] = {}
    for verdict in verdicts:
        if verdict:
            counts[verdict] = counts.get(verdict, 0) + 1
    words = [
        f"{verdict if verdict == 'passed' else verdict.replace('_', ' ').upper()} ({count})"
        for verdict, count in counts.items()
    ]
    return ", ".join(words) or "no verdict"


def other_items(record: ReleaseRecord) -> tuple[Block, ...]:
    """User needs, design items, written tests and change requests, where the product has them."""
    blocks: list[Block] = []
    for kind, title in _TYPES.items():
        items = [item for item in record.traceability.items if item.type == kind]
        if kind == REQUIREMENT or not items:
            continue
        columns = (Column("Item", 20), Column("Statement", 50), Column("Leads to", 15), Column("Where", 15))
        rows = tuple(
            (
                Cell(item.id, item.title, strong=True, anchor=anchors.item(item.id)),
                Cell(plain(item.text), details_of(item)),
                parents_cell(item),
                Cell(f"{item.file}:{item.line}"),
            )
            for item in items
        )
        blocks += [Heading(2, title), Table(title, columns, rows)]
    return tuple(blocks) or (Paragraph.plain("The product keeps no other items among its items."),)
