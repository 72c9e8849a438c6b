"""Documents as HTML: one file that needs nothing else, readable by a screen reader, searchable and printable.

Complete without a script: the one in it (web/twin.js) adds search, filters and sorting and changes no text. No external
resource; the page's own policy lets nothing run or load but that script and that style sheet, each named by its digest: not even
a text that got in as markup could. Every text is escaped; hidden characters are codes. What a tone says is in the words, the
colour only repeats it. Sources: HTML Living Standard; CSP Level 3; WCAG 2.2, 1.3.1 (tables), 1.4.1 (colour), 2.4.1 (bypass).
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Final

from devicepipe.documents.html_links import Links
from devicepipe.documents.model import (
    ACCENT,
    CONTENTS_DEPTH,
    Bars,
    Block,
    Bullets,
    Cell,
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
    is_dark,
)
from devicepipe.documents.svg_figure import figure_svg
from devicepipe.documents.visible import visible

_COLUMN_REM: Final = 5.0
_WIDEST_REM: Final = 80.0
"""No column of a table gets narrower than that, and no table wider than this for it: it scrolls instead."""
_BREAKS: Final = re.compile(r"(?<=[_/.:-])(?=\w)")
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


@cache
def _web_file(name: str) -> str:
    return (files("devicepipe.documents") / "web" / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """An inline script or style sheet as a source of the page's policy: by its digest (CSP 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _style(document: Document) -> str:
    """The style sheet with the running texts, which printing puts into the margins of every page."""
    running = document.running
    texts = {"LEFT": running.left, "BANNER": running.banner, "RIGHT": running.right, "FOOTER": running.footer}
    style = _web_file("twin.css").replace("PAPER", document.paper, 1)
    for name, text in texts.items():
        style = style.replace(f'"{name}"', f'"{_css_text(text)}"')
    return style


