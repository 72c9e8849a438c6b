"""CSV: RFC 4180, UTF-8, a heading row; `;` or tabs where the options say so."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from devicepipe.errors import UsageError
from devicepipe.traceability.foreign_files import read_text
from devicepipe.traceability.importers.importer import Imported, Importer
from devicepipe.traceability.importers.table import Columns, take_rows

_APOSTROPHE = re.compile(r"'+[ \n\u00a0\u3000]*[=+\-@＝＋－＠]")  # noqa: RUF001 - as documents/csv_table.py guards them
_MAXIMUM_CELL = 16 * 1024 * 1024


class CsvImporter(Importer):
    """A table with a heading row. An apostrophe before what a spreadsheet would take for a formula is not part of the text."""

    suffixes = (".csv",)

    class Config(Columns):
        """Columns, and what parts the cells."""

        separator: Literal[",", ";", "\t", "|"] = Field(default=",")

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read files; a row is an item."""
        config = self.config if isinstance(self.config, self.Config) else self.Config()
        found = Imported()
        for path in self.files(paths):
            take_rows(_rows(read_text(path), config.separator, path), config, path, found)
            found.files.append(path)
        return found


def _rows(text: str, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_MAXIMUM_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(f"is not valid CSV: {error}", file=path, line=line) from error
        yield line, [cell[1:] if _APOSTROPHE.match(cell) else cell for cell in cells]
