"""Fault injection: the campaigns of each board, what became of their points as a figure, and the points that broke a promise."""

from __future__ import annotations

from devicepipe.documents.cells import MISSING
from devicepipe.documents.model import Bars, Block, Cell, Column, Heading, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.campaigns import CampaignResult
from devicepipe.evidence.predicates import CampaignKind, CampaignWish

NAMES: dict[CampaignKind, str] = {
    "powercut": "Power cuts",
    "bitflip": "Bits flipped in flash",
    "fuzz": "Inputs that nobody meant",
}
_BROKEN = "a promise was broken"


def campaigns(record: ReleaseRecord, number: str) -> tuple[Block, ...]:
    """For each campaign that the product asks for: a table over the boards, a figure over all of them, and what failed."""
    if not record.source.wishes:
        return (Paragraph.plain("The product asks for no campaign."),)
    blocks: list[Block] = []
    for index, wish in enumerate(record.source.wishes, start=1):
        results = [
            found
            for board in record.source.boards
            if (told := record.campaign(board)) is not None and (found := told.result(wish.kind)) is not None
        ]
        blocks += [
            Heading(2, NAMES[wish.kind], f"{number}.{index}"),
            campaign_table(record, wish),
            campaign_figure(wish.kind, results),
        ]
        blocks += [_failures(results)] if any(result.failures for result in results) else []
    return tuple(blocks)


def campaign_table(record: ReleaseRecord, wish: CampaignWish) -> Table:
    """One row for each board."""
    columns = (
        Column("Board", 15),
        Column("Points", 16, "right"),
        Column("Seed", 8, "right"),
        Column("With the application", 13, "right"),
        Column("Boots", 10, "right"),
        Column("Result", 38),
    )
    rows = tuple(_row(record, board, wish) for board in record.source.boards)
    return Table(f"{NAMES[wish.kind]}: campaigns", columns, rows)


def _row(record: ReleaseRecord, board: str, wish: CampaignWish) -> tuple[Cell, ...]:
    name, told = Cell(board, strong=True), record.campaign(board)
    result = told.result(wish.kind) if told else None
    if told is None or result is None:
        reason = next((failed.message for failed in told.unprepared if failed.kind == wish.kind), "") if told else ""
        return (name, *[MISSING] * 4, Cell("not run", reason, tone=Tone.BAD))
    possible = "" if result.points_possible is None else f"of {result.points_possible:,} that there are"
    broken = len(result.failures)
    held = Cell("every promise was kept", tone=Tone.GOOD)
    return (
        name,
        Cell(f"{result.points:,}", possible),
        Cell(str(result.seed)),
        Cell(f"{result.deep:,}"),
        Cell(f"{result.boots:,}"),
        Cell(f"promises were broken at {broken:,} point{'s' if broken > 1 else ''}", tone=Tone.BAD) if broken else held,
    )


def campaign_figure(kind: CampaignKind, results: list[CampaignResult]) -> Bars:
    """What became of the points of each phase or target, over all boards."""
    groups: dict[str, dict[str, int]] = {}
    for result in results:
        for group in result.groups:
            counts = groups.setdefault(group.name, {})
            for what, count in group.outcomes.items():
                counts[what] = counts.get(what, 0) + count
            if bad := group.points - sum(group.outcomes.values()):
                counts[_BROKEN] = counts.get(_BROKEN, 0) + bad
    seen = dict.fromkeys(what for counts in groups.values() for what in counts if what != _BROKEN)
    parts = (*seen, _BROKEN)
    return Bars(
        f"{NAMES[kind]}: what became of the device, all boards together",
        parts,
        tuple((name, tuple(counts.get(part, 0) for part in parts)) for name, counts in groups.items()),
        unit="points",
        bad=frozenset({_BROKEN}),
    )


def _failures(results: list[CampaignResult]) -> Table:
    columns = (Column("Board", 12), Column("Point", 13), Column("What happened", 45), Column("To try it again", 30))
    rows = tuple(
        (
            Cell(result.board, strong=True),
            Cell(failure.point, tone=Tone.BAD),
            Cell(failure.message),
            Cell(result.again(failure)),
        )
        for result in results
        for failure in result.failures
    )
    return Table("Points at which a promise was broken", columns, rows, group_columns=1, row_header=1)
