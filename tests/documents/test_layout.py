"""Pages are whole: nothing outside of the margins, no text over another one, no heading alone at a page's end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devicepipe.documents.layout import lay_out
from devicepipe.documents.model import Cell, Column, Figure, Heading, Label, Paragraph, Table
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.release import compose_document, compose_documents
from devicepipe.evidence.results import Verdict
from tests.documents import release_records as records
from tests.documents.layout_checks import faults
from tests.documents.test_pdf import document

RECORDS = {
    "green": records.green(30),
    "bare": records.bare(),
    "failed": records.with_verdict(
        records.untested(records.green(12)), Verdict.FAILED, "it said " + "nothing at all " * 30
    ),
    "letter": replace(records.dirty(records.green(8)), paper="Letter"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_every_page_of_every_document_is_whole(name: str) -> None:
    assert [fault for one in compose_documents(RECORDS[name]) for fault in faults(one)] == []


def test_long_names_wrap_and_stay_in_their_cells() -> None:
    record = records.green(6)
    longest = "hil/" + "test_of_something_with_a_very_long_name_" * 6 + ".py::test_case[" + "parameter-" * 12 + "]"
    run = record.runs[0]
    cases = [run.cases[0].model_copy(update={"id": longest, "procedure_file": longest}), *run.cases[1:]]
    rows = [record.traceability.matrix[0].model_copy(update={"test": longest}), *record.traceability.matrix[1:]]
    changed: ReleaseRecord = replace(
        record,
        runs=(run.model_copy(update={"cases": cases}), *record.runs[1:]),
        traceability=record.traceability.model_copy(update={"matrix": rows}),
    )
    for name in ("software-test-report", "traceability-matrix", "software-requirements-specification"):
        assert faults(compose_document(changed, name)) == []


@pytest.mark.parametrize("filled", range(30, 60))
def test_a_heading_goes_to_the_next_page_with_what_follows_it(filled: int) -> None:
    """However full the page is, heading and table, or heading and figure, are not parted."""
    lines = tuple(Paragraph.plain(f"line {n}") for n in range(filled))
    table = Table("", (Column("a", 1), Column("b", 1)), tuple((Cell(f"{n}\n\n\n"), Cell("x")) for n in range(20)))
    figure = Figure("f", 400, 150, (Label(10, 10, "in it"),), "a figure")
    made = document(
        *lines, Heading(1, "First", "1"), Heading(2, "Second", "1.1"), table, Heading(2, "Third", "1.2"), figure
    )
    assert faults(made) == []


def test_the_last_row_of_a_table_is_not_left_alone() -> None:
    for rows in range(40, 60):
        table = Table("", (Column("a", 1),), tuple((Cell(f"row {n}"),) for n in range(rows)))
        pages = [
            [text for *_, text in page.texts if text.startswith("row ")] for page in lay_out(document(table)).pages
        ]
        assert all(len(page) != 1 for page in pages)
        assert sum(map(len, pages)) == rows


def test_the_checks_see_what_they_look_for() -> None:
    over = Figure("f", 400, 100, (Label(10, 20, "one text"), Label(14, 21, "another")), "")
    out = Figure(
        "f", 400, 100, (Label(480, 20, "a text that runs out of the page, far to the right of it, indeed"),), ""
    )
    assert any("overlap" in fault for fault in faults(document(over)))
    assert any("outside" in fault for fault in faults(document(replace(out, width=499.0))))
