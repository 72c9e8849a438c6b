"""Release notes: what a version is, for whom it is, what is new and what is known to be wrong with it."""

from __future__ import annotations

from devicepipe.documents import anchors
from devicepipe.documents.cells import MISSING, NONE
from devicepipe.documents.model import Block, Bullets, Cell, Column, Paragraph, Run, Table
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.risks import plain
from devicepipe.evidence.words import ANOMALY, OPEN


def news(record: ReleaseRecord) -> tuple[Block, ...]:
    """What is new: requirements that are new or changed, else that it is the first release."""
    history = record.history
    previous = history.previous if history else None
    if previous is None:
        return (Paragraph.plain("This is the first release that is told of: no bundle of an earlier one was given."),)
    items = {item.id: item for item in record.traceability.items}
    told = [
        (Run(f"{name}: {items[name].title} ({change})"),)
        for name, change in record.changes.items()
        if items[name].type == "requirement"
    ]
    gone = sorted(previous.items.keys() - items.keys())
    told += [(Run(f"{name}: {previous.titles.get(name, '')} (removed since {previous.version})"),) for name in gone]
    fixed = [name for name in previous.open_anomalies if name in items and items[name].fields.get("status") != OPEN]
    told += [(Run(f"{name}: {items[name].title} (resolved)"),) for name in fixed]
    if not told:
        return (Paragraph.plain(f"No requirement changed since {previous.version}."),)
    return (Bullets(tuple(told)),)


def deliverables(record: ReleaseRecord) -> Table:
    """The files that are delivered for each board, with what identifies them."""
    rows: list[tuple[Cell, ...]] = []
    digests = {entry.path: entry.sha256 for entry in record.files}
    for board in record.source.boards:
        signed, name = record.signed(board), Cell(board, strong=True)
        if signed is None:
            rows.append((name, MISSING, MISSING, MISSING))
            continue
        files = [
            (signed.factory_image, "factory image, for the production programmer"),
            (signed.image, f"signed image {signed.image_version}, for an update in the field"),
            *((data.image, f"data {data.name} {data.image_version}") for data in signed.data),
        ]
        rows += [
            (name, Cell(path, links=((path, path),)), Cell(what), Cell(digests.get(path, NONE))) for path, what in files
        ]
    columns = (Column("Board", 14), Column("File", 30), Column("What it is", 24), Column("SHA-256", 32))
    return Table("What is delivered", columns, tuple(rows), group_columns=1, row_header=1)


def known_anomalies(record: ReleaseRecord) -> Table:
    """Open anomalies with their impact, in short."""
    rows = tuple(
        (
            Cell(item.id, item.title, strong=True, links=anchors.to_items([item.id])),
            Cell(plain(item.fields.get("impact", "")) or "not stated"),
        )
        for item in record.traceability.items
        if item.type == ANOMALY and item.fields.get("status") == OPEN
    )
    columns = (Column("Anomaly", 40), Column("Impact", 60))
    return Table("Known anomalies", columns, rows, empty="There is no open anomaly among the items.")
