"""The document model: what a document says, without how a rendering draws it.

What always holds: every block is frozen and holds plain text only. Markup lives in the types, never inside a string, so nothing
that came out of a test id or a log line can be taken for markup. A table's rows all have as many cells as the table has columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

CONTENTS_DEPTH: Final = 2
"""Headings up to this level stand in the table of contents."""

PARTS: Final = (0x1F3A5F, 0xA9CBE3, 0x3D6FA0, 0xDCC27A, 0x557341, 0xC5D8AE, 0x7B5F96, 0xC9CED4)
"""Colours of a figure's parts: dark and light in turn, so that neighbours differ in grey as well."""
BAD_PART: Final = 0x9B1C1C


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
class Title:
    """The document's title, with a line above it (the kind of document or the maker) and one below it (of what)."""

    text: str
    above: str = ""
    below: str = ""


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
    """A table cell: its text, a quieter second text below it, and how it stands out."""

    text: str = ""
    detail: str = ""
    tone: Tone = Tone.PLAIN
    strong: bool = False


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
    `empty` is what a table without rows says.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    group_columns: int = 0
    row_header: int = 0
    empty: str = "None."

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
class KeyValues:
    """Facts by name, one a line."""

    caption: str
    rows: tuple[tuple[str, Cell], ...]


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


Block = Heading | Title | Paragraph | Bullets | Table | Bars | KeyValues | Notice | Contents | PageBreak


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
