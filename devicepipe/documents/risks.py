"""Hazards as they are rated without and with their risk controls, anomalies, and SOUP as it was reviewed."""

from __future__ import annotations

from devicepipe.documents import anchors
from devicepipe.documents.cells import NONE
from devicepipe.documents.model import Cell, Column, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import ANOMALY, HAZARD, OPEN, SOUP


def open_anomalies(record: ReleaseRecord) -> Table:
    """Known problems that are part of this release."""
    return _anomalies(
        "Open anomalies", _of_status(record, still_open=True), "There is no open anomaly among the items."
    )


def resolved_anomalies(record: ReleaseRecord) -> Table:
    """Known problems that are resolved."""
    return _anomalies(
        "Resolved anomalies", _of_status(record, still_open=False), "There is no resolved anomaly among the items."
    )


def _of_status(record: ReleaseRecord, *, still_open: bool) -> list[Item]:
    anomalies = [item for item in record.traceability.items if item.type == ANOMALY]
    return [item for item in anomalies if (item.fields.get("status") == OPEN) is still_open]


def hazards(record: ReleaseRecord) -> Table:
    """Hazards as they are rated without and with the measures that control their risk."""
    items = record.traceability.items
    controls: dict[str, list[Item]] = {}
    for item in items:
        for hazard in item.links.get("mitigates", ()):
            controls.setdefault(hazard, []).append(item)
    rows = tuple(
        (
            Cell(item.id, item.title, strong=True, anchor=anchors.item(item.id)),
            Cell(plain(item.text), item.fields.get("category", "")),
            _rating(item, "severity"),
            _rating(item, "probability"),
            Cell(
                "\n".join(f"{control.id} {control.title}" for control in controls.get(item.id, ())),
                links=anchors.to_items(control.id for control in controls.get(item.id, ())),
            )
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
    return Table("Hazards", columns, rows, empty="There is no hazard among the items.")


def _rating(item: Item, key: str) -> Cell:
    rating = item.fields.get(key, "")
    return Cell(rating) if rating else Cell("not rated", tone=Tone.WARNING)


def _anomalies(caption: str, anomalies: list[Item], empty: str) -> Table:
    rows = tuple(
        (
            Cell(item.id, item.title, strong=True, anchor=anchors.item(item.id)),
            Cell(
                plain(item.text),
                f"affects {', '.join(item.links.get('affects', ())) or NONE}",
                links=anchors.to_items(item.links.get("affects", ())),
            ),
            *(
                Cell(plain(item.fields.get(key, "")) or "not stated")
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
    return Table(caption, columns, rows, empty=empty)


def soup_table(record: ReleaseRecord) -> Table:
    """SOUP as reviewed: what is asked of it, its names, and when its list of known anomalies was read (IEC 62304 5.3.3, 7.1.3)."""
    rows = tuple(
        (
            Cell(item.id, item.title, strong=True, anchor=anchors.item(item.id)),
            Cell(item.fields.get("version", NONE), item.fields.get("supplier", "")),
            Cell(item.fields.get("licence", NONE)),
            Cell(
                "\n".join(filter(None, (item.fields.get("purl"), item.fields.get("cpe")))) or NONE,
                item.fields.get("sha256") or item.fields.get("origin", ""),
            ),
            Cell(
                plain(item.text),
                f"rests on it: {', '.join(item.links.get('requirements', ())) or NONE}",
                links=anchors.to_items(item.links.get("requirements", ())),
            ),
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


def plain(text: str) -> str:
    """A statement's paragraphs, each in one line, without Markdown's marks of names."""
    return "\n".join(" ".join(part.split()) for part in text.replace("`", "").split("\n\n"))
