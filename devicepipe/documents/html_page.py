"""Documents as HTML: one file that needs nothing else, readable by a screen reader and printable.

No script, no external resource. Every text is escaped; hidden characters are codes. What a tone says is in the
words, the colour only repeats it. Sources: HTML Living Standard; WCAG 2.2, 1.3.1 (tables), 1.4.1 (colour), 2.4.1 (bypass).
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Final

from devicepipe.documents.model import (
    CONTENTS_DEPTH,
    Bars,
    Block,
    Bullets,
    Cell,
    Contents,
    Document,
    Emphasis,
    Heading,
    KeyValues,
    Notice,
    PageBreak,
    Paragraph,
    Run,
    Table,
    Title,
    Tone,
    is_dark,
)
from devicepipe.documents.visible import visible

_STYLE: Final = """
:root { color-scheme: light; --ink: #1b2430; --quiet: #586472; --rule: #cbd2da; --heavy: #1f3a5f; --shade: #eef2f6;
  --good: #14602f; --warning: #7a4b00; --bad: #9b1c1c; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 0 2rem 3rem; max-width: 90rem; color: var(--ink); background: #fff;
  font: 15px/1.45 "Source Sans 3", "Source Sans Pro", "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; background: #fff; padding: .5rem; }
header.running { display: flex; justify-content: space-between; gap: 2rem; flex-wrap: wrap; padding: .8rem 0 .4rem;
  border-bottom: 1.5px solid var(--heavy); color: var(--quiet); font-size: .85rem; }
header.running strong { color: var(--heavy); }
.banner { position: sticky; top: 0; z-index: 2; margin: .3rem 0 0; padding: .3rem 1rem; max-width: none;
  background: var(--bad); color: #fff; font-weight: 600; text-align: center; }
footer { margin-top: 3rem; padding-top: .5rem; border-top: 1px solid var(--rule); color: var(--quiet); font-size: .85rem; }
.title { margin: 2.2rem 0 1.2rem; }
.title p { margin: 0; color: var(--quiet); }
.title .above { font-weight: 600; }
h1 { margin: .1rem 0; font-size: 2.1rem; line-height: 1.2; color: var(--heavy); }
h2 { margin: 2.6rem 0 .6rem; font-size: 1.45rem; color: var(--heavy); }
h3 { margin: 1.6rem 0 .4rem; color: var(--heavy); }
h4 { margin: 1rem 0 .2rem; }
p, ul { max-width: 62rem; }
nav ol { list-style: none; padding-left: 0; max-width: 40rem; }
nav ol ol { padding-left: 1.6rem; }
nav a { color: var(--heavy); text-decoration-color: var(--rule); }
.wide { overflow-x: auto; margin: .6rem 0 1.6rem; }
.wide:focus-visible { outline: 2px solid var(--heavy); }
table { width: 100%; border-collapse: collapse; font-size: .87rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0 0 .25rem; }
th, td { padding: .28rem .5rem; text-align: left; vertical-align: top; font-weight: 400;
  border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; white-space: pre-line; }
thead th { background: var(--shade); color: var(--heavy); font-weight: 600; vertical-align: bottom; overflow-wrap: normal;
  border-bottom: 1.5px solid var(--heavy); }
.number { text-align: right; }
.strong { font-weight: 600; }
.detail { display: block; color: var(--quiet); font-size: .88em; font-weight: 400; }
.again { color: var(--quiet); }
.muted { color: var(--quiet); }
.good { color: var(--good); white-space: nowrap; }
.warning { color: var(--warning); background: #fcf1d8; font-weight: 600;
  outline: 1.5px solid var(--warning); outline-offset: -3px; }
.bad, .bad .detail { color: #fff; background: var(--bad); font-weight: 600; }
.bars th { width: 11rem; }
.bars td { display: flex; }
.bars td span { padding: 0 .2rem; overflow: hidden; white-space: nowrap; }
.facts th { width: 16rem; color: var(--quiet); }
.none { margin: 0; padding: .3rem .5rem; border-block: 1px solid var(--rule); }
.notice { margin: 1rem 0; border-left: 5px solid var(--heavy); background: var(--shade); }
.notice p { margin: 0; padding: .3rem 1rem; font-weight: 600; max-width: none; }
.notice ul { margin: 0; padding: .5rem 1rem .6rem 2.2rem; }
.notice.g { border-color: var(--good); background: #e7f3ea; }
.notice.g > p { background: var(--good); color: #fff; font-size: 1.4rem; }
.notice.b { border-color: var(--bad); background: #fbe8e7; }
.notice.b > p { background: var(--bad); color: #fff; font-size: 1.4rem; }
.notice.w { border-color: var(--warning); background: #fcf1d8; }
.notice.w > p { color: var(--warning); }
@media print {
  @page { size: PAPER landscape; margin: 17mm 12mm 15mm; font: 8pt "Source Sans 3", "Segoe UI", Arial, sans-serif;
    @top-left { content: "LEFT"; }
    @top-center { content: "BANNER"; color: #9b1c1c; font-weight: 600; font-size: 10pt; }
    @top-right { content: "RIGHT"; }
    @bottom-left { content: "FOOTER"; }
    @bottom-right { content: "Page " counter(page) " of " counter(pages); } }
  body { padding: 0; max-width: none; font-size: 9.5pt; }
  .skip, header.running, body > footer { display: none; }
  .wide { overflow: visible; }
  .banner { position: static; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
  h2, h3, h4, caption { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
_NOTICE: Final = {Tone.GOOD: "g", Tone.BAD: "b", Tone.WARNING: "w", Tone.PLAIN: "p", Tone.MUTED: "p"}


def render_html(document: Document) -> bytes:
    """The document as one self-contained HTML file in UTF-8."""
    return "\n".join(_Html(document).page()).encode("utf-8")


def _text(text: str) -> str:
    return html.escape(visible(text))


def _css_text(text: str) -> str:
    """The inside of a CSS string: everything but letters, digits and spaces is escaped (CSS Syntax 3, 4.3.7)."""
    return "".join(
        character if character.isascii() and (character.isalnum() or character == " ") else f"\\{ord(character):x} "
        for character in visible(text)
    )


class _Html:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._headings = [block for block in document.blocks if isinstance(block, Heading)]
        self._at = 0

    def page(self) -> Iterator[str]:
        document, running = self._document, self._document.running
        yield "<!DOCTYPE html>"
        yield f'<html lang="{_text(document.language)}">'
        yield '<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        yield f"<title>{_text(document.title)}</title>"
        for name, content in (
            ("author", document.author),
            ("description", document.subject),
            ("identifier", document.identifier),
        ):
            yield f'<meta name="{name}" content="{_text(content)}">'
        yield f"<style>{self._style()}</style>\n</head>\n<body>"
        yield '<a class="skip" href="#content">Skip to the content</a>'
        yield f'<header class="running"><strong>{_text(running.left)}</strong><span>{_text(running.right)}</span></header>'
        if running.banner:
            yield f'<p class="banner">{_text(running.banner)}</p>'
        yield '<main id="content">'
        for block in document.blocks:
            yield from self._block(block)
        yield f"</main>\n<footer><p>{_text(running.footer)}</p></footer>\n</body>\n</html>\n"

    def _style(self) -> str:
        """The style sheet with the running texts, which printing puts into the margins of every page."""
        running = self._document.running
        texts = {"LEFT": running.left, "BANNER": running.banner, "RIGHT": running.right, "FOOTER": running.footer}
        style = _STYLE.replace("PAPER", self._document.paper)
        for name, text in texts.items():
            style = style.replace(f'"{name}"', f'"{_css_text(text)}"')
        return style

    def _block(self, block: Block) -> Iterator[str]:
        match block:
            case Heading(level):
                yield f'<h{level + 1} id="s{self._at}">{_text(block.label)}</h{level + 1}>'
                self._at += 1
            case Contents(title):
                yield from self._contents(title)
            case Table():
                yield from _table(block)
            case Bars():
                yield from _bars(block)
            case KeyValues():
                yield from _facts(block)
            case Notice():
                yield from _notice(block)
            case Title() | Paragraph() | Bullets():
                yield _prose(block)
            case PageBreak():
                pass

    def _contents(self, title: str) -> Iterator[str]:
        """Level 2 headings stand in a list inside their level 1 heading's item."""
        yield f'<nav aria-label="{_text(title)}"><h2>{_text(title)}</h2><ol>'
        depth = 0
        for mark, heading in enumerate(self._headings):
            if heading.level > CONTENTS_DEPTH:
                continue
            if heading.level == CONTENTS_DEPTH and depth == 1:
                yield "<ol>"
            elif depth:
                yield "</li></ol></li>" if heading.level < depth else "</li>"
            yield f'<li><a href="#s{mark}">{_text(heading.label)}</a>'
            depth = heading.level if depth or heading.level == 1 else 1
        yield {0: "", 1: "</li>", 2: "</li></ol></li>"}[depth]
        yield "</ol></nav>"


def _prose(block: Title | Paragraph | Bullets) -> str:
    match block:
        case Title(text, above, below):
            over = f'<p class="above">{_text(above)}</p>' if above else ""
            under = f"<p>{_text(below)}</p>" if below else ""
            return f'<div class="title">{over}<h1>{_text(text)}</h1>{under}</div>'
        case Paragraph(runs):
            return f"<p>{_runs(runs)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_runs(item)}</li>" for item in items) + "</ul>"


def _notice(notice: Notice) -> Iterator[str]:
    title = _text(notice.title)
    yield f'<section class="notice {_NOTICE[notice.tone]}" aria-label="{title}"><p>{title}</p>'
    if notice.lines:
        yield "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in notice.lines) + "</ul>"
    yield "</section>"


def _runs(runs: tuple[Run, ...]) -> str:
    tags = {Emphasis.NONE: "{}", Emphasis.STRONG: "<strong>{}</strong>", Emphasis.ITALIC: "<em>{}</em>"}
    return "".join(tags[run.emphasis].replace("{}", _text(run.text)) for run in runs)


def _cell(cell: Cell, tag: str, extra: tuple[str, ...] = ()) -> str:
    classes = [*extra]
    if cell.tone is not Tone.PLAIN:
        classes.append(cell.tone.value)
    if cell.strong:
        classes.append("strong")
    attribute = f' class="{" ".join(classes)}"' if classes else ""
    detail = f'<span class="detail">{_text(cell.detail)}</span>' if cell.detail else ""
    end = tag.partition(" ")[0]
    return f"<{tag}{attribute}>{_text(cell.text)}{detail}</{end}>"


def _table(table: Table) -> Iterator[str]:
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    if not table.rows:
        if table.caption:
            yield f'<p class="strong">{_text(table.caption)}</p>'
        yield f'<p class="none">{_text(table.empty)}</p>'
        return
    label = f' role="region" aria-label="{_text(table.caption)}" tabindex="0"' if table.caption else ""
    yield f'<div class="wide"{label}><table>{caption}<colgroup>'
    total = sum(column.width for column in table.columns)
    yield "".join(f'<col style="width: {100 * column.width / total:.1f}%">' for column in table.columns)
    yield "</colgroup><thead><tr>"
    for column in table.columns:
        number = ' class="number"' if column.align == "right" else ""
        yield f'<th scope="col"{number}>{_text(column.title)}</th>'
    yield "</tr></thead><tbody>"
    for index, row in enumerate(table.rows):
        again = table.repeats(index)
        cells = []
        for at, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
            tag = 'th scope="row"' if at == table.row_header else "td"
            extra = ("number",) if column.align == "right" else ()
            if at < again:
                # Not merged: a screen reader hears the whole line, the eye sees that it is the same thing again.
                cells.append(_cell(Cell(cell.text, tone=cell.tone), tag, ("again", *extra)))
            else:
                cells.append(_cell(cell, tag, extra))
        yield "<tr>" + "".join(cells) + "</tr>"
    yield "</tbody></table></div>"


def _bars(figure: Bars) -> Iterator[str]:
    """A table whose cells are the bars: each part says what it is, to those who do not see it as well."""
    yield f'<div class="wide"><table class="bars"><caption>{_text(figure.caption)}</caption><tbody>'
    for label, counts in figure.rows:
        parts = []
        for part, count in enumerate(counts):
            if count:
                color = figure.color(part)
                ink = "#fff" if is_dark(color) else "#000"
                style = f"width: {100 * count / figure.longest:.2f}%; background: #{color:06x}; color: {ink}"
                text = _text(f"{figure.parts[part]}: {count}")
                parts.append(f'<span style="{style}" title="{text}">{text}</span>')
        total = _text(f"{sum(counts)} {figure.unit}")
        yield f'<tr><th scope="row">{_text(label)}<span class="detail">{total}</span></th><td>{"".join(parts)}</td></tr>'
    yield "</tbody></table></div>"


def _facts(facts: KeyValues) -> Iterator[str]:
    yield f'<div class="wide"><table class="facts"><caption>{_text(facts.caption)}</caption><tbody>'
    for name, cell in facts.rows:
        yield f'<tr><th scope="row">{_text(name)}</th>{_cell(cell, "td")}</tr>'
    yield "</tbody></table></div>"
