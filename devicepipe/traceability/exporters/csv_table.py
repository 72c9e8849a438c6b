"""CSV, as the importer reads it back; safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from devicepipe.evidence.trace import Item
from devicepipe.traceability.exporters.exporter import Exported, Exporter
from devicepipe.traceability.exporters.table import table_of

_FORMULA = re.compile(r"'*[ \n\u00a0\u3000]*[=+\-@＝＋－＠]")  # noqa: RUF001 - the full-width forms are taken for formulas too


class CsvExporter(Exporter):
    """One file. What a spreadsheet would take for a formula gets an apostrophe, which the importer takes away again."""

    lossless = True

    def write(self, items: Sequence[Item]) -> Exported:
        """One CSV file."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerows([f"'{cell}" if _FORMULA.match(cell) else cell for cell in row] for row in table_of(items))
        return Exported({"": out.getvalue().encode()})
