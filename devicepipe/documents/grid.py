"""Tables on pages: repeated heading rows, blanked group cells, tones, and rows that are taller than a page.

An own layout instead of reportlab's LongTable, which took 18 s for 10,000 rows, cannot show a group's name again at the top of a
page, and fails on a row that is taller than one.
"""

from __future__ import annotations

from dataclasses import dataclass

from devicepipe.documents.linking import inside
from devicepipe.documents.model import Cell, Column, KeyValues, Table, Tone
from devicepipe.documents.page import (
    CAPTION,
    CELL,
    COLUMN_HEAD,
    DETAIL,
    HEAVY,
    LINK,
    QUIET,
    RULE,
    SHADE,
    SIDE,
    TONE_FILL,
    TONE_INK,
    WHITE,
    Flow,
)
from devicepipe.documents.typeface import Face, Style, drawable, measure, wrap

_PAD_X = 4.0
_PAD_Y = 2.6
_SHORT, _SHORT_SHARE = 14, 0.4
"""A table of so many rows that takes no more than that share of a page is not parted."""
_ASCENT = 0.76  # of the size: from a line's top to its baseline

_Lines = list[tuple[Style, str]]


@dataclass(slots=True)
class _Row:
    """A row broken into lines: per cell the lines, the tone, and the height that it needs.

    `repeats` cells at its start repeat the row above; `continues` cells at its start are repeated by the row below.
    """

    source: tuple[Cell, ...]
    cells: list[_Lines]
    tones: list[Tone]
    heights: list[float]
    repeats: int
    continues: int

    def height(self, shown_from: int) -> float:
        """Height that the row needs when the cells before that column are left blank."""
        return max(self.heights[shown_from:], default=0.0) + 2 * _PAD_Y


def _cell_style(cell: Cell) -> Style:
    strong = cell.strong or cell.tone in {Tone.BAD, Tone.WARNING}
    color = WHITE if cell.tone is Tone.BAD else TONE_INK[cell.tone]
    return Style(Face.STRONG if strong else Face.REGULAR, CELL.size, CELL.leading, color)


class _Breaker:
    """Breaks cells into lines; remembers them, because matrices repeat their cells."""

    def __init__(self, widths: list[float]) -> None:
        self._widths = widths
        self._known: dict[tuple[int, str, str, Tone, bool], tuple[_Lines, float]] = {}

    def cell(self, column: int, cell: Cell) -> tuple[_Lines, float]:
        """The cell's lines and their height."""
        key = (column, cell.text, cell.detail, cell.tone, cell.strong)
        known = self._known.get(key)
        if known is not None:
            return known
        width = self._widths[column] - 2 * _PAD_X
        lines: _Lines = []
        for text, style in ((cell.text, _cell_style(cell)), (cell.detail, DETAIL)):
            if text:
                shade = Style(style.face, style.size, style.leading, WHITE) if cell.tone is Tone.BAD else style
                lines += [(shade, line) for line in wrap(text, style.face, style.size, width)]
        result = lines, sum(style.leading for style, _ in lines)
        self._known[key] = result
        return result


