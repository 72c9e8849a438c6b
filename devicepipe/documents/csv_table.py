"""Tables as CSV: RFC 4180, UTF-8 without a byte order mark, and safe to open in a spreadsheet.

A cell that a spreadsheet would take for a formula gets a leading apostrophe (OWASP, "CSV Injection"), and so does one that begins
with an apostrophe itself. So an apostrophe at the beginning is always ours: a program takes one away, and has the text as it
was. Numbers, negative ones too, and the ids and verdicts of ordinary projects are never touched.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from devicepipe.documents.visible import visible

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - the full-width forms are taken for formulas too

_NUMBER = re.compile(r"-\d+(\.\d+)?")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might take the text for a formula; a negative number is none."""
    return text.lstrip(" \t\r\n\u00a0\u3000").startswith(_FORMULA) and not _NUMBER.fullmatch(text)


def safe_cell(text: str) -> str:
    """The cell's text with hidden characters visible and no power over a spreadsheet."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith("'") or is_formula(shown) else shown


def render_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows as CSV with CRLF line ends; cells are quoted where RFC 4180 asks for it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8")
