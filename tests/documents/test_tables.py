"""Tables as data: every table of a document as CSV and in one workbook, with types, and without power over a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.documents.csv_table import render_csv, safe_cell
from devicepipe.documents.model import Bars, Block, Cell, Column, Document, Heading, KeyValues, Running, Table, Tone
from devicepipe.documents.report import verification_report
from devicepipe.documents.tables import Sheet, number_value, render_tables, sheets_of, slug, text_value
from devicepipe.documents.visible import visible
from devicepipe.documents.workbook import render_workbook
from tests.documents import release_records as records

NASTY = [
    "=1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "=cmd|' /C calc'!A0",
    " =1",
    "＝1",  # noqa: RUF001
    "'=1",
    "-5",
    "_x0041_ and _x000D_",
    "a\nb",
    " edge ",
]


def document(*blocks: Block, banner: str = "") -> Document:
    running = Running("left & right", "r", "f", banner)
    return Document("DOC-1", "A document", "for a test", "devicepipe", "2026-03-01T12:00:05Z", "A4", running, blocks)


def table(caption: str, rows: list[tuple[str, str]], *, align: Any = "left") -> Table:
    cells = tuple((Cell(name), Cell(value)) for name, value in rows)
    return Table(caption, (Column("Name", 1), Column("Value", 1, align)), cells)


def opened(data: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(data))


def rows_of(sheet: Any) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


# --- values


@pytest.mark.parametrize(
    ("text", "number", "shape", "plain"),
    [
        ("0", "0", "0", "0"),
        ("12,345", "12345", "#,##0", "12345"),
        ("-3", "-3", "0", "-3"),
        ("135.70", "135.70", "0.00", "135.70"),
        ("1,234.5", "1234.5", "#,##0.0", "1234.5"),
        ("85.3 %", "0.853", "0.0\\ %", "85.3 %"),
        ("100 %", "1", "0\\ %", "100 %"),
        ("123456789012345", "123456789012345", "0", "123456789012345"),
    ],
)
def test_numbers_are_numbers_and_shown_as_printed(text: str, number: str, shape: str, plain: str) -> None:
    value = number_value(text)
    assert (value.text, value.number, value.format, value.plain) == (text, number, shape, plain)


@pytest.mark.parametrize(
    "text", ["007", "1234567890123456", "1,23", "12,3456", "1e5", "0x10", "NaN", "+1", "1.", "—", "", "1 of 2"]
)
def test_what_is_no_number_to_the_last_digit_stays_a_text(text: str) -> None:
    value = number_value(text)
    assert (value.text, value.number) == (text, "")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01", datetime(2026, 3, 1)),  # noqa: DTZ001 - a spreadsheet has no zones
        ("2026-11-29 23:59:59 UTC", datetime(2026, 11, 29, 23, 59, 59)),  # noqa: DTZ001
        ("1900-03-01", datetime(1900, 3, 1)),  # noqa: DTZ001
    ],
)
def test_times_are_times(text: str, time: datetime) -> None:
    data = render_workbook(document(table("Times", [("a", text)])))
    cell = opened(data)["Times"]["B2"]
    assert cell.is_date
    assert cell.value == time
    assert text_value(text).plain == text


@pytest.mark.parametrize(
    "text", ["2026-02-30", "1900-02-28", "0001-01-01", "2026-3-1", "2026-03-01 25:00:00 UTC", "12:00"]
)
def test_what_is_no_time_stays_a_text(text: str) -> None:
    assert text_value(text).number == ""


def test_only_columns_of_numbers_have_numbers() -> None:
    found = opened(render_workbook(document(table("L", [("a", "12")]), table("R", [("a", "12")], align="right"))))
    assert found["L"]["B2"].value == "12"
    assert found["R"]["B2"].value == 12


# --- sheets


def test_every_table_figure_and_list_of_facts_is_there_once_with_all_its_rows() -> None:
    report = verification_report(records.untested(records.dirty(records.green(8))))
    blocks = [block for block in report.blocks if isinstance(block, Table | Bars | KeyValues)]
    sheets = sheets_of(report)
    assert len(sheets) == len(blocks) > 30
    for sheet, block in zip(sheets, blocks, strict=True):
        assert len(sheet.rows) == len(block.rows)
        printed = [text for row in sheet.rows for value in row if (text := value.text)]
        if isinstance(block, Table):
            assert printed == [
                visible(text) for row in block.rows for cell in row for text in (cell.text, cell.detail) if text
            ]


def test_names_are_short_unique_and_do_not_change_with_what_comes_before() -> None:
    report = verification_report(records.green(4))
    stems = [sheet.stem for sheet in sheets_of(report)]
    assert len(set(stems)) == len(stems)
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", stem) and len(stem) <= 60 for stem in stems)
    assert {"identity", "traceability-matrix", "microbit-test-cases", "hazards"} <= set(stems)
    one, more = table("One", []), table("Other", [])
    assert sheets_of(document(more, one))[1].stem == sheets_of(document(one))[0].stem == "one"
    assert [sheet.stem for sheet in sheets_of(document(one, one))] == ["one", "one-2"]
    assert slug("µl ≤ °C: Žluťoučký, 漢字") == "l-c-zlutoucky"
    assert sheets_of(document(table("漢字", [])))[0].stem == "table"


def test_second_text_is_a_column_of_its_own_and_columns_have_different_names() -> None:
    rows = ((Cell("SRS-1", "Title"), Cell("1"), Cell("2")), (Cell("SRS-2"), Cell("3"), Cell("4")))
    block = Table("T", (Column("Item", 1), Column("any", 1, "right"), Column("any", 1, "right")), rows)
    sheet = sheets_of(document(block))[0]
    assert sheet.columns == ("Item", "Item: detail", "any", "any-2")
    assert [[value.text for value in row] for row in sheet.rows] == [
        ["SRS-1", "Title", "1", "2"],
        ["SRS-2", "", "3", "4"],
    ]


# --- the workbook


def test_workbook_is_readable_and_has_what_the_tables_have() -> None:
    report = verification_report(records.untested(records.dirty(records.green(8))))
    book = opened(render_workbook(report))
    sheets = sheets_of(report)
    assert len(book.sheetnames) == len(sheets) + 1
    assert all(len(name) <= 31 for name in book.sheetnames)
    assert len({name.lower() for name in book.sheetnames}) == len(book.sheetnames)
    for name, sheet in zip(book.sheetnames[1:], sheets, strict=True):
        found = rows_of(book[name])
        assert tuple(found[0]) == sheet.columns
        for cells, row in zip(found[1:], sheet.rows, strict=True):
            for cell, value in zip(cells, row, strict=True):
                if value.number and not value.format.startswith("yyyy"):
                    assert cell == pytest.approx(float(value.number))
                elif not value.number:
                    assert (cell or "") == value.text
        assert book[name].freeze_panes == "A2"
        assert book[name].auto_filter.ref
        assert all(dimension.width <= 68 for dimension in book[name].column_dimensions.values())


def test_about_leads_to_each_sheet_and_says_what_the_document_says_on_each_page() -> None:
    book = opened(render_workbook(document(table("One", [("a", "b")]), banner="NOT RELEASABLE")))
    about = book["About"]
    assert [row[0] for row in rows_of(about)] == [
        "Sheet",
        "One",
        None,
        *(["Document", "Title", "Subject", "Author"]),
        "Time of the release",
        "Note",
    ]
    assert about["A2"].hyperlink.location == "'One'!A1"
    assert "NOT RELEASABLE" in {row[1] for row in rows_of(about)}
    assert book["One"].sheet_properties.tabColor.rgb == "FF9B1C1C"
    assert "NOT RELEASABLE" in book["One"].oddHeader.center.text
    assert book.properties.title == "A document"
    assert book.properties.created == book.properties.modified == datetime(2026, 3, 1, 12, 0, 5)  # noqa: DTZ001


def parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_no_cell_is_a_formula_and_no_text_is_changed() -> None:
    book = render_workbook(document(table("T", [(text, text) for text in NASTY])))
    sheet = opened(book)["T"]
    assert [row[0].value for row in sheet.iter_rows(min_row=2)] == NASTY
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} == {"s"}
    marked = [text for text, row in zip(NASTY, sheet.iter_rows(min_row=2), strict=True) if row[0].quotePrefix]
    assert marked == [text for text in NASTY if text.lstrip().startswith(("=", "+", "-", "@", "＝")) and text != "-5"]  # noqa: RUF001
    assert not [name for name, data in parts(book).items() if b"<f>" in data or b"<f " in data]


def test_every_part_is_named_well_formed_stored_and_without_a_time() -> None:
    data = render_workbook(verification_report(records.green(4)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    found = parts(data)
    types = ET.fromstring(found["[Content_Types].xml"])
    named = {part.attrib["PartName"].lstrip("/") for part in types if "PartName" in part.attrib}
    assert named == {name for name in found if not name.endswith(".rels") and not name.startswith("[")}
    for text in found.values():
        ET.fromstring(text)


def test_the_same_bytes_each_time() -> None:
    report = verification_report(records.green(4))
    assert render_tables(report, "svr") == render_tables(report, "svr")


def test_a_text_longer_than_a_cell_is_cut_aloud_and_whole_in_the_csv() -> None:
    text = "x" * 40_000
    files = render_tables(document(table("T", [("a", text)])), "d")
    cut = opened(files["d.xlsx"])["T"]["B2"].value
    assert len(cut) == 32_767
    assert cut.endswith("[cut here: the CSV file has all of it]")
    assert text in files["tables/d/t.csv"].decode()


@pytest.mark.parametrize(
    ("caption", "name"),
    [
        ("a[b]:c*d?e/f\\g", "a b c d e f g"),
        ("'quoted'", "quoted"),
        ("History", "History (2)"),
        ("", "Table"),
        ("x" * 40, "x" * 30 + "…"),
    ],
)
def test_names_of_sheets_are_such_as_a_spreadsheet_takes(caption: str, name: str) -> None:
    assert opened(render_workbook(document(table(caption, [])))).sheetnames[1] == name


def test_a_header_is_no_longer_than_a_spreadsheet_takes() -> None:
    running = Running("l&" * 300, "r", "f", "b" * 300)
    long = Document("i" * 300, "t" * 300, "s", "a", "2026-03-01T12:00:05Z", "Letter", running, (table("T", []),))
    for name, data in parts(render_workbook(long)).items():
        if name.startswith("xl/worksheets"):
            root = ET.fromstring(data)
            for tag in ("oddHeader", "oddFooter"):
                found = root.find(f".//{{*}}{tag}")
                assert found is not None
                assert len(found.text or "") <= 255


# --- CSV


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))


def test_csv_has_every_table_and_each_row_says_of_what() -> None:
    report = verification_report(records.untested(records.dirty(records.green(8))))
    files = render_tables(report, "svr")
    sheets: dict[str, Sheet] = {f"tables/svr/{sheet.stem}.csv": sheet for sheet in sheets_of(report)}
    assert files.keys() == {"svr.xlsx", *sheets}
    for name, sheet in sheets.items():
        header, *rows = read(files[name])
        assert header == [*map(safe_cell, sheet.columns), "document", "note"]
        assert len(rows) == len(sheet.rows)
        assert all(row[-2] == report.identifier and row[-1].startswith("NOT RELEASABLE") for row in rows)


@given(st.text())
def test_an_apostrophe_at_the_beginning_is_always_ours(text: str) -> None:
    cell = read(render_csv([["id", text]]))[0][1]
    assert cell.removeprefix("'") == visible(text) or not visible(text).startswith("'")
    back = cell.removeprefix("'")
    assert back == visible(text)


@pytest.mark.parametrize("text", ["-5", "-0.25", "5", "1.5"])
def test_a_negative_number_is_no_formula(text: str) -> None:
    assert safe_cell(text) == text


def test_a_tone_is_seen_in_the_workbook() -> None:
    rows = ((Cell("FAILED", tone=Tone.BAD), Cell("x", tone=Tone.WARNING), Cell("y", strong=True)),)
    block = Table("T", (Column("a", 1), Column("b", 1), Column("c", 1)), rows)
    sheet = opened(render_workbook(document(Heading(1, "h", "3"), block)))["3 T"]
    assert sheet["A2"].fill.fgColor.rgb == "FF9B1C1C"
    assert sheet["A2"].font.color.rgb == "FFFFFFFF"
    assert sheet["B2"].font.b
    assert sheet["C2"].font.b