class _Styles:
    """Declarations that blocks need, as classes: the page's policy lets no element have a style of its own."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, declarations: str) -> str:
        """The class of these declarations."""
        return self._names.setdefault(declarations, f"k{len(self._names)}")

    def sheet(self) -> str:
        return "".join(f".{name} {{ {declarations} }}\n" for declarations, name in self._names.items())


class _Html:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._headings = [block for block in document.blocks if isinstance(block, Heading)]
        self._styles = _Styles()
        self._links = Links(document)
        self._at = 0

    def page(self) -> Iterator[str]:
        document, running = self._document, self._document.running
        # The body comes first: the style sheet has what its blocks asked for.
        body = [line for block in document.blocks for line in self._block(block)]
        style = _style(document) + self._styles.sheet()
        if document.accent != ACCENT:
            # A colour that was chosen for white paper; the dark page keeps its own.
            style += f"@media print, (prefers-color-scheme: light) {{ :root {{ --heavy: #{document.accent:06x}; }} }}\n"
        script = _web_file("twin.js")
        policy = (
            f"default-src 'none'; script-src '{_source(script)}'; style-src '{_source(style)}'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )
        yield "<!DOCTYPE html>"
        yield f'<html lang="{_text(document.language)}">'
        yield '<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        yield f"<title>{_text(document.title)}</title>"
        for name, content in (
            ("author", document.author),
            ("description", document.subject),
            ("identifier", document.identifier),
        ):
            yield f'<meta name="{name}" content="{_text(content)}">'
        yield f"<style>{style}</style>\n</head>\n<body>"
        yield '<a class="skip" href="#content">Skip to the content</a>'
        yield f'<header class="running"><strong>{_text(running.left)}</strong><span>{_text(running.right)}</span></header>'
        banner = _text(running.banner)
        shown = f'<p class="banner">{banner}</p>' if banner else ""
        yield f'<div class="bar">{shown}</div>'
        yield '<main id="content" tabindex="-1">'
        yield from body
        yield f"</main>\n<footer><p>{_text(running.footer)}</p></footer>"
        if banner:
            yield f'<p class="watermark" aria-hidden="true">{banner.partition(":")[0]}</p>'
        yield f"<script>{script}</script>\n</body>\n</html>\n"

    def _block(self, block: Block) -> Iterator[str]:
        match block:
            case Heading(level):
                yield f'<h{level + 1} id="s{self._at}">{_text(block.label)}</h{level + 1}>'
                self._at += 1
            case Contents(title):
                yield from self._contents(title)
            case Table():
                yield from self._table(block)
            case Bars():
                yield from self._bars(block)
            case Figure():
                yield from figure_svg(block)
            case KeyValues():
                yield from _facts(block, self._links)
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

    def _table(self, table: Table) -> Iterator[str]:
        caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
        if not table.rows:
            if table.caption:
                yield f'<p class="strong">{_text(table.caption)}</p>'
            yield f'<p class="none">{_text(table.empty)}</p>'
            return
        label = f' role="region" aria-label="{_text(table.caption)}" tabindex="0"' if table.caption else ""
        total = sum(column.width for column in table.columns)
        narrowest = min(column.width for column in table.columns) / total
        least = self._styles.name(f"min-width: {min(_WIDEST_REM, _COLUMN_REM / narrowest):.0f}rem")
        yield f'<div class="wide"{label}><table class="rows {least}">{caption}<colgroup>'
        widths = [self._styles.name(f"width: {100 * column.width / total:.1f}%") for column in table.columns]
        yield "".join(f'<col class="{width}">' for width in widths)
        yield "</colgroup><thead><tr>"
        for column in table.columns:
            number = ' class="number"' if column.align == "right" else ""
            yield f'<th scope="col"{number}>{"<wbr>".join(map(_text, _BREAKS.split(column.title)))}</th>'
        yield "</tr></thead><tbody>"
        tags = ['th scope="row"' if at == table.row_header else "td" for at in range(len(table.columns))]
        extras = [("number",) if column.align == "right" else () for column in table.columns]
        for index, row in enumerate(table.rows):
            again = table.repeats(index)
            # Not merged: a screen reader hears the whole line, the eye sees that it is the same thing again.
            cells = [
                _cell(replace(cell, detail="", strong=False), tag, self._links, ("again", *extra))
                if at < again
                else _cell(cell, tag, self._links, extra)
                for at, (cell, tag, extra) in enumerate(zip(row, tags, extras, strict=True))
            ]
            yield "<tr>" + "".join(cells) + "</tr>"
        yield "</tbody></table></div>"

    def _bars(self, figure: Bars) -> Iterator[str]:
        """A table whose cells are the bars; what they say stands beside them in words."""
        yield f'<div class="wide"><table class="bars"><caption>{_text(figure.caption)}</caption><tbody>'
        for label, counts in figure.rows:
            parts = []
            told = [f"{figure.parts[part]} {count}" for part, count in enumerate(counts) if count]
            for part, count in enumerate(counts):
                if count:
                    color = figure.color(part)
                    ink = "#fff" if is_dark(color) else "#000"
                    width = f"{100 * count / figure.longest:.2f}%"
                    name = self._styles.name(f"width: {width}; background: #{color:06x}; color: {ink}")
                    parts.append(f'<span class="{name}">{_text(f"{figure.parts[part]}: {count}")}</span>')
            total = _text(f"{sum(counts)} {figure.unit}")
            words = _text(", ".join(told))
            yield (
                f'<tr><th scope="row">{_text(label)}<span class="detail">{total}</span></th>'
                f'<td><div class="parts" aria-hidden="true">{"".join(parts)}</div><span class="detail">{words}</span></td></tr>'
            )
        yield "</tbody></table></div>"


def _prose(block: Title | Paragraph | Bullets) -> str:
    match block:
        case Title(text, above, below, logo):
            over = f'<p class="above">{_text(above)}</p>' if above else ""
            under = f"<p>{_text(below)}</p>" if below else ""
            return f'<div class="title">{_logo(logo)}{over}<h1>{_text(text)}</h1>{under}</div>'
        case Paragraph(runs):
            return f"<p>{_runs(runs)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_runs(item)}</li>" for item in items) + "</ul>"


def _logo(logo: Logo | None) -> str:
    """The logo's own file; it says nothing that the words beside it do not."""
    if logo is None:
        return ""
    return f'<img class="logo" alt="" src="data:{logo.kind};base64,{base64.b64encode(logo.file).decode()}">'


def _notice(notice: Notice) -> Iterator[str]:
    title = _text(notice.title)
    yield f'<section class="notice {_NOTICE[notice.tone]}" aria-label="{title}"><p>{title}</p>'
    if notice.lines:
        yield "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in notice.lines) + "</ul>"
    yield "</section>"


def _runs(runs: tuple[Run, ...]) -> str:
    tags = {Emphasis.NONE: "{}", Emphasis.STRONG: "<strong>{}</strong>", Emphasis.ITALIC: "<em>{}</em>"}
    return "".join(tags[run.emphasis].replace("{}", _text(run.text)) for run in runs)


def _cell(cell: Cell, tag: str, links: Links, extra: tuple[str, ...] = ()) -> str:
    classes = [*extra]
    if cell.tone is not Tone.PLAIN:
        classes.append(cell.tone.value)
    if cell.strong:
        classes.append("strong")
    attribute = f' class="{" ".join(classes)}"' if classes else ""
    text, detail = _text(cell.text), _text(cell.detail)
    if cell.links:
        text, detail = links.text(cell.text, cell, _text), links.text(cell.detail, cell, _text)
    attribute += links.identifier(cell) if cell.anchor else ""
    detail = f'<span class="detail">{detail}</span>' if cell.detail else ""
    end = tag.partition(" ")[0]
    return f"<{tag}{attribute}>{text}{detail}</{end}>"


def _facts(facts: KeyValues, links: Links) -> Iterator[str]:
    yield f'<div class="wide"><table class="facts"><caption>{_text(facts.caption)}</caption><tbody>'
    for name, cell in facts.rows:
        yield f'<tr><th scope="row">{_text(name)}</th>{_cell(cell, "td", links)}</tr>'
    yield "</tbody></table></div>"
