"""Every table of a document as data: numbers as numbers, times as times, each text whole, in one form for CSV and for workbooks.

What always holds: a value shows what the document prints. A text becomes a number only in a column of numbers (right-aligned), so
an id such as 007 stays a text; a time only if it is written in full (ISO 8601). A cell's second, quieter text is a column of
its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from devicepipe.documents.model import Bars, Cell, Document, Heading, KeyValues, Table, Tone
from devicepipe.documents.visible import visible

_NUMBER: Final = re.compile(r"(-?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?( %)?")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
_DAY_ZERO: Final = datetime(1899, 12, 30, tzinfo=UTC)  # of spreadsheets, right from March 1900 on
_FIRST_DAY: Final = datetime(1900, 3, 1, tzinfo=UTC)
_DIGITS: Final = 15  # a spreadsheet keeps no more of a number
_STEM_LENGTH: Final = 56


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a table.

    Attributes:
        text: As the document prints it.
        number: As a spreadsheet stores it, an exact decimal; empty for a text.
        format: The number format under which that number is shown as the text.
        tone: How it stands out.
        strong: Whether it is emphasised.
    """

    text: str
    number: str = ""
    format: str = ""
    tone: Tone = Tone.PLAIN
    strong: bool = False

    @property
    def plain(self) -> str:
        """As a program reads it from a CSV file: numbers without separators, times and texts as printed."""
        return self.number if self.number and self.format.strip("#,0.") == "" else self.text


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as data.

    Attributes:
        stem: Its name in files: short, of ASCII letters, digits and "-", unique in the document.
        section: The number of the section that it stands in, empty where there is none.
        title: What it shows: the caption, or the heading above it.
        columns: The names of its columns, unique.
        rows: Its rows, each with as many values as there are columns.
    """

    stem: str
    section: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


def sheets_of(document: Document) -> tuple[Sheet, ...]:
    """All tables, figures of bars and lists of facts of a document, in their order; those without rows as well."""
    sheets: list[Sheet] = []
    taken: set[str] = set()
    heading = Heading(1, "")
    for block in document.blocks:
        if isinstance(block, Heading):
            heading = block
        elif isinstance(block, Table | Bars | KeyValues):
            title = block.caption or heading.text or "Table"
            stem = _unique(_stem(title, heading), taken)
            columns, rows = _data(block)
            sheets.append(Sheet(stem, heading.number, title, _unique_names(columns), rows))
    return tuple(sheets)


def slug(text: str) -> str:
    """A text as a name of files: ASCII letters in lower case, digits and "-"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _stem(title: str, heading: Heading) -> str:
    """By the caption; under a heading of a lower level (a board, say) by that as well."""
    stem = slug(title) or "table"
    above = slug(heading.text) if heading.level > 1 else ""
    if above and not stem.startswith(above):
        stem = f"{above}-{stem}"
    if len(stem) > _STEM_LENGTH:
        stem = stem[:_STEM_LENGTH].rpartition("-")[0] or stem[:_STEM_LENGTH]
    return stem


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found.lower() in taken:
        found, number = f"{name}-{number}", number + 1
    taken.add(found.lower())
    return found


def _unique_names(names: list[str]) -> tuple[str, ...]:
    taken: set[str] = set()
    return tuple(_unique(name, taken) for name in names)


_Rows = tuple[tuple[Value, ...], ...]


def _data(block: Table | Bars | KeyValues) -> tuple[list[str], _Rows]:
    match block:
        case Table():
            return _table(block)
        case Bars(parts=parts):
            return (
                ["Row", *parts, f"All, {block.unit}"],
                tuple(
                    (text_value(label), *(number_value(str(count)) for count in counts), number_value(str(sum(counts))))
                    for label, counts in block.rows
                ),
            )
        case KeyValues(rows=facts):
            details = any(cell.detail for _, cell in facts)
            return (
                ["Name", "Value", *(["Value: detail"] if details else [])],
                tuple(
                    (text_value(name), _value(cell, numeric=False), *([text_value(cell.detail)] if details else []))
                    for name, cell in facts
                ),
            )


def _table(table: Table) -> tuple[list[str], _Rows]:
    detailed = [any(row[at].detail for row in table.rows) for at in range(len(table.columns))]
    names: list[str] = []
    for column, more in zip(table.columns, detailed, strict=True):
        title = " ".join(visible(column.title).split())
        names += [title, f"{title}: detail"] if more else [title]
    # A matrix repeats its cells: each is read once.
    known: list[dict[Cell, tuple[Value, ...]]] = [{} for _ in table.columns]
    rows = []
    for row in table.rows:
        values: list[Value] = []
        for cell, seen, column, more in zip(row, known, table.columns, detailed, strict=True):
            read = seen.get(cell)
            if read is None:
                first = _value(cell, numeric=column.align == "right")
                read = seen[cell] = (first, text_value(cell.detail)) if more else (first,)
            values += read
        rows.append(tuple(values))
    return names, tuple(rows)


def _value(cell: Cell, *, numeric: bool) -> Value:
    value = number_value(cell.text) if numeric else text_value(cell.text)
    if cell.tone is Tone.PLAIN and not cell.strong:
        return value
    return Value(value.text, value.number, value.format, cell.tone, cell.strong)


def text_value(text: str) -> Value:
    """A text, or a date or time that is written in full."""
    shown = visible(text)
    time = _time(shown)
    if time is None:
        return Value(shown)
    days = Decimal(int((time - _DAY_ZERO).total_seconds())) / 86400
    number = f"{round(days, 10).normalize():f}"
    return Value(shown, number, "yyyy-mm-dd" if _DATE.fullmatch(shown) else 'yyyy-mm-dd hh:mm:ss" UTC"')


def _time(text: str) -> datetime | None:
    try:
        if _DATE.fullmatch(text):
            time = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        elif _TIME.fullmatch(text):
            time = datetime.strptime(text, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
        else:
            return None
    except ValueError:
        return None
    return time if time >= _FIRST_DAY else None


def number_value(text: str) -> Value:
    """A number with the format that shows it as it is printed, or what `text_value` makes of it."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text_value(text)
    sign, whole, fraction, percent = match.groups(default="")
    digits = whole.replace(",", "")
    if len((digits + fraction).strip(".")) > _DIGITS or (len(digits) > 1 and digits.startswith("0")):
        return text_value(text)
    places = f".{'0' * (len(fraction) - 1)}" if fraction else ""
    shape = ("#,##0" if "," in whole else "0") + places + ("\\ %" if percent else "")
    number = Decimal(f"{sign}{digits}{fraction}")
    if percent:
        number /= 100
    return Value(text, f"{number:f}", shape)


def rows_of(sheet: Sheet, document: Document) -> Iterator[list[str]]:
    """A table's rows as CSV has them, the header first: each says of what document it is, and what that says on every page."""
    yield [*sheet.columns, "document", "note"]
    for row in sheet.rows:
        yield [*(value.plain for value in row), document.identifier, document.running.banner]


def render_tables(document: Document, name: str) -> dict[str, bytes]:
    """All tables of a document by file name: one workbook, and a CSV file each in a folder of the document's name."""
    from devicepipe.documents.csv_table import render_csv
    from devicepipe.documents.workbook import render_workbook

    sheets = sheets_of(document)
    files = {f"{name}.xlsx": render_workbook(document, sheets)}
    files |= {f"tables/{name}/{sheet.stem}.csv": render_csv(rows_of(sheet, document)) for sheet in sheets}
    return files