class _Grid:
    """One table being put on pages."""

    def __init__(self, flow: Flow, table: Table, *, headed: bool) -> None:
        self._flow = flow
        self._table = table
        total = sum(column.width for column in table.columns)
        self._widths = [flow.width * column.width / total for column in table.columns]
        self._lefts = [SIDE + sum(self._widths[:index]) for index in range(len(self._widths))]
        self._breaker = _Breaker(self._widths)
        # A group's cell may reach down beside the rows that repeat it: what is left of the height that it needs, per column.
        self._owed = [0.0] * len(table.columns)
        self._head = [
            wrap(column.title, COLUMN_HEAD.face, COLUMN_HEAD.size, width - 2 * _PAD_X)
            for column, width in zip(table.columns, self._widths, strict=True)
        ]
        self._head_height = (
            max(len(lines) for lines in self._head) * COLUMN_HEAD.leading + 2 * _PAD_Y + 1 if headed else 0.0
        )

    def put(self) -> None:
        rows = self._table.rows
        shown = self._table.caption if self._table.captioned else ""
        caption = wrap(shown, CAPTION.face, CAPTION.size, self._flow.width) if shown else []
        self._flow.need(self.least())
        for line in caption:
            self._flow.page.text(SIDE, self._flow.y + CAPTION.size, CAPTION, line)
            self._flow.y += CAPTION.leading
        if caption:
            self._flow.y += 3
        if not rows:
            self._rule(SIDE, 0.5, RULE)
            text = drawable(self._table.empty, CELL.face)
            self._flow.page.text(SIDE + _PAD_X, self._flow.y + _PAD_Y + CELL.size * _ASCENT + 1, CELL, text)
            self._flow.y += CELL.leading + 2 * _PAD_Y
        else:
            self._put_head()
            for index in range(len(rows)):
                row = self._row(index)
                last = self._row(index + 1).height(0) if index == len(rows) - 2 else 0.0
                self._put_row(row, last)
        self._rule(SIDE, 0.5, QUIET)

    def least(self) -> float:
        """The height of what stands together at the table's beginning: caption, heading row and first rows."""
        shown = self._table.caption if self._table.captioned else ""
        caption = wrap(shown, CAPTION.face, CAPTION.size, self._flow.width) if shown else []
        above = len(caption) * CAPTION.leading + (3 if caption else 0)
        return above + self._head_height + self._together()

    def _together(self) -> float:
        """The height of what must not be parted from the heading row: a short table whole, else the first rows."""
        rows, full = self._table.rows, self._flow.full
        if not rows:
            return CELL.leading + 2 * _PAD_Y
        if len(rows) <= _SHORT:
            whole = sum(self._row(index).height(0) for index in range(len(rows)))
            if whole <= full * _SHORT_SHARE:
                return whole
        first = self._row(0).height(0)
        second = self._row(1).height(0) if len(rows) > 1 else 0.0
        return first + second if first + second <= full / 2 else min(first, full / 2)

    def _row(self, index: int) -> _Row:
        broken = [self._breaker.cell(column, cell) for column, cell in enumerate(self._table.rows[index])]
        return _Row(
            source=self._table.rows[index],
            cells=[lines for lines, _ in broken],
            tones=[cell.tone for cell in self._table.rows[index]],
            heights=[height for _, height in broken],
            repeats=self._table.repeats(index),
            continues=self._table.repeats(index + 1) if index + 1 < len(self._table.rows) else 0,
        )

    def _rule(self, left: float, weight: float, color: int) -> None:
        flow = self._flow
        flow.page.lines.append((left, flow.y, SIDE + flow.width, flow.y, weight, color))

    def _put_head(self) -> None:
        if not self._head_height:
            return
        flow = self._flow
        flow.page.fills.append((SIDE, flow.y, flow.width, self._head_height, SHADE))
        for index, lines in enumerate(self._head):
            y = flow.y + self._head_height - _PAD_Y - len(lines) * COLUMN_HEAD.leading
            for line in lines:
                self._put_line(index, y, COLUMN_HEAD, line)
                y += COLUMN_HEAD.leading
        flow.y += self._head_height
        self._rule(SIDE, 0.8, HEAVY)

    def _put_row(self, row: _Row, last: float) -> None:
        """Put a row; `last` is the height of the table's last row where it follows, which is not left alone on a page."""
        flow = self._flow
        shown_from = row.repeats
        height = max(row.height(shown_from), *self._owed)
        alone = last and height <= flow.room < height + last and row.height(0) + last <= flow.full / 2
        if height > flow.room or alone:
            if row.height(0) > flow.full - self._head_height:
                self._put_tall_row(row)
                return
            self._turn()
            shown_from = 0
        for column in range(shown_from, len(self._owed)):
            self._owed[column] = row.heights[column] + 2 * _PAD_Y
        height = max(self._owed[row.continues :], default=CELL.leading)
        self._put_lines(row, row.cells, shown_from, height)
        self._owed = [
            max(0.0, owed - height) if column < row.continues else 0.0 for column, owed in enumerate(self._owed)
        ]

    def _put_lines(self, row: _Row, cells: list[_Lines], shown_from: int, height: float) -> None:
        flow = self._flow
        self._rule(self._lefts[min(shown_from, len(self._lefts) - 1)], 0.4, RULE)
        for index in range(shown_from, len(cells)):
            lines = cells[index]
            if not lines:
                continue
            if row.tones[index] in {Tone.BAD, Tone.WARNING}:
                self._put_tone(index, row.tones[index], sum(style.leading for style, _ in lines) + 2 * _PAD_Y)
            y = flow.y + _PAD_Y
            for style, text in lines:
                self._put_line(index, y, style, text)
                y += style.leading
            cell = row.source[index]
            if cell.anchor:
                flow.anchor(cell.anchor)
            if cell.links:
                self._put_links(index, cell, lines)
        flow.y += height

    def _put_links(self, column: int, cell: Cell, lines: _Lines) -> None:
        """An area for each stretch of words that leads somewhere inside the document."""
        flow, left, right = self._flow, self._lefts[column], self._table.columns[column].align == "right"
        for words, target in cell.links:
            mark = inside(target, flow.anchors)
            if not mark or mark == cell.anchor:
                continue
            for place, begin, end in stretches(words, [text for _, text in lines]):
                style, text = lines[place]
                y = flow.y + _PAD_Y + sum(style.leading for style, _ in lines[:place])
                x = left + _PAD_X + measure(text[:begin], style.face, style.size)
                if right:
                    x = left + self._widths[column] - _PAD_X - measure(text[begin:], style.face, style.size)
                width = measure(text[begin:end], style.face, style.size)
                flow.page.links.append((x, y, width, style.leading, mark))
                base = y + style.leading - 1.2
                flow.page.lines.append((x, base, x + width, base, 0.35, LINK))

    def _put_tone(self, column: int, tone: Tone, height: float) -> None:
        """Bad: white on a dark box; warning: an outlined box. Both stand out in grey and for the colour-blind."""
        flow = self._flow
        box = (self._lefts[column] + 1, flow.y + 1, self._widths[column] - 2, height - 2)
        if tone is Tone.BAD:
            flow.page.fills.append((*box, TONE_INK[tone]))
        else:
            flow.page.fills.append((*box, TONE_FILL[tone]))
            flow.page.frames.append((*box, TONE_INK[tone]))

    def _put_tall_row(self, row: _Row) -> None:
        """A row that no page can hold: continued, line by line, on as many pages as it takes."""
        flow = self._flow
        rest = row.cells
        while any(rest):
            room = flow.room - 2 * _PAD_Y
            taken: list[_Lines] = []
            left: list[_Lines] = []
            for lines in rest:
                used, count = 0.0, 0
                for style, _ in lines:
                    if used + style.leading > room:
                        break
                    used += style.leading
                    count += 1
                taken.append(lines[:count])
                left.append(lines[count:])
            if any(taken):
                height = max(sum(style.leading for style, _ in lines) for lines in taken) + 2 * _PAD_Y
                self._put_lines(row, taken, 0, height)
            rest = left
            if any(rest):
                self._turn()

    def _turn(self) -> None:
        self._flow.y += max(self._owed)
        self._owed = [0.0] * len(self._owed)
        self._rule(SIDE, 0.5, QUIET)
        self._flow.turn()
        self._put_head()

    def _put_line(self, column: int, y: float, style: Style, text: str) -> None:
        x = self._lefts[column] + _PAD_X
        if self._table.columns[column].align == "right":
            x = self._lefts[column] + self._widths[column] - _PAD_X - measure(text, style.face, style.size)
        self._flow.page.text(x, y + style.size * _ASCENT + (style.leading - style.size) / 2, style, text)


