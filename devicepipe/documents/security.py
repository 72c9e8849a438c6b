"""Cybersecurity testing: controls by category with their tests, robustness, checks of the program, and what the rules decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from devicepipe.documents import anchors
from devicepipe.documents.cells import NONE, NOT_APPLICABLE, yes_no
from devicepipe.documents.details import decision_row, decision_table
from devicepipe.documents.model import Block, Cell, Column, Paragraph, Table, Tone
from devicepipe.documents.record import PASSED, ReleaseRecord, requirements
from devicepipe.documents.specification import summed, tests_of
from devicepipe.evidence.decisions import Decision
from devicepipe.evidence.words import CONTROL_CATEGORIES, SECURITY_CONTROL

_CLAUSES: Final = ("cybersecurity", "81001-5-1", "524B")


def controls(record: ReleaseRecord) -> tuple[Block, ...]:
    """For each category the requirements that are part of it, and what their tests came to."""
    tests = tests_of(record)
    rows: list[tuple[Cell, ...]] = []
    for category in CONTROL_CATEGORIES:
        name = Cell(category.capitalize(), strong=True)
        found = [
            item for item in requirements(record) if category in _categories(item.fields.get(SECURITY_CONTROL, ""))
        ]
        if not found:
            rows.append((name, Cell("NO REQUIREMENT", tone=Tone.WARNING), NOT_APPLICABLE))
        for item in found:
            verdicts = [verdict for one in tests.get(item.id, {}).values() for verdict in one.values()]
            bad = any(verdict not in ("", "passed") for verdict in verdicts) or not any(verdicts)
            rows.append(
                (
                    name,
                    Cell(item.id, item.title, links=anchors.to_items([item.id])),
                    Cell(summed(verdicts), tone=Tone.WARNING if bad else Tone.PLAIN),
                )
            )
    told = (
        f"A requirement says with the field {SECURITY_CONTROL} which categories of controls it is part of "
        "(several are parted by commas)."
    )
    columns = (Column("Category", 20), Column("Requirement", 50), Column("Verdicts of its tests, all boards", 30))
    return (
        Paragraph.plain(told),
        Table("Security controls", columns, tuple(rows), group_columns=1, row_header=1),
    )


def shown_categories(record: ReleaseRecord) -> dict[str, bool]:
    """Category -> whether a requirement that is part of it has tests, and nothing but passed ones."""
    tests = tests_of(record)
    held = dict.fromkeys(CONTROL_CATEGORIES, False)
    for item in requirements(record):
        verdicts = [verdict for one in tests.get(item.id, {}).values() for verdict in one.values() if verdict]
        if verdicts and all(verdict == PASSED for verdict in verdicts):
            held |= {name: True for name in _categories(item.fields.get(SECURITY_CONTROL, "")) if name in held}
    return held


def _categories(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",")]


def program_checks(record: ReleaseRecord) -> Table:
    """The checks of the linked programs, one row each, over the boards."""
    boards = record.source.boards
    names = dict.fromkeys(check.name for analysis in record.analyses for check in analysis.checks)
    rows = []
    for name in names:
        cells = []
        for board in boards:
            analysis = record.analysis(board)
            check = next((one for one in analysis.checks if one.name == name), None) if analysis else None
            cells.append(
                Cell(NONE, tone=Tone.MUTED)
                if check is None or check.not_applicable
                else yes_no(check.passed, yes="✓ holds", no="FAILS")
            )
        rows.append((Cell(name, strong=True), *cells))
    columns = (Column("Check of the linked program", 40), *(Column(board, 15) for board in boards))
    return Table("Hardening of the programs", columns, tuple(rows), empty="The evidence holds no check of a program.")


def security_decisions(record: ReleaseRecord) -> Table:
    """What the rules for security decided."""
    return decisions_where(record, lambda decision: any(word in decision.clause for word in _CLAUSES))


def decisions_where(record: ReleaseRecord, wanted: Callable[[Decision], bool]) -> Table:
    """The gate's decisions that are wanted."""
    return decision_table(decision_row(one) for one in record.decisions.decisions if wanted(one))
