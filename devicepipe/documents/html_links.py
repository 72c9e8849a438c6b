"""Links and anchors of cells in HTML: within the page, to the other pages of the set, and to files of the bundle beside them."""

from __future__ import annotations

import html
from collections.abc import Callable
from urllib.parse import quote

from devicepipe.documents.linking import anchors_of, inside
from devicepipe.documents.model import Cell, Document
from devicepipe.documents.visible import visible

_BUNDLE = "../"
"""The bundle's folder as seen from a page, which lies in its documents/."""
_SAFE = "/:@!$&'()*+,;=-._~"  # what a fragment may have as it is (RFC 3986, 3.5), but "?"


class Links:
    """The links of a page. Each anchor becomes an id once, where it stands first."""

    def __init__(self, document: Document) -> None:
        self._own = anchors_of(document)
        self._elsewhere = document.elsewhere
        self._given: set[str] = set()

    def identifier(self, cell: Cell) -> str:
        """The id attribute of a cell, "" where it needs none."""
        if not cell.anchor or cell.anchor in self._given:
            return ""
        self._given.add(cell.anchor)
        return f' id="{html.escape("".join(visible(cell.anchor).split()))}"'

    def text(self, text: str, cell: Cell, shown: Callable[[str], str]) -> str:
        """A text of a cell as HTML, with the links whose words stand in it."""
        places: list[tuple[int, int, str]] = []
        for words, target in cell.links:
            at = text.find(words)
            address = self._address(target, cell) if at >= 0 and words else ""
            if address:
                places.append((at, at + len(words), address))
        parts, done = [], 0
        for begin, end, address in sorted(places):
            if begin >= done:
                parts += [shown(text[done:begin]), f'<a href="{address}">{shown(text[begin:end])}</a>']
                done = end
        return "".join([*parts, shown(text[done:])])

    def _address(self, target: str, cell: Cell) -> str:
        if not target.startswith("#"):
            return html.escape(_BUNDLE + quote(target))
        anchor = target[1:]
        page = "" if anchor in self._own else self._elsewhere.get(anchor, "")
        if page:
            return html.escape(f"{quote(page)}.html#{_fragment(anchor)}")
        own = inside(target, self._own)
        return html.escape(f"#{_fragment(own)}") if own and own != cell.anchor else ""


def _fragment(anchor: str) -> str:
    return quote("".join(visible(anchor).split()), safe=_SAFE)