def stretches(words: str, lines: list[str]) -> list[tuple[int, int, int]]:
    """Where words stand in lines that they were broken into, as (line, first, after last); nothing where they do not."""
    for place, line in enumerate(lines):
        at = line.find(words)
        if at >= 0:
            return [(place, at, at + len(words))]
    # Broken over lines: found without white space, which breaking may drop.
    places = [(number, at) for number, text in enumerate(lines) for at, one in enumerate(text) if not one.isspace()]
    squeezed = "".join(lines[number][at] for number, at in places)
    wanted = "".join(words.split())
    begin = squeezed.find(wanted) if wanted else -1
    if begin < 0:
        return []
    found: dict[int, tuple[int, int]] = {}
    for number, at in places[begin : begin + len(wanted)]:
        first, _ = found.get(number, (at, at))
        found[number] = (first, at + 1)
    return [(number, first, end) for number, (first, end) in found.items()]


def put_table(flow: Flow, table: Table) -> None:
    """Put a table on the pages, from the flow's place on."""
    _Grid(flow, table, headed=True).put()


def table_least(flow: Flow, table: Table) -> float:
    """The height that a table needs at its beginning."""
    return _Grid(flow, table, headed=True).least()


def key_values_least(flow: Flow, facts: KeyValues) -> float:
    """The height that facts need at their beginning."""
    return _Grid(flow, _facts_table(facts), headed=False).least()


def put_key_values(flow: Flow, facts: KeyValues) -> None:
    """Put facts as a table of two columns without a heading row."""
    _Grid(flow, _facts_table(facts), headed=False).put()


def _facts_table(facts: KeyValues) -> Table:
    rows = tuple((Cell(name, tone=Tone.MUTED), cell) for name, cell in facts.rows)
    return Table(facts.caption, (Column("", 25), Column("", 75)), rows, captioned=facts.captioned)
