"""Pages being filled: what is drawn where, and a cursor that moves down and turns pages.

Coordinates are in points; y counts downwards from the top edge of the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from devicepipe.documents.model import Logo, Path, Tone
from devicepipe.documents.typeface import Face, Line, Style

PAPER: Final[dict[str, tuple[float, float]]] = {"A4": (595.28, 841.89), "Letter": (612.0, 792.0)}

INK: Final = 0x1B2430
QUIET: Final = 0x586472
RULE: Final = 0xCBD2DA
HEAVY: Final = 0x1F3A5F
SHADE: Final = 0xEEF2F6
LINK: Final = 0xBFD2E3
WHITE: Final = 0xFFFFFF

TONE_INK: Final[dict[Tone, int]] = {
    Tone.PLAIN: INK,
    Tone.MUTED: QUIET,
    Tone.GOOD: 0x14602F,
    Tone.WARNING: 0x7A4B00,
    Tone.BAD: 0x9B1C1C,
}
TONE_FILL: Final[dict[Tone, int]] = {
    Tone.PLAIN: SHADE,
    Tone.MUTED: SHADE,
    Tone.GOOD: 0xE7F3EA,
    Tone.WARNING: 0xFCF1D8,
    Tone.BAD: 0xFBE8E7,
}

BODY: Final = Style(Face.REGULAR, 9.5, 12.8, INK)
HEADINGS: Final[dict[Literal[1, 2, 3], Style]] = {
    1: Style(Face.STRONG, 16, 20, HEAVY),
    2: Style(Face.STRONG, 11.5, 15, HEAVY),
    3: Style(Face.STRONG, 9.5, 12.8, INK),
}
CELL: Final = Style(Face.REGULAR, 8, 9.8, INK)
DETAIL: Final = Style(Face.REGULAR, 7, 8.6, QUIET)
COLUMN_HEAD: Final = Style(Face.STRONG, 7.6, 9.4, HEAVY)
CAPTION: Final = Style(Face.STRONG, 8.4, 11, INK)

SIDE: Final = 48.0
HEADER_BASE: Final = 34.0
HEADER_RULE: Final = 40.0
BANNER_HEIGHT: Final = 19.0
TOP: Final = 56.0
BOTTOM: Final = 46.0


@dataclass(slots=True)
class Page:
    """One page: its size and what is drawn on it, in drawing order: fills, frames and lines, texts."""

    width: float
    height: float
    fills: list[tuple[float, float, float, float, int]] = field(default_factory=list)  # x, y, width, height, colour
    frames: list[tuple[float, float, float, float, int]] = field(default_factory=list)  # the same, outline only
    lines: list[tuple[float, float, float, float, float, int]] = field(
        default_factory=list
    )  # x1, y1, x2, y2, width, colour
    texts: list[tuple[float, float, Face, float, int, str]] = field(
        default_factory=list
    )  # x, baseline, …, colour, text
    paths: list[Path] = field(default_factory=list)  # in points of the page
    image: tuple[float, float, float, float, Logo] | None = None  # x, y, width, height, pixels
    links: list[tuple[float, float, float, float, str]] = field(default_factory=list)  # x, y, width, height, mark
    marks: list[tuple[str, float]] = field(default_factory=list)  # name of a heading or an anchor, y

    def text(self, x: float, baseline: float, style: Style, text: str) -> None:
        """Put drawable text with its baseline at that height."""
        if text:
            self.texts.append((x, baseline, style.face, style.size, style.color, text))

    def runs(self, x: float, baseline: float, style: Style, line: Line, widths: list[float]) -> None:
        """Put a line of several faces; `widths` are those of its parts."""
        for (face, text), width in zip(line, widths, strict=True):
            self.texts.append((x, baseline, face, style.size, style.color, text))
            x += width


class Flow:
    """The pages so far and the place where the next thing goes.

    Attributes:
        y: Where the next thing begins on the last page.
        anchors: Those that the document has.
    """

    def __init__(self, paper: str, *, banner: bool, anchors: frozenset[str] = frozenset()) -> None:
        self.anchors = anchors
        self._anchored: set[str] = set()
        self._paper = PAPER[paper]
        self._top = TOP + (BANNER_HEIGHT + 4 if banner else 0)
        self._landscape = False
        self.pages: list[Page] = []
        self.turn()

    @property
    def page(self) -> Page:
        """The page being filled."""
        return self.pages[-1]

    @property
    def width(self) -> float:
        """The width between the margins of the page being filled."""
        return self.page.width - 2 * SIDE

    @property
    def room(self) -> float:
        """The height left on the page."""
        return self.page.height - BOTTOM - self.y

    @property
    def full(self) -> float:
        """The height of an empty page."""
        return self.page.height - BOTTOM - self._top

    @property
    def fresh(self) -> bool:
        """Whether nothing stands on the page yet."""
        return self.y == self._top

    def turn(self, *, landscape: bool | None = None) -> None:
        """Begin a new page; an empty page is used as it is, in the orientation that is asked for."""
        if landscape is not None:
            self._landscape = landscape
        width, height = self._paper[::-1] if self._landscape else self._paper
        if self.pages and self.fresh:
            self.pages.pop()
        self.pages.append(Page(width, height))
        self.y = self._top

    def need(self, height: float) -> None:
        """Turn the page unless so much height is left (or the page is empty anyway)."""
        if height > self.room and not self.fresh:
            self.turn()

    def skip(self, height: float) -> None:
        """Leave white space, but none at the top of a page."""
        if not self.fresh:
            self.y += height

    def anchor(self, name: str) -> None:
        """Links to that anchor lead to this place, unless they lead to an earlier one."""
        if name and name not in self._anchored:
            self._anchored.add(name)
            self.page.marks.append((name, self.y))
