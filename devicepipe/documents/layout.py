"""From a document to pages: one pass, because everything whose size matters is known before.

The table of contents' page numbers and the "n of m" of the footers are written into the places kept for them at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from devicepipe.documents.bars import bars_least, put_bars
from devicepipe.documents.drawing import draw, figure_least, put_figure
from devicepipe.documents.grid import key_values_least, put_key_values, put_table, table_least
from devicepipe.documents.linking import anchors_of
from devicepipe.documents.model import (
    CONTENTS_DEPTH,
    Bars,
    Block,
    Bullets,
    Contents,
    Document,
    Emphasis,
    Figure,
    Heading,
    KeyValues,
    Logo,
    Notice,
    PageBreak,
    Paragraph,
    Run,
    Table,
    Title,
    Tone,
)
from devicepipe.documents.page import (
    BANNER_HEIGHT,
    BODY,
    BOTTOM,
    HEADER_BASE,
    HEADER_RULE,
    HEADINGS,
    HEAVY,
    QUIET,
    RULE,
    SIDE,
    TONE_FILL,
    TONE_INK,
    WHITE,
    Flow,
    Page,
)
from devicepipe.documents.typeface import Face, Line, Style, drawable, measure, wrap, wrap_runs

_FACES: Final = {Emphasis.NONE: Face.REGULAR, Emphasis.STRONG: Face.STRONG, Emphasis.ITALIC: Face.ITALIC}
_TITLE: Final = Style(Face.STRONG, 25, 30, HEAVY)
_TITLE_ABOVE: Final = Style(Face.STRONG, 9.5, 14, QUIET)
_TITLE_BELOW: Final = Style(Face.REGULAR, 13, 17, QUIET)
_RUNNING: Final = Style(Face.REGULAR, 7.8, 10, QUIET)
_RUNNING_STRONG: Final = Style(Face.STRONG, 7.8, 10, HEAVY)
_BANNER: Final = Style(Face.STRONG, 10, 13, WHITE)
_ABOVE: Final = {1: 18.0, 2: 12.0, 3: 7.0}
_BELOW: Final = {1: 7.0, 2: 3.0, 3: 1.0}
_SHORT: Final = 5
"""A paragraph of so many lines below a heading stays with what follows it."""
_INDENT: Final = 12.0
_LOGO_WIDTH, _LOGO_HEIGHT = 150.0, 44.0
_SHORTEST_LEADER: Final = 24.0


def heading_mark(index: int) -> str:
    """The mark of a heading, by its place among all."""
    return f"heading-{index}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the table of contents that waits for its heading's page."""

    page: Page
    slot: int  # the place in the page's texts, so that reading order is kept
    y: float
    left: float
    right: float
    mark: int
    color: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The finished pages and the headings, whose indexes the pages' marks and links name."""

    pages: list[Page]
    headings: list[Heading]


