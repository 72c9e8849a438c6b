"""The typeface of the PDFs (Source Sans Pro, embedded as a subset): coverage, widths and line breaking.

Characters that it lacks and WenQuanYi Micro Hei has (Chinese, Japanese, Korean) come from there, upright and regular whatever the
face; that font is read when the first of them is met, and only what is used of it is embedded.

Lines are broken here and not by reportlab's paragraphs because a table of 10,000 rows has some 70,000 cells, and because
identifiers, paths and digests must break where a reader expects it.

Sizes and widths are in points (1/72 inch).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import font_source_sans_pro
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from devicepipe.documents.visible import code_point, visible


class Face(StrEnum):
    """The faces in use; the value is the name under which reportlab knows it. WIDE is only ever a fallback."""

    REGULAR = "devicepipe-Regular"
    STRONG = "devicepipe-Semibold"
    ITALIC = "devicepipe-It"
    WIDE = "devicepipe-Wide"


_FILES = {
    Face.REGULAR: "SourceSansPro-Regular.ttf",
    Face.STRONG: "SourceSansPro-Semibold.ttf",
    Face.ITALIC: "SourceSansPro-It.ttf",
}


@dataclass(frozen=True, slots=True)
class Style:
    """Face, size, line distance and colour (0xRRGGBB) of a line of text."""

    face: Face
    size: float
    leading: float
    color: int


@cache
def _widths(face: Face) -> dict[str, int]:
    """Advance widths of the face's characters in 1/1000 of the size. Registers the face with reportlab at first use.

    A face stays registered: reportlab keeps what a document uses of it per document, so renderings do not see each other.
    `asciiReadable` is given because its default can be changed from outside (reportlab's settings, environment).
    """
    folder = Path(font_source_sans_pro.__file__).parent / "files"
    font = TTFont(face.value, str(folder / _FILES[face]), asciiReadable=True, shapable=False)
    pdfmetrics.registerFont(font)
    widths: dict[int, int] = font.face.charWidths
    return {chr(code): widths[code] for code in font.face.charToGlyph if code in widths}


@cache
def own(face: Face) -> frozenset[str]:
    """The characters that a face has itself; asked for before it borrows the width of another one's."""
    return frozenset(_widths(face))


@cache
def _wide() -> dict[str, int]:
    """The advance widths of the fallback. Registers it with reportlab at first use."""
    import paperang_p2_fonts_cjk

    path = Path(paperang_p2_fonts_cjk.__file__).parent / "fonts" / "wqy-microhei.ttc"
    font = TTFont(Face.WIDE.value, str(path), subfontIndex=0, asciiReadable=True, shapable=False)
    pdfmetrics.registerFont(font)
    widths: dict[int, int] = font.face.charWidths
    return {chr(code): widths[code] for code in font.face.charToGlyph if code in widths}


def _has(face: Face, character: str) -> bool:
    """Whether a character can be drawn: by the face, or by the fallback, whose width the face then borrows."""
    widths = _widths(face)
    if character in widths:
        return True
    if character < _FIRST_WIDE or character not in _wide():
        return False
    own(face)
    widths[character] = _wide()[character]
    return True


def drawable(text: str, face: Face) -> str:
    """The text with every character that no face has as its visible code: nothing is ever dropped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character == "\n" or _has(face, character) else code_point(character)
        for character in visible(text)
    )


def faces_of(text: str, face: Face) -> list[tuple[Face, str]]:
    """A drawable text in stretches of the face that has their characters."""
    if text.isascii():
        return [(face, text)]
    known, found = own(face), list[tuple[Face, str]]()
    for character in text:
        one = face if character in known else Face.WIDE
        if found and found[-1][0] is one:
            found[-1] = one, found[-1][1] + character
        else:
            found.append((one, character))
    return found


def supporting(text: str, face: Face) -> Face:
    """The face itself, or the regular one where only that has all characters (the italic lacks Greek and Cyrillic)."""
    if face is not Face.ITALIC or text.isascii():
        return face
    missing = set(text) - own(face)
    return Face.REGULAR if missing & own(Face.REGULAR) else face


def measure(text: str, face: Face, size: float) -> float:
    """The width of drawable text."""
    widths = _widths(face)
    return sum([widths[character] for character in text]) * size / 1000


_FIRST_WIDE = "\u1100"
"""The first character of Hangul: below it, the fallback would only differ in style from what the typeface shows as codes."""
_SEPARATORS = r"/._:,;=\-\[\](){}|@#+&?"
_PIECES = re.compile(rf"[^{_SEPARATORS}]*[{_SEPARATORS}]+|[^{_SEPARATORS}]+")
_WORDS = re.compile(r"\s+|\S+")
_DIGEST = re.compile(r"[0-9a-f]{32,}")
_WIDEST_DIGIT = "d"


def _pieces(word: str, face: Face, size: float, width: float) -> list[str]:
    """A word that is wider than a line, cut where it may break (after punctuation, else anywhere), so that every piece fits."""
    pieces: list[str] = []
    widths = _widths(face)
    for piece in _PIECES.findall(word):
        begin, used = 0, 0.0
        for at, character in enumerate(piece):
            advance = widths[character] * size / 1000
            if used + advance > width and at > begin:
                pieces.append(piece[begin:at])
                begin, used = at, 0.0
            used += advance
        pieces.append(piece[begin:])
    return pieces


def _long_word(word: str, face: Face, size: float, width: float) -> list[str]:
    """The lines of a word that is wider than a line. Digests get lines of equal length: 32, 16 or 8 digits."""
    if _DIGEST.fullmatch(word):
        part = next((n for n in (32, 16, 8) if n * measure(_WIDEST_DIGIT, face, size) <= width), 4)
        return [word[at : at + part] for at in range(0, len(word), part)]
    lines: list[str] = []
    line, used = "", 0.0
    for piece in _pieces(word, face, size, width):
        needs = measure(piece, face, size)
        if line and used + needs > width:
            lines.append(line)
            line, used = "", 0.0
        line, used = line + piece, used + needs
    return [*lines, line]


def wrap(text: str, face: Face, size: float, width: float) -> list[str]:
    """Break text into drawable lines of at most that width; one empty line for an empty text."""
    lines: list[str] = []
    space = measure(" ", face, size)
    for part in drawable(text, face).split("\n"):
        if measure(part, face, size) <= width:
            lines.append(part.rstrip())
            continue
        line, used = "", 0.0
        for word in part.split():
            needs = measure(word, face, size)
            if line and used + space + needs <= width:
                line, used = f"{line} {word}", used + space + needs
                continue
            if line:
                lines.append(line)
            if needs <= width:
                line, used = word, needs
                continue
            *whole, line = _long_word(word, face, size, width)
            lines += whole
            used = measure(line, face, size)
        lines.append(line)
    return lines


Line = list[tuple[Face, str]]


def wrap_runs(runs: list[tuple[Face, str]], size: float, width: float) -> list[Line]:
    """Break running text of several faces into lines. Line ends in it are spaces."""
    lines: list[Line] = []
    line: Line = []
    used, gap = 0.0, ""
    for wanted, text in runs:
        face = supporting(text, wanted)
        for token in _WORDS.findall(drawable(text, face)):
            if token.isspace():
                gap = " "
                continue
            for index, piece in enumerate(wrap(token, face, size, width)):
                needs = measure(gap + piece, face, size)
                if line and (index or used + needs > width):
                    lines.append(line)
                    line = []
                if line:
                    line.append((face, gap + piece))
                    used += needs
                else:
                    line, used = [(face, piece)], measure(piece, face, size)
                gap = ""
    return [*lines, line] if line else lines
