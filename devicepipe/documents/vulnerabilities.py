"""Known vulnerabilities of what is linked in: the snapshot that was asked, a verdict for each component, what it rests on."""

from __future__ import annotations

from collections.abc import Iterator

from devicepipe.documents.cells import MISSING, NONE
from devicepipe.documents.model import Block, Bullets, Cell, Column, KeyValues, Paragraph, Run, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.vulnerabilities import Assessment, ComponentVerdict, Match, age_in_days

_VERDICTS = {
    "affected": Cell("AFFECTED", tone=Tone.BAD),
    "not_affected": Cell("✓ not affected", tone=Tone.GOOD),
    "fixed": Cell("✓ fixed", tone=Tone.GOOD),
    "no_data": Cell("NO DATA", tone=Tone.WARNING),
}
_STATUSES = {"affected": "affected", "not_affected": "not affected", "fixed": "fixed"}


def vulnerabilities(record: ReleaseRecord) -> tuple[Block, ...]:
    """The snapshot, every component's verdict, and the VEX statements."""
    wish, told = record.source.vulnerabilities, record.vulnerabilities
    if wish is None:
        return (Paragraph.plain("The product asks for no check of its components against known vulnerabilities."),)
    if told is None:
        return (KeyValues("Known vulnerabilities", (("Check", MISSING),)),)
    return (_snapshot(told, record.source.started_on), _components(told), _statements(told), *_unused(told))


def _snapshot(told: Assessment, moment: str) -> KeyValues:
    snapshot, age = told.snapshot, age_in_days(told.snapshot.date, moment)
    stale = age > told.max_age
    days = Cell(
        f"{age} days, {'STALE: ' if stale else ''}{told.max_age} are allowed", tone=Tone.BAD if stale else Tone.PLAIN
    )
    return KeyValues(
        "Snapshot of vulnerability records",
        (
            ("What it is", Cell(snapshot.description, f"{snapshot.format}, {snapshot.records:,} records")),
            ("Day", Cell(snapshot.date, f"newest record of {snapshot.newest_record[:10]}")),
            ("Known exploited (KEV)", Cell("in the snapshot" if snapshot.knows_exploited else "NOT in the snapshot")),
            ("Age at the release", days),
            ("SHA-256", Cell(snapshot.sha256, "over the ids and SHA-256 of all records")),
            (
                "Components without data",
                Cell({"refuse": "are refused", "accept": "are accepted"}.get(told.no_data, _REVIEWED)),
            ),
        ),
    )


_REVIEWED = "are accepted where a SOUP item says that its list of anomalies was reviewed"


def _components(told: Assessment) -> Table:
    columns = (
        Column("Component", 22),
        Column("Boards", 16),
        Column("Verdict", 12),
        Column("Record", 17),
        Column("Means", 10),
        Column("Why", 31),
    )
    rows = tuple(row for component in told.components for row in _rows(component))
    return Table(
        "Components and known vulnerabilities", columns, rows, group_columns=3, empty="No component is linked in."
    )


def _rows(component: ComponentVerdict) -> Iterator[tuple[Cell, ...]]:
    head = (
        Cell(f"{component.name} {component.version}", component.purl or component.cpe, strong=True),
        Cell(", ".join(component.boards)),
        _VERDICTS[component.verdict],
    )
    if not component.matches:
        yield (*head, Cell(NONE), Cell(NONE), Cell("no record of the snapshot names it"))
    for match in component.matches:
        yield (*head, *_match(match))


def _match(match: Match) -> tuple[Cell, ...]:
    by = (
        f"VEX {match.statement}: {(match.justification or '').replace('_', ' ')}".rstrip(": ")
        if match.by == "vex"
        else ""
    )
    exploited = f"KNOWN TO BE EXPLOITED since {match.exploited.since}" if match.exploited else ""
    severity = "; ".join(f"{one.method} {one.score}" for one in match.severity)
    return (
        Cell(match.id, "\n".join(filter(None, [", ".join(match.aliases), severity, exploited]))),
        Cell(_STATUSES[match.status], tone=Tone.BAD if match.status == "affected" else Tone.PLAIN),
        Cell(match.reason, by),
    )


def _statements(told: Assessment) -> Table:
    rows = tuple((Cell(one.file, one.id, strong=True), Cell(one.author), Cell(str(one.statements))) for one in told.vex)
    columns = (Column("Document", 60), Column("Author", 30), Column("Statements", 10, "right"))
    return Table("Documents of VEX statements", columns, rows, empty="The product makes no VEX statement.")


def _unused(told: Assessment) -> tuple[Block, ...]:
    if not told.unused:
        return ()
    return (
        Paragraph.plain("Statements that concern no component that is linked in, or no record that affects one:"),
        Bullets(tuple((Run(sentence),) for sentence in told.unused)),
    )
