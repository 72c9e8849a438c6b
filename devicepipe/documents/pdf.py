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
from devicepipe.documents.model import ACCENT, Document, Logo, Path
from devicepipe.documents.page import HEAVY, INK, SIDE, Page
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
        for page in layout.pages:
            canvas.setPageSize((page.width, page.height))
            _draw(canvas, page)
            canvas.showPage()
            # reportlab writes an empty transition dictionary on each page, which PDF/A forbids.
            canvas._doc.Pages.pages[-1].Trans = None  # noqa: SLF001
        for page in layout.pages:
            canvas._doc.signature.update(repr(page.texts).encode("utf-8", "backslashreplace"))  # noqa: SLF001
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


def _rgb(color: int) -> tuple[float, ...]:
    """Red, green and blue from 0 to 1."""
    return tuple(round((color >> shift & 255) / 255, 3) for shift in (16, 8, 0))


def _rounded(*numbers: float) -> tuple[float, ...]:
    return tuple(round(number, 2) for number in numbers)


def _draw(canvas: Any, page: Page) -> None:
    """Draw a page. Coordinates are rounded here, so that no other code's way of printing numbers shows in the file."""
    top = page.height
    for x, y, width, height, color in page.fills:
        canvas.setFillColorRGB(*_rgb(color))
        canvas.rect(*_rounded(x, top - y - height, width, height), stroke=0, fill=1)
    canvas.setLineWidth(0.8)
    for x, y, width, height, color in page.frames:
        canvas.setStrokeColorRGB(*_rgb(color))
        canvas.rect(*_rounded(x, top - y - height, width, height), stroke=1, fill=0)
    strokes: dict[tuple[float, int], list[tuple[float, ...]]] = {}
    for x1, y1, x2, y2, weight, color in page.lines:
        strokes.setdefault((weight, color), []).append(_rounded(x1, top - y1, x2, top - y2))
    for (weight, color), lines in strokes.items():
        canvas.setLineWidth(weight)
        canvas.setStrokeColorRGB(*_rgb(color))
        canvas.lines(lines)
    for path in page.paths:
        _draw_path(canvas, path, top)
    if page.image is not None:
        _draw_image(canvas, page.image, top)
    _write(canvas, page, top)
    for mark, y in page.marks:
        canvas.bookmarkHorizontalAbsolute(mark, round(top - y + 6, 2), left=SIDE)
    for x, y, width, height, mark in page.links:
        area = _rounded(x, top - y - height, x + width, top - y)
        canvas.linkAbsolute("", mark, area, Border="[0 0 0]")


def _write(canvas: Any, page: Page, top: float) -> None:
    """The page's texts, as one text object."""
    text = canvas.beginText(0, 0)
    face, size, ink = Face.REGULAR, 0.0, INK
    text.setFillColorRGB(*_rgb(ink))
    for x, baseline, new_face, new_size, color, string in page.texts:
        if new_face is not face or new_size != size:
            face, size = new_face, new_size
            text.setFont(face.value, size)
        if color != ink:
            ink = color
            text.setFillColorRGB(*_rgb(ink))
        text.setTextOrigin(*_rounded(x, top - baseline))
        text.textOut(string)
    canvas.drawText(text)


def _draw_path(canvas: Any, shape: Path, top: float) -> None:
    path = canvas.beginPath()
    for ring in (shape.points, *shape.more):
        for number, (x, y) in enumerate(ring):
            (path.lineTo if number else path.moveTo)(*_rounded(x, top - y))
    if shape.fill is not None:
        canvas.setFillColorRGB(*_rgb(shape.fill))
    if shape.stroke is not None:
        canvas.setStrokeColorRGB(*_rgb(shape.stroke))
        canvas.setLineWidth(round(shape.width, 2))
        canvas.setDash(*((3, 2) if shape.dashed else ()))
    # Even-odd, so that a ring inside another one is a hole whichever way round it was drawn.
    canvas.drawPath(path, stroke=int(shape.stroke is not None), fill=int(shape.fill is not None), fillMode=0)
    if shape.dashed:
        canvas.setDash()


def _draw_image(canvas: Any, image: tuple[float, float, float, float, Logo], top: float) -> None:
    """Pixels as an inline image, in hexadecimal: not compressed, so that they are the same bytes with any zlib."""
    x, y, width, height, logo = image
    x, bottom, width, height = _rounded(x, top - y - height, width, height)
    head = f"q {width} 0 0 {height} {x} {bottom} cm\nBI /W {logo.width:.0f} /H {logo.height:.0f} /CS /RGB /BPC 8 /F /AHx\nID "
    canvas._code.append(f"{head}{logo.pixels.hex()}>\nEI Q")  # noqa: SLF001


def _outline(canvas: Any, layout: Layout) -> None:
    level = -1
    for mark, heading in enumerate(layout.headings):
        level = min(heading.level - 1, level + 1)
        canvas.addOutlineEntry(
            visible(heading.label).replace("\n", " "), heading_mark(mark), level=level, closed=level > 0
        )
    if layout.headings:
        canvas.showOutline()
