"""The CSV: RFC 4180, every cell filled, and without power over a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.documents.csv_table import render_csv, safe_cell
from devicepipe.documents.matrix import matrix_csv
from devicepipe.documents.visible import visible
from tests.documents import release_records as records


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))


def test_matrix_has_every_row_with_every_cell() -> None:
    record = records.green(500)
    read = rows(matrix_csv(record))
    assert len(read) == len(record.traceability.matrix)
    for line, row in zip(read, record.traceability.matrix, strict=True):
        assert (line["hazard"], line["risk control"], line["requirement"], line["test"]) == (
            row.hazard,
            row.risk_control,
            row.requirement,
            row.test,
        )
        assert line["verdict microbit"] == row.verdicts["microbit"]
        assert line["commit"] == records.COMMIT
        assert line["status"] == "RELEASABLE"


def test_not_releasable_is_said_on_every_row() -> None:
    assert {line["status"] for line in rows(matrix_csv(records.dirty(records.green())))} == {"NOT RELEASABLE"}


def test_lines_end_with_crlf_and_there_is_no_byte_order_mark() -> None:
    data = matrix_csv(records.green())
    assert data.startswith(b"hazard,")
    assert data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r\n") == 25


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "  =1",
        "\n=1",
        "\u00a0=1",
        "＝1",  # noqa: RUF001
        '=HYPERLINK("x")',
    ],
)
def test_formula_is_disarmed(text: str) -> None:
    assert safe_cell(text).startswith("'")


@pytest.mark.parametrize("text", ["SRS-001", "hil/test_x.py::test_y[a=b]", "1.5", "", "a\nb", "passed"])
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert safe_cell(text) == text


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=5))
def test_what_is_written_is_what_is_read(table: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(render_csv(table).decode("utf-8"), newline=""), strict=True))
    assert read == [[safe_cell(cell) for cell in row] for row in table]
    assert all(
        cell.removeprefix("'") == visible(text)
        for row, texts in zip(read, table, strict=True)
        for cell, text in zip(row, texts, strict=True)
    )
