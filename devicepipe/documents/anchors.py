"""The names by which cells of a document set lead to each other: items, tests, results of tests on a board, files of the bundle."""

from __future__ import annotations

from collections.abc import Iterable


def item(identifier: str) -> str:
    """Where an item is told of in full."""
    return f"item-{identifier}"


def mention(identifier: str) -> str:
    """Where an item is mentioned, in a document that does not tell of it in full."""
    return f"mention-{identifier}"


def mention_of(anchor: str) -> str:
    """The mention of the item of an anchor, "" where it is that of no item."""
    return mention(anchor.removeprefix("item-")) if anchor.startswith("item-") else ""


def test_procedure(identifier: str) -> str:
    """Where a test's procedure and expected result stand."""
    return f"test-{identifier}"


def result(board: str, identifier: str) -> str:
    """Where the result of a test on a board stands."""
    return f"result-{board}-{identifier}"


def file(name: str) -> str:
    """Where a file of the bundle stands with its digest."""
    return f"file-{name}"


def to_items(identifiers: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Links of a cell that names items."""
    return tuple((one, f"#{item(one)}") for one in identifiers)
