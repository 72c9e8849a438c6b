"""What CSV and Excel share: one row an item, a column for each link and field that any item has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from devicepipe.evidence.trace import Item
from devicepipe.traceability.exporters.exporter import fields_of


def table_of(items: Sequence[Item]) -> Iterator[list[str]]:
    """The heading row, then the items."""
    links = sorted({kind for item in items for kind in item.links})
    fields = sorted({key for item in items for key in fields_of(item)})
    yield ["id", "type", "title", "text", *links, *fields]
    for item in items:
        own = fields_of(item)
        yield [
            item.id,
            item.type,
            item.title,
            item.text,
            *(", ".join(item.links.get(kind, ())) for kind in links),
            *(own.get(key, "") for key in fields),
        ]
