"""What is on a page as PDF operators, written by hand.

A page of a matrix has a thousand texts, and reportlab's own calls take three times as long for the same in another order.
Numbers have two decimals, so that no other code's way of printing them shows in the file. Source: ISO 32000-1:2008, 8.5 and 9.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from reportlab.pdfbase import pdfmetrics

from devicepipe.documents.model import Logo, Path
from devicepipe.documents.page import Page
from devicepipe.documents.typeface import Face, faces_of

_FRAME_WIDTH = 0.8


class Glyphs:
    """The texts of one document as strings of its embedded subsets of faces: a subset grows in the order of use."""

    def __init__(self, canvas: Any) -> None:
        self._canvas = canvas
        self._document = canvas._doc  # noqa: SLF001
        self._known: dict[tuple[Face, str], tuple[tuple[str, str], ...]] = {}

    def of(self, face: Face, text: str) -> tuple[tuple[str, str], ...]:
        """Pairs of a font's name in the file and a string of it."""
        key = (face, text)
        if key not in self._known:
            self._known[key] = tuple(
                (font.getSubsetInternalName(subset, self._document), f"({self._canvas._escape(part)})")  # noqa: SLF001
                for one, stretch in faces_of(text, face)
                for font in (pdfmetrics.getFont(one.value),)
                for subset, part in font.splitString(stretch, self._document)
            )
        return self._known[key]


def page_code(page: Page, glyphs: Glyphs) -> str:
    """The content of a page."""
    top = page.height
    return "\n".join(
        [*_boxes(page, top), *_lines(page, top), *_paths(page, top), *_image(page, top), *_texts(page, top, glyphs)]
    )


@lru_cache(maxsize=256)
def _rgb(color: int) -> str:
    return " ".join(f"{(color >> shift & 255) / 255:.3f}" for shift in (16, 8, 0))


def _boxes(page: Page, top: float) -> Iterator[str]:
    ink = -1
    for x, y, width, height, color in page.fills:
        if color != ink:
            ink = color
            yield f"{_rgb(color)} rg"
        yield f"{x:.2f} {top - y - height:.2f} {width:.2f} {height:.2f} re f"
    if page.frames:
        yield f"{_FRAME_WIDTH} w"
    for x, y, width, height, color in page.frames:
        yield f"{_rgb(color)} RG {x:.2f} {top - y - height:.2f} {width:.2f} {height:.2f} re S"


def _lines(page: Page, top: float) -> Iterator[str]:
    strokes: dict[tuple[float, int], list[str]] = {}
    for x1, y1, x2, y2, weight, color in page.lines:
        strokes.setdefault((weight, color), []).append(f"{x1:.2f} {top - y1:.2f} m {x2:.2f} {top - y2:.2f} l")
    for (weight, color), lines in strokes.items():
        yield f"{weight:.2f} w {_rgb(color)} RG"
        yield from lines
        yield "S"


def _paths(page: Page, top: float) -> Iterator[str]:
    for path in page.paths:
        if path.fill is not None:
            yield f"{_rgb(path.fill)} rg"
        if path.stroke is not None:
            yield f"{_rgb(path.stroke)} RG {path.width:.2f} w {'[3 2] 0 d' if path.dashed else '[] 0 d'}"
        for ring in (path.points, *path.more):
            words = [f"{x:.2f} {top - y:.2f} {'l' if number else 'm'}" for number, (x, y) in enumerate(ring)]
            yield " ".join(words)
        yield _painted(path)
    if page.paths:
        yield "[] 0 d"


def _painted(path: Path) -> str:
    """The operator that ends a path: even-odd, so that a ring inside another one is a hole whichever way round it was drawn."""
    if path.fill is None:
        return "S" if path.stroke is not None else "n"
    return "f*" if path.stroke is None else "B*"


def _image(page: Page, top: float) -> Iterator[str]:
    """Pixels as an inline image, in hexadecimal: not compressed, so that they are the same bytes with any zlib."""
    if page.image is not None:
        x, y, width, height, logo = page.image
        yield f"q {width:.2f} 0 0 {height:.2f} {x:.2f} {top - y - height:.2f} cm"
        yield _inline(logo)
        yield "Q"


def _inline(logo: Logo) -> str:
    return f"BI /W {logo.width:.0f} /H {logo.height:.0f} /CS /RGB /BPC 8 /F /AHx\nID {logo.pixels.hex()}>\nEI"


def _texts(page: Page, top: float, glyphs: Glyphs) -> Iterator[str]:
    yield "BT"
    font, ink = ("", 0.0), -1
    for x, baseline, face, size, color, string in page.texts:
        if color != ink:
            ink = color
            yield f"{_rgb(ink)} rg"
        place = f"1 0 0 1 {x:.2f} {top - baseline:.2f} Tm"
        for name, text in glyphs.of(face, string):
            if (name, size) != font:
                font = name, size
                yield f"{name} {size:g} Tf"
            yield f"{place} {text} Tj"
            place = ""
    yield "ET"
