"""Documents as PDF, the same bytes for the same document anywhere.

How that holds: no clock and no random number (time and id come from the document), fonts are subset in the order of use, nothing
is read from reportlab's settings or the environment, and streams are not compressed: deflate's output differs between zlib
implementations, and a report must come out byte for byte on another machine, years later. Source: ISO 32000-1:2008.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from reportlab import rl_config
from reportlab.pdfgen.canvas import Canvas

from devicepipe.documents.layout import Layout, heading_mark, lay_out
from devicepipe.documents.model import ACCENT, Document
from devicepipe.documents.page import HEAVY, SIDE, Page
from devicepipe.documents.pdf_page import Glyphs, page_code
from devicepipe.documents.typeface import Face, measure
from devicepipe.documents.visible import visible

_CREATOR = "devicepipe"


def render_pdf(document: Document) -> bytes:
    """The document as PDF 1.4: embedded fonts only, bookmarks, links in the table of contents, metadata.

    Not tagged (reportlab cannot): the HTML rendering of the same document is its accessible twin.
    """
    layout = lay_out(document)
    if document.accent != ACCENT:
        for page in layout.pages:
            _accent(page, document.accent)
    out = io.BytesIO()
    with _fixed_settings():
        canvas = _canvas(document, out)
        glyphs = Glyphs(canvas)
        for page in layout.pages:
            canvas.setPageSize((page.width, page.height))
            code = page_code(page, glyphs)
            canvas._code.append(code)  # noqa: SLF001
            canvas._doc.signature.update(code.encode("utf-8"))  # noqa: SLF001
            _marks(canvas, page)
            canvas.showPage()
            # reportlab writes an empty transition dictionary on each page, which PDF/A forbids.
            canvas._doc.Pages.pages[-1].Trans = None  # noqa: SLF001
        _outline(canvas, layout)
        canvas.save()
    return out.getvalue()


def _accent(page: Page, accent: int) -> None:
    """Headings, rules and column heads in the branding's colour; figures and logos stay as they are."""
    page.fills = [(*box, accent if color == HEAVY else color) for *box, color in page.fills]  # type: ignore[misc]
    page.lines = [(*line, accent if color == HEAVY else color) for *line, color in page.lines]  # type: ignore[misc]
    page.texts = [
        (x, base, face, size, accent if color == HEAVY else color, text)
        for x, base, face, size, color, text in page.texts
    ]


@contextmanager
def _fixed_settings() -> Iterator[None]:
    """Reportlab's settings that reach a file and have no argument: set for one rendering, then put back."""
    wanted = {"invariant": 1, "pdfComments": 0, "useA85": 0}
    before = {name: getattr(rl_config, name) for name in wanted if hasattr(rl_config, name)}
    for name, value in wanted.items():
        setattr(rl_config, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(rl_config, name, value)


def _canvas(document: Document, out: io.BytesIO) -> Any:
    measure("", Face.REGULAR, 1)  # registers the face that the canvas starts with
    canvas = Canvas(
        out,
        pageCompression=0,
        invariant=1,
        pdfVersion=(1, 4),
        initialFontName=Face.REGULAR.value,
        initialFontSize=8,
        lang=document.language,
    )
    internal: Any = canvas._doc  # noqa: SLF001
    created = datetime.fromisoformat(document.created).astimezone(UTC)
    # reportlab would take both from SOURCE_DATE_EPOCH or a constant.
    internal._timeStamp.YMDhms = tuple(created.timetuple())[:6]  # noqa: SLF001
    internal.signature = hashlib.md5(usedforsecurity=False)
    for part in (document.identifier, document.title, document.subject):
        internal.signature.update(part.encode("utf-8", "backslashreplace"))
    canvas.setTitle(visible(document.title))
    canvas.setAuthor(visible(document.author))
    canvas.setSubject(visible(document.subject))
    canvas.setKeywords(visible(document.identifier))
    canvas.setCreator(_CREATOR)
    canvas.setProducer(_CREATOR)
    canvas.setViewerPreference("DisplayDocTitle", "true")
    return canvas


def _marks(canvas: Any, page: Page) -> None:
    """The places that links of other pages lead to, and the page's own links."""
    top = page.height
    for mark, y in page.marks:
        canvas.bookmarkHorizontalAbsolute(mark, round(top - y + 6, 2), left=SIDE)
    for x, y, width, height, mark in page.links:
        area = tuple(round(number, 2) for number in (x, top - y - height, x + width, top - y))
        canvas.linkAbsolute("", mark, area, Border="[0 0 0]")


def _outline(canvas: Any, layout: Layout) -> None:
    level = -1
    for mark, heading in enumerate(layout.headings):
        level = min(heading.level - 1, level + 1)
        canvas.addOutlineEntry(
            visible(heading.label).replace("\n", " "), heading_mark(mark), level=level, closed=level > 0
        )
    if layout.headings:
        canvas.showOutline()
