"""Hazards as they are rated without and with their risk controls, anomalies, and SOUP as it was reviewed."""

from __future__ import annotations

from devicepipe.documents.cells import NONE
from devicepipe.documents.model import Block, Cell, Column, Heading, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.predicates import ANOMALY, HAZARD, OPEN, SOUP, Item


def risks(record: ReleaseRecord, number: str) -> tuple[Block, ...]:
    """Hazards, open anomalies, resolved anomalies."""
    anomalies = [item for item in record.traceability.items if item.type == ANOMALY]
    still_open = [item for item in anomalies if item.fields.get("status") == OPEN]
    resolved = [item for item in anomalies if item.fields.get("status") != OPEN]
    return (
        Heading(2, "Hazards", f"{number}.1"),
        _hazards(record),
        Heading(2, "Open anomalies", f"{number}.2"),
        _anomalies(still_open, "There is no open anomaly among the items."),
        *(
            (Heading(2, "Resolved anomalies", f"{number}.3"), _anomalies(resolved, "There is none."))
            if resolved
            else ()
        ),
    )


def _hazards(record: ReleaseRecord) -> Table:
    items = record.traceability.items
    controls: dict[str, list[Item]] = {}
    for item in items:
        for hazard in item.links.get("mitigates", ()):
            controls.setdefault(hazard, []).append(item)
    rows = tuple(
        (
            Cell(item.id, item.title, strong=True),
            Cell(_text(item.text), item.fields.get("category", "")),
            _rating(item, "severity"),
            _rating(item, "probability"),
            Cell("\n".join(f"{control.id} {control.title}" for control in controls.get(item.id, ())))
            if item.id in controls
            else Cell("none", tone=Tone.WARNING),
            _rating(item, "severity-after"),
            _rating(item, "probability-after"),
        )
        for item in items
        if item.type == HAZARD
    )
    columns = (
        Column("Hazard", 18),
        Column("What happens", 26),
        Column("Severity without", 10),
        Column("Probability without", 10),
        Column("Risk controls", 20),
        Column("Severity with", 10),
        Column("Probability with", 10),
    )
    return Table("", columns, rows, empty="There is no hazard among the items.")


def _rating(item: Item, key: str) -> Cell:
    rating = item.fields.get(key, "")
    return Cell(rating) if rating else Cell("not rated", tone=Tone.WARNING)


def _anomalies(anomalies: list[Item], empty: str) -> Table:
    rows = tuple(
        (
            Cell(item.id, item.title, strong=True),
            Cell(_text(item.text), f"affects {', '.join(item.links.get('affects', ())) or NONE}"),
            *(
                Cell(_text(item.fields.get(key, "")) or "not stated")
                for key in ("found-by", "cause", "impact", "rationale")
            ),
        )
        for item in anomalies
    )
    columns = (
        Column("Anomaly", 15),
        Column("Description", 22),
        Column("Found by", 12),
        Column("Cause", 17),
        Column("Impact", 17),
        Column("Rationale", 17),
    )
    return Table("", columns, rows, empty=empty)


def soup_table(record: ReleaseRecord) -> Table:
    """SOUP as reviewed: what is asked of it, its names, and when its list of known anomalies was read (IEC 62304 5.3.3, 7.1.3)."""
    rows = tuple(
        (
            Cell(item.id, item.title, strong=True),
            Cell(item.fields.get("version", NONE), item.fields.get("supplier", "")),
            Cell(item.fields.get("licence", NONE)),
            Cell(
                "\n".join(filter(None, (item.fields.get("purl"), item.fields.get("cpe")))) or NONE,
                item.fields.get("sha256") or item.fields.get("origin", ""),
            ),
            Cell(_text(item.text), f"rests on it: {', '.join(item.links.get('requirements', ())) or NONE}"),
            Cell(item.fields.get("anomalies-reviewed", NONE), item.fields.get("anomaly-list", "")),
        )
        for item in record.traceability.items
        if item.type == SOUP
    )
    columns = (
        Column("SOUP item", 15),
        Column("Version, supplier", 13),
        Column("Licence", 11),
        Column("Package URL, CPE, SHA-256 or origin", 24),
        Column("What is asked of it", 24),
        Column("Known anomalies reviewed", 13),
    )
    return Table("SOUP items as reviewed", columns, rows, empty="There is no SOUP item among the items.")


def _text(text: str) -> str:
    """A statement's paragraphs, each in one line, without Markdown's marks of names."""
    return "\n".join(" ".join(part.split()) for part in text.replace("`", "").split("\n\n"))
