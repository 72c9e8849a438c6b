"""The results of other test frameworks, as the report tells them: which files, whether they are of this commit, and every case."""

from __future__ import annotations

from collections.abc import Iterator

from devicepipe.documents.cells import NOT_APPLICABLE, verdict_cell
from devicepipe.documents.model import Block, Cell, Column, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.foreign_results import ForeignResults, shown_cases


def foreign(record: ReleaseRecord) -> tuple[Block, ...]:
    """Every set of results and every case; a sentence where there are none."""
    results = record.foreign
    if results is None:
        return (Paragraph.plain("No results of other test frameworks are evidence of this release."),)
    return (
        Paragraph.plain(
            "These tests ran on a computer, not on a device through the image that ships. They verify only requirements whose "
            "verification is host-test, and only where their results are of the released commit."
        ),
        Table(
            "Sets of results",
            (
                Column("Set", 14),
                Column("Cases", 8),
                Column("Passed", 8),
                Column("Failed", 8),
                Column("Error", 8),
                Column("Not run", 8),
                Column("Of the released commit", 26),
                Column("Made by", 20),
            ),
            tuple(_set_rows(results)),
        ),
        Table(
            "Cases",
            (Column("Test", 44), Column("Verifies", 20), Column("Host", 9), Column("Reason", 27)),
            tuple(_case_rows(record, results)),
            empty="The files hold no cases.",
        ),
    )


def _set_rows(results: ForeignResults) -> Iterator[tuple[Cell, ...]]:
    for one in results.sets:
        counts = [Cell(str(count)) for count in one.counts().values()]
        current = Cell("yes", one.why) if one.current else Cell("NO", one.why, tone=Tone.BAD)
        command = (
            Cell(" ".join(one.command), f"exit code {one.exit_code}") if one.command else Cell("found in the tree")
        )
        yield Cell(one.name, one.started_on, strong=True), Cell(str(len(one.cases))), *counts, current, command


def _case_rows(record: ReleaseRecord, results: ForeignResults) -> Iterator[tuple[Cell, ...]]:
    for shown in shown_cases(results, record.traceability.items):
        names = ", ".join(dict.fromkeys((*shown.written, *shown.verifies)))
        place = f"{shown.case.file}:{shown.case.line}"
        yield (
            Cell(shown.case.id, place),
            Cell(names) if names else NOT_APPLICABLE,
            verdict_cell(shown.verdict),
            Cell(shown.case.reason) if shown.case.reason else NOT_APPLICABLE,
        )
