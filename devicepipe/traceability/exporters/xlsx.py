"""Excel workbooks (.xlsx), as the importer reads them back: one sheet, every cell a text."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Sequence

from devicepipe.evidence.trace import Item
from devicepipe.traceability.exporters.exporter import Exported, Exporter, told
from devicepipe.traceability.exporters.table import table_of

_MAXIMUM_CELL = 32_767  # Excel's
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_DAY = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - the format has no time zones; and the same items make the same bytes


class XlsxExporter(Exporter):
    """One sheet "Items". A text longer than a cell of Excel can hold is cut, and told."""

    lossless = True

    def write(self, items: Sequence[Item]) -> Exported:
        """One workbook."""
        import openpyxl
        from openpyxl.cell import WriteOnlyCell

        made = Exported()
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("Items")
        sheet.freeze_panes = "A2"
        for number, row in enumerate(table_of(items)):
            cells = []
            for text in row:
                if len(text) > _MAXIMUM_CELL and number:
                    item = items[number - 1]
                    what = f"a text longer than the {_MAXIMUM_CELL} characters of a cell: cut"
                    made.losses.append(told(item, what))
                cell = WriteOnlyCell(sheet, value=None)
                if text:
                    cell.value = _ESCAPE.sub("_x005F_", text[:_MAXIMUM_CELL])
                    cell.data_type = "s"  # whatever it looks like, it is no formula
                cells.append(cell)
            sheet.append(cells)
        book.properties.created = book.properties.modified = _DAY
        out = io.BytesIO()
        book.save(out)
        made.files[""] = _same_each_time(out.getvalue())
        return made


def _same_each_time(data: bytes) -> bytes:
    """The archive with no times in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2000-01-01T00:00:00Z", content)
            new.writestr(zipfile.ZipInfo(member.filename, (2000, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
