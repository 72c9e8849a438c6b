"""What can be seen wrong with a page without looking at it: text outside of its page or over another text, headings left alone."""

from __future__ import annotations

from collections.abc import Iterator

from devicepipe.documents.layout import lay_out
from devicepipe.documents.model import Document
from devicepipe.documents.page import BOTTOM, SIDE, Page
from devicepipe.documents.typeface import measure

_SLACK = 0.6
_LEAST_BELOW = 24.0
"""Points that must follow the top of a heading on its page: itself, and at least a line."""


def faults(document: Document) -> list[str]:
    """A sentence for each fault, with the page's number."""
    layout = lay_out(document)
    return [
        f"{document.name}, page {number}: {fault}"
        for number, page in enumerate(layout.pages, start=1)
        for fault in (*_outside(page), *_overlaps(page), *_alone(page))
    ]


def _boxes(page: Page) -> Iterator[tuple[float, float, float, float, str]]:
    for x, baseline, face, size, _, text in page.texts:
        if text.strip():
            yield x, baseline - 0.62 * size, x + measure(text, face, size), baseline, text


def _outside(page: Page) -> Iterator[str]:
    for left, top, right, bottom, text in _boxes(page):
        if left < SIDE - _SLACK or right > page.width - SIDE + _SLACK or top < 0 or bottom > page.height - 10:
            yield f"'{text[:60]}' stands outside of the margins"
    for x, y, width, height, _ in page.fills:
        if x < SIDE - _SLACK or x + width > page.width - SIDE + _SLACK or y + height > page.height - BOTTOM + _SLACK:
            yield f"a box at {x:.0f}, {y:.0f} stands outside of the margins"


def _overlaps(page: Page) -> Iterator[str]:
    """Texts whose boxes (from the baseline to about the height of a small letter) share more than a hair."""
    boxes = sorted(_boxes(page), key=lambda box: box[1])
    for index, (left, top, right, bottom, text) in enumerate(boxes):
        for other_left, other_top, other_right, other_bottom, other in boxes[index + 1 :]:
            if other_top >= bottom:
                break
            across = min(right, other_right) - max(left, other_left)
            down = min(bottom, other_bottom) - max(top, other_top)
            if across > _SLACK and down > _SLACK:
                yield f"'{text[:60]}' and '{other[:60]}' overlap"


def _alone(page: Page) -> Iterator[str]:
    lowest = max((bottom for *_, bottom, text in _boxes(page) if bottom < page.height - BOTTOM + 1), default=0.0)
    for mark, y in page.marks:
        if mark.startswith("heading-") and lowest < y + _LEAST_BELOW:
            yield f"{mark} stands alone at the end"
