"""Excel workbooks (.xlsx): the first sheet, or the one that the options name; its first row with text names the columns."""

from __future__ import annotations

import datetime as dt
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from devicepipe.errors import UsageError
from devicepipe.evidence.safe_xml import parse_xml
from devicepipe.traceability.foreign_files import open_archive, read_member
from devicepipe.traceability.importers.importer import Imported, Importer
from devicepipe.traceability.importers.table import Columns, take_rows
from devicepipe.traceability.loss import Loss

_MAXIMUM_CELLS = 5_000_000


class XlsxImporter(Importer):
    """A sheet with a heading row. Formulas are told; pictures, comments and formats are not looked at."""

    suffixes = (".xlsx",)

    class Config(Columns):
        """Columns, and the sheet: its name, or the first one."""

        sheet: str = ""

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read workbooks; a row is an item."""
        config = self.config if isinstance(self.config, self.Config) else self.Config()
        found = Imported()
        for path in self.files(paths):
            self._workbook(path, config, found)
            found.files.append(path)
        return found

    def _workbook(self, path: Path, config: Config, found: Imported) -> None:
        import openpyxl

        with open_archive(path) as archive:
            for member in archive.namelist():
                if member.endswith((".xml", ".rels", ".vml")):
                    parse_xml(read_member(archive, member, path), path)  # openpyxl is not asked to be careful
        data = path.read_bytes()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about formats and extensions that are not looked at
                book = openpyxl.load_workbook(io.BytesIO(data), read_only=False, keep_links=False, keep_vba=False)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, zipfile.BadZipFile) as error:
            raise UsageError(f"is no readable Excel workbook: {type(error).__name__}: {error}", file=path) from error
        name = config.sheet or (book.sheetnames[0] if book.sheetnames else "")
        if name not in book.sheetnames:
            known = ", ".join(book.sheetnames)
            raise UsageError(f"has no sheet '{name}'", file=path, remedy=f"its sheets: {known}")
        sheet = book[name]
        if not hasattr(sheet, "iter_rows"):
            raise UsageError(f"its sheet '{name}' is a chart", file=path)
        for other in book.sheetnames:
            if other != name and _has_text(book[other]):
                found.losses.append(Loss(path, 0, "", f"the sheet '{other}': left out"))
        if (sheet.max_row or 0) * (sheet.max_column or 0) > _MAXIMUM_CELLS:
            raise UsageError(f"its sheet '{name}' has more than {_MAXIMUM_CELLS} cells: refused", file=path)
        take_rows(_rows(sheet, path, found), config, path, found)


def _has_text(sheet: Any) -> bool:
    return hasattr(sheet, "iter_rows") and any(
        cell is not None for row in sheet.iter_rows(values_only=True) for cell in row
    )


def _rows(sheet: Any, path: Path, found: Imported) -> Iterator[tuple[int, list[str]]]:
    for number, row in enumerate(sheet.iter_rows(), start=1):
        cells = []
        for cell in row:
            if cell.data_type == "f":
                found.losses.append(Loss(path, number, "", f"a formula in {cell.coordinate}: left out"))
                cells.append("")
            else:
                cells.append(_text(cell.value))
        yield number, cells


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat()
    return str(value)
