"""Where the links of a document's cells lead, and which anchors it has.

A cell leads to an anchor of its document, else to one of another document of the set (HTML only), else to where the item is
mentioned in its own document, or to a file of the bundle: in HTML to the file itself, in a PDF to the row that has its digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from devicepipe.documents import anchors
from devicepipe.documents.model import Cell, Document, KeyValues, Table


def cells_of(document: Document) -> Iterator[Cell]:
    """All cells of a document's tables."""
    for block in document.blocks:
        if isinstance(block, Table):
            for row in block.rows:
                yield from row
        elif isinstance(block, KeyValues):
            for _, cell in block.rows:
                yield cell


def anchors_of(document: Document) -> frozenset[str]:
    """The anchors that a document has."""
    return frozenset(cell.anchor for cell in cells_of(document) if cell.anchor)


def inside(target: str, own: frozenset[str]) -> str:
    """The anchor of the document itself that a target leads to, "" where there is none."""
    if not target.startswith("#"):
        anchor = anchors.file(target)
        return anchor if anchor in own else ""
    anchor = target[1:]
    if anchor in own:
        return anchor
    mention = anchors.mention_of(anchor)
    return mention if mention in own else ""


def with_links(documents: tuple[Document, ...], *, last: str = "") -> tuple[Document, ...]:
    """The documents, each knowing which other one has what it leads to: the first of the set that has it.

    The one called `last` comes last: it tells of everything, and the others tell it better.
    """
    homes: dict[str, str] = {}
    own = [anchors_of(document) for document in documents]
    for document, found in sorted(zip(documents, own, strict=True), key=lambda pair: pair[0].name == last):
        for anchor in found:
            homes.setdefault(anchor, document.name)
    return tuple(
        replace(document, elsewhere=_elsewhere(document, found, homes))
        for document, found in zip(documents, own, strict=True)
    )


def _elsewhere(document: Document, own: frozenset[str], homes: Mapping[str, str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for cell in cells_of(document):
        for _, target in cell.links:
            anchor = target[1:]
            if target[0] == "#" and anchor not in own and anchor in homes:
                found[anchor] = homes[anchor]
    return found
