"""The document model: what a document says, without how a rendering draws it.

What always holds: every block is frozen and holds plain text only. Markup lives in the types, never inside a string, so nothing
that came out of a test id or a log line can be taken for markup. A table's rows all have as many cells as the table has columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

CONTENTS_DEPTH: Final = 2
"""Headings up to this level stand in the table of contents."""

PARTS: Final = (0x1F3A5F, 0xA9CBE3, 0x3D6FA0, 0xDCC27A, 0x557341, 0xC5D8AE, 0x7B5F96, 0xC9CED4)
"""Colours of a figure's parts: dark and light in turn, so that neighbours differ in grey as well."""
BAD_PART: Final = 0x9B1C1C
ACCENT: Final = 0x1F3A5F
"""The colour of headings and rules, unless branding says another."""


def is_dark(color: int) -> bool:
    """Whether white text is read better on it than black (weights of ITU-R BT.601)."""
    red, green, blue = color >> 16, color >> 8 & 255, color & 255
    return 299 * red + 587 * green + 114 * blue < 1000 * 0x80


class Tone(StrEnum):
    """How a text should stand out. Renderings never use colour alone for it."""

    PLAIN = "plain"
    MUTED = "muted"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


class Emphasis(StrEnum):
    """Inline emphasis of running text."""

    NONE = "none"
    STRONG = "strong"
    ITALIC = "italic"


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of running text in one emphasis."""

    text: str
    emphasis: Emphasis = Emphasis.NONE


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading. Level 1 and 2 stand in the table of contents; `number` is printed before the text ("4.2", "A")."""

    level: Literal[1, 2, 3]
    text: str
    number: str = ""

    @property
    def label(self) -> str:
        """Number and text as one string."""
        return f"{self.number}  {self.text}" if self.number else self.text


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A filled or outlined box; y counts downwards, as everywhere in a figure."""

    x: float
    y: float
    width: float
    height: float
    fill: int | None = None
    stroke: int | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """A line through points, dashed or not; a closed one with a fill is an area, in which `more` rings may leave holes."""

    points: tuple[tuple[float, float], ...]
    stroke: int | None = None
    width: float = 0.8
    dashed: bool = False
    fill: int | None = None
    more: tuple[tuple[tuple[float, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text in a figure: its anchor point is on the baseline."""

    x: float
    y: float
    text: str
    size: float = 7.0
    color: int = 0x1B2430
    align: Literal["left", "middle", "right"] = "left"
    strong: bool = False


Shape = Rectangle | Path | Label


@dataclass(frozen=True, slots=True)
class Logo:
    """A logo: what is drawn in a PDF (vector shapes or, of a PNG, its pixels as RGB), and the file, which HTML shows."""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    file: bytes
    kind: Literal["image/svg+xml", "image/png"]
    pixels: bytes = b""


@dataclass(frozen=True, slots=True)
class Title:
    """The document's title, with a line above it (the kind of document or the maker), one below it (of what), and a logo."""

    text: str
    above: str = ""
    below: str = ""
    logo: Logo | None = None


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    runs: tuple[Run, ...]

    @classmethod
    def plain(cls, text: str) -> Paragraph:
        """A paragraph without emphasis."""
        return cls((Run(text),))


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list without numbers."""

    items: tuple[tuple[Run, ...], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: its text, a quieter second text below it, and how it stands out.

    `links` are pairs: words as they stand in the text or the detail, and where they lead (`Link targets` below). `anchor` is the
    name by which others lead here; the first of a name in a document counts.

    Link targets: `#anchor` is a cell of this document or, in HTML, of another one of the set; anything else is a file of the
    bundle, which HTML leads to and PDF does not (it may be read far from the bundle).
    """

    text: str = ""
    detail: str = ""
    tone: Tone = Tone.PLAIN
    strong: bool = False
    links: tuple[tuple[str, str], ...] = ()
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A table column: its heading, its share of the table's width (in any unit) and its alignment."""

    title: str
    width: float
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Its heading row is repeated on every page.

    `group_columns` leading columns are groups: a cell that repeats the one above it (with all cells to its left) is left blank
    on paper, and shown again at the top of a page. `row_header` is the index of the column that names the row.
    `empty` is what a table without rows says. `captioned` is false where the heading above it says what the caption would.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    group_columns: int = 0
    row_header: int = 0
    empty: str = "None."
    captioned: bool = True

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table '{self.caption}': a row has {len(row)} cells, expected {len(self.columns)}")

    def repeats(self, row: int) -> int:
        """How many leading group cells of that row repeat the row above it."""
        if row == 0:
            return 0
        count = 0
        for here, above in zip(self.rows[row][: self.group_columns], self.rows[row - 1], strict=False):
            if here != above:
                break
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class Bars:
    """A figure: for each row a bar, made of parts whose lengths are counts.

    What a part is stands in `parts`, in the order in which they are drawn; those of `bad` stand out. Each row has a label and as
    many counts as there are parts; the longest row fills the width.
    """

    caption: str
    parts: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    unit: str
    bad: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for label, counts in self.rows:
            if len(counts) != len(self.parts):
                raise ValueError(
                    f"figure '{self.caption}': '{label}' has {len(counts)} counts, expected {len(self.parts)}"
                )

    @property
    def longest(self) -> int:
        """The largest sum of a row, at least 1."""
        return max([sum(counts) for _, counts in self.rows], default=0) or 1

    def color(self, part: int) -> int:
        """The colour of a part; dark ones take white text."""
        return BAD_PART if self.parts[part] in self.bad else PARTS[part % len(PARTS)]


@dataclass(frozen=True, slots=True)
class Figure:
    """A vector drawing of `width` by `height` points, scaled to the page's width where that is less.

    `summary` says in a sentence what it shows, for those who do not see it; the table behind it follows as a block of its own.
    """

    caption: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Facts by name, one a line; `captioned` as of a table."""

    caption: str
    rows: tuple[tuple[str, Cell], ...]
    captioned: bool = True


@dataclass(frozen=True, slots=True)
class Notice:
    """A box that must not be overlooked: a title and its points."""

    tone: Tone
    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """The table of contents: level 1 and 2 headings with their page numbers."""

    title: str = "Contents"


@dataclass(frozen=True, slots=True)
class PageBreak:
    """What follows begins a new page, portrait or landscape."""

    landscape: bool = False


Block = Heading | Title | Paragraph | Bullets | Table | Bars | Figure | KeyValues | Notice | Contents | PageBreak


@dataclass(frozen=True, slots=True)
class Running:
    """What stands on every page: header left and right, footer left (its right is "Page n of m"), and a banner if not empty."""

    left: str
    right: str
    footer: str
    banner: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document.

    `created` is the time that the document's metadata carry (RFC 3339 UTC, "Z"): a fact of the evidence, never the clock's.
    `name` is that of its files, without an ending; `elsewhere` says which documents of the set have the anchors that this one leads
    to and lacks (anchor -> name). `accent` is the branding's colour of headings and rules.
    """

    identifier: str
    title: str
    subject: str
    author: str
    created: str
    paper: Literal["A4", "Letter"]
    running: Running
    blocks: tuple[Block, ...]
    language: str = "en"
    name: str = ""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    accent: int = ACCENT