class _Layouter:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._flow = Flow(document.paper, banner=bool(document.running.banner), anchors=anchors_of(document))
        self._headings = [block for block in document.blocks if isinstance(block, Heading)]
        self._marked = 0
        self._entries: list[_Entry] = []

    def run(self) -> Layout:
        put: dict[type[Block], Callable[[Any], None]] = {
            Heading: self._heading,
            Title: self._title,
            Paragraph: self._paragraph,
            Bullets: self._bullets,
            Table: self._table,
            Bars: self._bars,
            Figure: self._figure,
            KeyValues: self._facts,
            Notice: self._notice,
            Contents: self._contents,
            PageBreak: self._page_break,
        }
        for index, block in enumerate(self._document.blocks):
            if isinstance(block, Heading):
                self._flow.need(self._heading_least(index))
            put[type(block)](block)
        self._number_contents()
        for number, page in enumerate(self._flow.pages, start=1):
            self._furnish(page, number, len(self._flow.pages))
        return Layout(self._flow.pages, self._headings)

    # --- blocks

    def _heading(self, heading: Heading) -> None:
        flow, style = self._flow, HEADINGS[heading.level]
        lines = wrap(heading.label.replace("\n", " "), style.face, style.size, flow.width)
        flow.skip(_ABOVE[heading.level])
        flow.page.marks.append((heading_mark(self._marked), flow.y))
        self._marked += 1
        for line in lines:
            flow.page.text(SIDE, flow.y + style.size, style, line)
            flow.y += style.leading
        flow.y += _BELOW[heading.level]

    def _heading_least(self, index: int) -> float:
        """The height of a heading, of those that follow at once, and of what must stand below the last of them."""
        flow, height = self._flow, 0.0
        for block in self._document.blocks[index:]:
            match block:
                case Heading(level):
                    lines = wrap(block.label, HEADINGS[level].face, HEADINGS[level].size, flow.width)
                    height += len(lines) * HEADINGS[level].leading + _ABOVE[level] + _BELOW[level]
                    continue
                case Table():
                    height += table_least(flow, block)
                case KeyValues():
                    height += key_values_least(flow, block)
                case Bars():
                    height += bars_least(flow, block)
                case Figure():
                    height += figure_least(flow, block)
                case Paragraph(runs):
                    count = len(_wrapped(runs, flow.width))
                    height += min(count, _SHORT) * BODY.leading + 7
                    if count <= _SHORT:
                        continue
                case Bullets() | Notice():
                    height += 3 * BODY.leading
                case _:
                    pass
            break
        return min(height + 8, flow.full)

    def _title(self, title: Title) -> None:
        flow = self._flow
        if title.logo is not None:
            self._logo(title.logo)
        flow.y += 10
        for text, style, after in (
            (title.above, _TITLE_ABOVE, 4),
            (title.text, _TITLE, 3),
            (title.below, _TITLE_BELOW, 12),
        ):
            for line in wrap(text, style.face, style.size, flow.width) if text else []:
                flow.need(style.leading)
                flow.page.text(SIDE, flow.y + style.size, style, line)
                flow.y += style.leading
            flow.y += after

    def _logo(self, logo: Logo) -> None:
        """At the left above the title, as large as its box lets it be."""
        flow = self._flow
        scale = min(_LOGO_WIDTH / logo.width, _LOGO_HEIGHT / logo.height)
        width, height = logo.width * scale, logo.height * scale
        if logo.pixels:
            flow.page.image = (SIDE, flow.y, width, height, logo)
        else:
            draw(flow.page, logo.shapes, SIDE, flow.y, scale)
        flow.y += height + 8

    def _paragraph(self, paragraph: Paragraph) -> None:
        self._flow.skip(2)
        self._prose(paragraph.runs, 0.0, "")
        self._flow.skip(5)

    def _bullets(self, bullets: Bullets) -> None:
        for item in bullets.items:
            self._prose(item, _INDENT, "•")
            self._flow.skip(2.5)
        self._flow.skip(3)

    def _table(self, table: Table) -> None:
        self._flow.skip(4)
        put_table(self._flow, table)
        self._flow.skip(11)

    def _bars(self, figure: Bars) -> None:
        self._flow.skip(4)
        put_bars(self._flow, figure)
        self._flow.skip(11)

    def _figure(self, figure: Figure) -> None:
        self._flow.skip(4)
        put_figure(self._flow, figure)
        self._flow.skip(8)

    def _facts(self, facts: KeyValues) -> None:
        self._flow.skip(4)
        put_key_values(self._flow, facts)
        self._flow.skip(11)

    def _page_break(self, page_break: PageBreak) -> None:
        self._flow.turn(landscape=page_break.landscape)

    def _prose(self, runs: tuple[Run, ...], indent: float, bullet: str) -> None:
        flow = self._flow
        lines = _wrapped(runs, flow.width - indent)
        if len(lines) > 1:
            flow.need(2 * BODY.leading)
        for index, line in enumerate(lines):
            flow.need(BODY.leading)
            if bullet and index == 0:
                flow.page.text(SIDE + 2, flow.y + BODY.size, BODY, bullet)
            self._line(line, indent)

    def _line(self, line: Line, indent: float) -> None:
        widths = [measure(text, face, BODY.size) for face, text in line]
        self._flow.page.runs(SIDE + indent, self._flow.y + BODY.size, BODY, line, widths)
        self._flow.y += BODY.leading

    def _notice(self, notice: Notice) -> None:
        """A tinted box with a heavy left edge; a bad one has a solid title bar."""
        flow = self._flow
        ink, solid = TONE_INK[notice.tone], notice.tone in {Tone.BAD, Tone.GOOD}
        size = 15.0 if solid else BODY.size
        title = Style(Face.STRONG, size, size * 1.3, WHITE if solid else ink)
        inner = flow.width - 24
        flow.skip(4)
        heads = wrap(notice.title, title.face, title.size, inner)
        head_height = len(heads) * title.leading + (9 if solid else 6)
        flow.need(head_height + (2 * BODY.leading if notice.lines else 0))
        flow.page.fills.append((SIDE, flow.y, flow.width, head_height, ink if solid else TONE_FILL[notice.tone]))
        flow.page.fills.append((SIDE, flow.y, 4, head_height, ink))
        y = flow.y + (4.5 if solid else 4)
        for line in heads:
            flow.page.text(SIDE + 12, y + title.size, title, line)
            y += title.leading
        flow.y += head_height
        text = Style(Face.REGULAR, 9, 12, TONE_INK[Tone.PLAIN])
        points = [
            (index == 0, line)
            for point in notice.lines
            for index, line in enumerate(wrap(point, text.face, text.size, inner - 10))
        ]
        for number, (first, line) in enumerate(points):
            height = text.leading + (5 if number == len(points) - 1 else 0) + (3 if number == 0 else 0)
            flow.need(height)
            flow.page.fills.append((SIDE, flow.y, flow.width, height, TONE_FILL[notice.tone]))
            flow.page.fills.append((SIDE, flow.y, 4, height, ink))
            base = flow.y + text.size + (3 if number == 0 else 0)
            if first and len(notice.lines) > 1:
                flow.page.text(SIDE + 12, base, text, "•")
            flow.page.text(SIDE + (22 if len(notice.lines) > 1 else 12), base, text, line)
            flow.y += height
        flow.skip(10)

    def _contents(self, contents: Contents) -> None:
        flow = self._flow
        style = HEADINGS[1]
        flow.skip(14)
        flow.need(style.leading + 60)
        flow.page.text(SIDE, flow.y + style.size, style, drawable(contents.title, style.face))
        flow.y += style.leading + 8
        for mark, heading in enumerate(self._headings):
            if heading.level > CONTENTS_DEPTH:
                continue
            top = heading.level == 1
            style = Style(Face.STRONG if top else Face.REGULAR, 9.5, 13, HEAVY if top else BODY.color)
            flow.skip(4 if top else 0)
            left = SIDE + (0 if top else 18)
            number = drawable(heading.number, style.face)
            gap = 18 if top else 26
            lines = wrap(heading.text.replace("\n", " "), style.face, style.size, flow.width - (left - SIDE) - gap - 40)
            flow.need(len(lines) * style.leading)
            flow.page.text(left, flow.y + style.size, style, number)
            for line in lines:
                flow.page.text(left + gap, flow.y + style.size, style, line)
                flow.y += style.leading
            end = left + gap + measure(lines[-1], style.face, style.size)
            slot = len(flow.page.texts)
            flow.page.text(end, flow.y, style, " ")
            self._entries.append(
                _Entry(flow.page, slot, flow.y - style.leading, end, SIDE + flow.width, mark, style.color)
            )

    # --- what is known only at the end

    def _number_contents(self) -> None:
        pages = {mark: number for number, page in enumerate(self._flow.pages, start=1) for mark, _ in page.marks}
        for entry in self._entries:
            text = str(pages[heading_mark(entry.mark)])
            style = Style(Face.REGULAR, 9.5, 13, entry.color)
            x = entry.right - measure(text, style.face, style.size)
            baseline = entry.y + style.size
            entry.page.texts[entry.slot] = (x, baseline, style.face, style.size, style.color, text)
            if x - entry.left > _SHORTEST_LEADER:
                line = (entry.left + 6, baseline - 1.5, x - 6, baseline - 1.5, 0.4, RULE)
                entry.page.lines.append(line)
            entry.page.links.append((SIDE, entry.y, entry.right - SIDE, style.leading, heading_mark(entry.mark)))

    def _furnish(self, page: Page, number: int, total: int) -> None:
        """Header, banner and footer; the header comes before the page's other texts, as it is read."""
        running, right = self._document.running, page.width - SIDE
        head = _fit(running.right, _RUNNING, (right - SIDE) * 0.5)
        width = measure(head, _RUNNING.face, _RUNNING.size)
        body, page.texts = page.texts, []
        page.text(SIDE, HEADER_BASE, _RUNNING_STRONG, _fit(running.left, _RUNNING_STRONG, right - SIDE - width - 20))
        page.text(right - width, HEADER_BASE, _RUNNING, head)
        page.lines.append((SIDE, HEADER_RULE, right, HEADER_RULE, 0.6, HEAVY))
        if running.banner:
            page.fills.append((SIDE, HEADER_RULE + 4, right - SIDE, BANNER_HEIGHT, TONE_INK[Tone.BAD]))
            banner = _fit(running.banner, _BANNER, right - SIDE - 20)
            x = SIDE + (right - SIDE - measure(banner, _BANNER.face, _BANNER.size)) / 2
            page.text(x, HEADER_RULE + 4 + BANNER_HEIGHT / 2 + 3.4, _BANNER, banner)
        page.texts += body
        base = page.height - BOTTOM + 20
        page.lines.append((SIDE, base - 11, right, base - 11, 0.4, RULE))
        count = f"Page {number} of {total}"
        width = measure(count, _RUNNING.face, _RUNNING.size)
        page.text(SIDE, base, _RUNNING, _fit(running.footer, _RUNNING, right - SIDE - width - 20))
        page.text(right - width, base, _RUNNING, count)


def _wrapped(runs: tuple[Run, ...], width: float) -> list[Line]:
    return wrap_runs([(_FACES[run.emphasis], run.text) for run in runs], BODY.size, width)


@lru_cache(maxsize=64)
def _fit(text: str, style: Style, width: float) -> str:
    """One line of at most that width; what is cut is shown by "…" (headers and footers repeat what stands in full elsewhere)."""
    line = drawable(text.replace("\n", " "), style.face)
    if measure(line, style.face, style.size) <= width:
        return line
    kept, used = "", measure("…", style.face, style.size)
    for character in line:
        used += measure(character, style.face, style.size)
        if used > width:
            break
        kept += character
    return kept + "…"


def lay_out(document: Document) -> Layout:
    """Put a document on pages."""
    return _Layouter(document).run()
