"""The matrix as files that people open: CSV for a spreadsheet, and one HTML page that works from disk.

What always holds: the same rows give the same bytes; the page needs no other file and no script to be read (its script only
filters rows).
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence

from devicepipe.traceability.drafts import Traced
from devicepipe.traceability.matrix import Row

_ABOVE = ("hazard", "risk control", "user needs", "requirement", "title", "design items", "test")
_QUOTED = ('"', ",", "\n", "\r")
_STYLE = """body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;color:#111}table{border-collapse:collapse;width:100%}
th,td{border:1px solid #bbb;padding:.25em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}
thead th{background:#eee;position:sticky;top:0}.passed{background:#dff2df}.failed{background:#f8d7d7}
.error,.stale,.quarantined,.not_run{background:#fdf0cc}.missing{background:#f8d7d7}input{font:inherit;padding:.3em;width:24em;max-width:100%}
@media print{.filter{display:none}thead th{position:static}}"""
_SCRIPT = """const field=document.querySelector("input"),count=document.querySelector("output");
const rows=[...document.querySelectorAll("tbody tr")];
field.addEventListener("input",()=>{const words=field.value.toLowerCase().split(/\\s+/);let shown=0;
for(const row of rows){const text=row.textContent.toLowerCase();
row.hidden=!words.every(word=>text.includes(word));shown+=!row.hidden}
count.textContent=shown+" of "+rows.length+" rows"});"""


def csv_lines(
    rows: Sequence[Row], items: Mapping[str, Traced], boards: Sequence[str], safe: Callable[[str], str]
) -> Iterator[str]:
    """The matrix as lines of CSV (RFC 4180), with a heading; lists are parted by blanks.

    Args:
        rows: The lines.
        items: The items by id.
        boards: The boards, as columns.
        safe: Takes from a text the power over a spreadsheet; ids and verdicts have none.
    """
    yield ",".join((*_ABOVE, *boards)) + "\r\n"
    for row in rows:
        title = _quoted(safe(items[row.requirement].title)) if row.requirement in items else ""
        verdicts = ",".join([row.verdicts.get(board, "") for board in boards])
        test = _quoted(safe(row.test)) if row.test else ""
        needs, designs = " ".join(row.user_needs or ()), " ".join(row.designs or ())
        yield f"{row.hazard},{row.risk_control},{needs},{row.requirement},{title},{designs},{test},{verdicts}\r\n"


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in _QUOTED) else cell


def html_lines(
    rows: Sequence[Row], items: Mapping[str, Traced], boards: Sequence[str], title: str, visible: Callable[[str], str]
) -> Iterator[str]:
    """The matrix as lines of one HTML page; `visible` makes of a text one without hidden characters."""

    def escape(text: str) -> str:
        return html.escape(visible(text))

    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in (*_ABOVE, *boards))
    yield (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n<style>{_STYLE}</style>'
        f"</head><body><main>\n<h1>{escape(title)}</h1>\n"
        '<p class="filter"><label>Show rows with <input type="search" placeholder="ids, words, verdicts"></label> '
        f'<output aria-live="polite">{len(rows)} rows</output></p>\n'
        f"<table><caption>What each hazard and requirement leads to, and the verdict on each board</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n"
    )
    titles = {name: escape(item.title) for name, item in items.items()}
    for row in rows:
        verdicts = [row.verdicts.get(board, "") for board in boards]
        shown = "".join(f'<td class="{verdict}">{verdict.replace("_", " ")}</td>' for verdict in map(escape, verdicts))
        test = escape(row.test)
        yield (
            f"<tr><td>{row.hazard}</td><td>{row.risk_control}</td><td>{', '.join(row.user_needs or ())}</td>"
            f'<th scope="row">{row.requirement}</th><td>{titles.get(row.requirement, "")}</td>'
            f"<td>{', '.join(row.designs or ())}</td>"
            f"{f'<td>{test}</td>' if test else '<td class=missing>none</td>'}{shown}</tr>\n"
        )
    yield f"</tbody></table></main>\n<script>{_SCRIPT}</script>\n</body></html>\n"
