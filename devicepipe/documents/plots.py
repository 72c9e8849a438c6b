"""Figures drawn from numbers: curves in axes, and maps of tiles. A figure is a few shapes in points; renderers only draw them.

Curves are told apart by colour, by their marks and by the names at their ends, never by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from devicepipe.documents.model import Figure, Label, Path, Rectangle, Shape, is_dark

WIDTH: Final = 498.0
"""The width of a figure in points: that of a portrait page between its margins, or a little less."""

_INK, _QUIET, _RULE = 0x1B2430, 0x586472, 0xCBD2DA
_LIMIT: Final = 0x9B1C1C
_COLORS: Final = (0x1F3A5F, 0xB3541E, 0x2E7D4F, 0x7B5F96, 0x00798C, 0x8C6D1F, 0x5B6B7B, 0xA23B72)
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 12.0, 10.0, 30.0
_LEGEND_ROW, _LEGEND_COLUMN = 11.0, 116.0
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """A named curve through points; a limit is drawn dashed, and without marks."""

    name: str
    points: tuple[tuple[float, float], ...]
    limit: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: what it shows, whether it is logarithmic, and names in the place of numbers (at 0, 1, 2 …)."""

    title: str
    logarithmic: bool = False
    names: tuple[str, ...] = ()


def curves(caption: str, lines: Sequence[Curve], x: Axis, y: Axis, summary: str, *, height: float = 190.0) -> Figure:
    """Curves in axes, with a legend below."""
    across = [place for line in lines for place, _ in line.points]
    values = [value for line in lines for _, value in line.points]
    x_ticks = [float(at) for at in range(len(x.names))] if x.names else _x_ticks(sorted(set(across)), x)
    y_ticks = _ticks(min(values), max(values))
    own = [line for line in lines if not line.limit]
    per_row = max(1, int((WIDTH - _LEFT) // _LEGEND_COLUMN))
    legend = [*own, *[line for line in lines if line.limit][:1]]
    below = math.ceil(len(legend) / per_row) * _LEGEND_ROW
    left, right, top, bottom = _LEFT, WIDTH - _RIGHT, _TOP, height - _BOTTOM - below

    def place(value: float) -> float:
        low, high = (min(across), max(across)) if not x.names else (-0.3, len(x.names) - 0.7)
        if x.logarithmic:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return left + (right - left) * ((value - low) / (high - low) if high > low else 0.5)

    def level(value: float) -> float:
        low, high = y_ticks[0], y_ticks[-1]
        return bottom - (bottom - top) * (value - low) / (high - low)

    shapes: list[Shape] = []
    for tick in y_ticks:
        shapes.append(Path(((left, level(tick)), (right, level(tick))), _RULE, 0.4))
        shapes.append(Label(left - 4, level(tick) + 2.4, _number(tick), 6.6, _QUIET, "right"))
    for at in x_ticks:
        shapes.append(Path(((place(at), bottom), (place(at), bottom + 3)), _QUIET, 0.5))
        name = x.names[int(at)] if x.names else _number(at)
        shapes.append(Label(place(at), bottom + 10.5, name, 6.6, _QUIET, "middle"))
    shapes.append(Path(((left, top), (left, bottom), (right, bottom)), _INK, 0.7))
    shapes.append(Label((left + right) / 2, bottom + 21, x.title, 7.0, _INK, "middle"))
    shapes.append(Label(left - 40, top - 2, y.title, 7.0, _INK))
    for line in (line for line in lines if line.limit):
        points = tuple((place(at), level(value)) for at, value in line.points)
        shapes.append(Path(points, _LIMIT, 0.9, dashed=True))
    for index, line in enumerate(own):
        points = tuple((place(at), level(value)) for at, value in line.points)
        color = _COLORS[index % len(_COLORS)]
        shapes.append(Path(points, color, 1.2))
        shapes += [_mark(index, at, value, color) for at, value in points]
    for index, line in enumerate(legend):
        row, column = divmod(index, per_row)
        at, base = left + column * _LEGEND_COLUMN, bottom + 31 + row * _LEGEND_ROW
        color = _LIMIT if line.limit else _COLORS[index % len(_COLORS)]
        shapes.append(Path(((at, base - 2.3), (at + 14, base - 2.3)), color, 1.2, dashed=line.limit))
        if not line.limit:
            shapes.append(_mark(index, at + 7, base - 2.3, color))
        shapes.append(Label(at + 18, base, "limits" if line.limit else line.name, 7.0, _INK))
    return Figure(caption, WIDTH, height, tuple(shapes), summary)


def _mark(index: int, x: float, y: float, color: int) -> Shape:
    """A mark of a curve's own form: square, diamond, triangle up or down."""
    size = 2.0
    ring: tuple[tuple[float, float], ...]
    match index % 4:
        case 0:
            return Rectangle(x - size, y - size, 2 * size, 2 * size, fill=color)
        case 1:
            ring = ((x, y - size * 1.4), (x + size * 1.4, y), (x, y + size * 1.4), (x - size * 1.4, y))
        case 2:
            ring = ((x - size * 1.2, y + size), (x + size * 1.2, y + size), (x, y - size * 1.3))
        case _:
            ring = ((x - size * 1.2, y - size), (x + size * 1.2, y - size), (x, y + size * 1.3))
    return Path((*ring, ring[0]), fill=color)


def _x_ticks(places: list[float], axis: Axis) -> list[float]:
    """The places themselves where they are few or the axis is logarithmic, else round numbers."""
    if len(places) <= 2 * _TICKS:
        return places
    if axis.logarithmic:
        return places[:: math.ceil(len(places) / (2 * _TICKS))]
    return [tick for tick in _ticks(places[0], places[-1]) if places[0] <= tick <= places[-1]]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose a range."""
    if high <= low:
        low, high = low - 1, high + 1
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 10) for at in range(first, max(last, first + 1) + 1)]


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile of a map: two short lines of text, its colour, and whether it stands out as bad."""

    text: str
    detail: str
    color: int
    bad: bool = False


def tiles(
    caption: str, rows: Sequence[str], columns: Sequence[str], tile: Callable[[int, int], Tile | None], summary: str
) -> Figure:
    """A map: a row for each name at the left, a column for each name above; a tile that there is not stays empty."""
    left, head, row_height, gap = 74.0, 24.0, 25.0, 1.5
    width = (WIDTH - left) / max(1, len(columns))
    shapes: list[Shape] = []
    for at, name in enumerate(columns):
        words = _broken(name, width)
        for line, word in enumerate(words):
            y = head - 5 - 7.4 * (len(words) - 1 - line)
            shapes.append(Label(left + at * width + width / 2, y, word, _fitting(word, width, 6.2), _QUIET, "middle"))
    for row, name in enumerate(rows):
        y = head + row * row_height
        shapes.append(Label(0, y + row_height / 2 + 2.4, name, 7.4, _INK, strong=True))
        for at in range(len(columns)):
            found = tile(row, at)
            box = (left + at * width, y, width - gap, row_height - gap)
            if found is None:
                shapes.append(Rectangle(*box, stroke=_RULE))
                continue
            shapes.append(Rectangle(*box, fill=found.color, stroke=_LIMIT if found.bad else None))
            ink = 0xFFFFFF if is_dark(found.color) else _INK
            middle = box[0] + box[2] / 2
            text, detail = _fitting(found.text, box[2], 7.0), _fitting(found.detail, box[2], 5.8)
            shapes.append(Label(middle, y + 10, found.text, text, ink, "middle", strong=True))
            shapes.append(Label(middle, y + 19, found.detail, detail, ink, "middle"))
    return Figure(caption, WIDTH, head + len(rows) * row_height + 2, tuple(shapes), summary)


def _fitting(text: str, width: float, size: float) -> float:
    """A size at which a text about fits into a width: a character takes about half of its size."""
    return round(min(size, 1.8 * width / max(1, len(text))), 1)


def _broken(name: str, width: float) -> list[str]:
    """A column's name in at most two lines of about that width."""
    if len(name) * 3.2 <= width or "-" not in name:
        return [name]
    first, _, rest = name.partition("-")
    return [f"{first}-", rest]
