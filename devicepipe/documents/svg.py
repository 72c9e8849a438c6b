"""A small part of SVG 1.1 as shapes: what a logo needs. Anything else is refused with its line; nothing is silently left out.

Known: svg (viewBox, or width and height), g, path (all commands but arcs), rect, circle, ellipse, line, polygon, polyline; title
and desc are skipped. Attributes: fill, stroke, stroke-width (also inside style), transform. Curves become polylines, fine enough
for print.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from xml.parsers import expat

from devicepipe.documents.model import Path

Points = list[tuple[float, float]]
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_COMMAND: Final = re.compile(r"([MmLlHhVvCcSsQqTtZz])|([A-Za-z])|(" + _NUMBER.pattern + ")")
_TRANSFORM: Final = re.compile(r"(\w+)\s*\(([^)]*)\)")
_STEPS: Final = 16
"""Straight pieces of a curve."""
_CIRCLE: Final = 48
_NAMED: Final = {
    "black": 0x000000,
    "white": 0xFFFFFF,
    "red": 0xFF0000,
    "green": 0x008000,
    "blue": 0x0000FF,
    "gray": 0x808080,
}
_SKIPPED: Final = {"title", "desc", "metadata", "defs"}
_SHAPES: Final = {"path", "rect", "circle", "ellipse", "line", "polygon", "polyline"}
_KNOWN: Final = _SHAPES | {"svg", "g"}
_IGNORED: Final = {
    "id", "class", "version", "xmlns", "viewBox", "width", "height", "x", "y", "d", "points", "r", "rx", "ry", "cx", "cy",
    "x1", "y1", "x2", "y2", "style", "role", "fill-rule", "clip-rule", "stroke-linecap", "stroke-linejoin",
    "stroke-miterlimit", "preserveAspectRatio",
}  # fmt: skip
_PAINT: Final = {"fill", "stroke", "stroke-width", "transform"}


class SvgError(ValueError):
    """Something that is no SVG, or no part of what is known; `line` is where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


Matrix = tuple[float, float, float, float, float, float]
_SAME: Final[Matrix] = (1, 0, 0, 1, 0, 0)


@dataclass(frozen=True, slots=True)
class _State:
    matrix: Matrix = _SAME
    fill: int | None = 0
    stroke: int | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """The drawing: its size in its own units, and its shapes."""

    width: float
    height: float
    shapes: tuple[Path, ...]


def read_svg(data: bytes) -> Drawing:
    """Read a drawing.

    Raises:
        SvgError: It is no SVG, or has something that is not known here.
    """
    return _Reader().read(data)


class _Reader:
    def __init__(self) -> None:
        self._states = [_State()]
        self._shapes: list[Path] = []
        self._box: tuple[float, float, float, float] | None = None
        self._skip = 0
        self._parser = expat.ParserCreate()

    def read(self, data: bytes) -> Drawing:
        parser = self._parser
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._entity
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise SvgError(f"is no XML: {expat.ErrorString(error.code)}", error.lineno) from error
        if self._box is None:
            raise SvgError("has no size", 1)
        x, y, width, height = self._box
        moved = tuple(
            Path(
                tuple((across - x, down - y) for across, down in one.points),
                one.stroke,
                one.width,
                fill=one.fill,
                more=tuple(tuple((across - x, down - y) for across, down in ring) for ring in one.more),
            )
            for one in self._shapes
        )
        return Drawing(width, height, moved)

    def _error(self, message: str) -> SvgError:
        return SvgError(message, self._parser.CurrentLineNumber)

    def _entity(self, *_: object) -> None:
        raise self._error("declares an entity")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if self._skip or name in _SKIPPED:
            self._skip += 1
            return
        if name not in _KNOWN:
            raise self._error(f"has an element <{name}>, which is not drawn")
        if (self._box is None) != (name == "svg"):
            raise self._error("is no SVG: its only <svg> must be the outermost element")
        said = attributes | _style(attributes.get("style", ""))
        for key in said:
            if key not in _IGNORED | _PAINT and not key.startswith(
                ("xmlns", "aria-", "data-", "xml:", "inkscape:", "sodipodi:")
            ):
                raise self._error(f"has an attribute {key}, which is not drawn")
        if name == "svg":
            self._box = self._size(attributes)
        state = self._state(said)
        self._states.append(state)
        if name in _SHAPES:
            self._shape(name, attributes, state)

    def _end(self, _: str) -> None:
        if self._skip:
            self._skip -= 1
        else:
            self._states.pop()

    def _size(self, attributes: dict[str, str]) -> tuple[float, float, float, float]:
        numbers = [float(one) for one in _NUMBER.findall(attributes.get("viewBox", ""))]
        if not numbers:
            numbers = [0, 0, *(self._number(attributes, key) for key in ("width", "height"))]
        if len(numbers) != 4 or min(numbers[2:]) <= 0:  # noqa: PLR2004 - x, y, width, height
            raise self._error("has no size: it needs a viewBox, or width and height")
        return numbers[0], numbers[1], numbers[2], numbers[3]

    def _number(self, attributes: dict[str, str], key: str, default: float = 0.0) -> float:
        text = attributes.get(key)
        if text is None:
            return default
        match = re.fullmatch(rf"\s*({_NUMBER.pattern})\s*(px)?\s*", text)
        if match is None:
            raise self._error(f"{key}: expected a number without a unit, found '{text}'")
        return float(match[1])

    def _state(self, said: dict[str, str]) -> _State:
        above = self._states[-1]
        return _State(
            matrix=self._transform(said.get("transform", ""), above.matrix),
            fill=self._paint(said, "fill", above.fill),
            stroke=self._paint(said, "stroke", above.stroke),
            weight=self._number(said, "stroke-width", above.weight),
        )

    def _paint(self, said: dict[str, str], key: str, above: int | None) -> int | None:
        text = said.get(key, "").strip().lower()
        if not text:
            return above
        if text == "none":
            return None
        if text in _NAMED:
            return _NAMED[text]
        if match := re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", text):
            digits = match[1] if len(match[1]) > 3 else "".join(2 * one for one in match[1])  # noqa: PLR2004 - #rgb
            return int(digits, 16)
        raise self._error(f"{key}: expected a colour like #1f3a5f, found '{text}'")

    def _transform(self, text: str, above: Matrix) -> Matrix:
        matrix = above
        for name, inside in _TRANSFORM.findall(text):
            numbers = [float(one) for one in _NUMBER.findall(inside)]
            match name, numbers:
                case "translate", [x, *rest]:
                    matrix = _times(matrix, (1, 0, 0, 1, x, rest[0] if rest else 0))
                case "scale", [x, *rest]:
                    matrix = _times(matrix, (x, 0, 0, rest[0] if rest else x, 0, 0))
                case "rotate", [angle]:
                    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
                    matrix = _times(matrix, (cosine, sine, -sine, cosine, 0, 0))
                case "matrix", [a, b, c, d, e, f]:
                    matrix = _times(matrix, (a, b, c, d, e, f))
                case _:
                    raise self._error(f"transform: '{name}' is not known")
        return matrix

    def _shape(self, name: str, attributes: dict[str, str], state: _State) -> None:
        rings = [[_apply(state.matrix, point) for point in ring] for ring in self._rings(name, attributes)]
        fill = state.fill if name != "line" else None
        if not rings or (fill is None and state.stroke is None):
            return
        scale = math.sqrt(abs(state.matrix[0] * state.matrix[3] - state.matrix[1] * state.matrix[2]))
        first, *more = (tuple(ring) for ring in rings)
        self._shapes.append(Path(first, state.stroke, state.weight * scale, fill=fill, more=tuple(more)))

    def _rings(self, name: str, attributes: dict[str, str]) -> list[Points]:
        def number(key: str) -> float:
            return self._number(attributes, key)

        match name:
            case "path":
                return list(self._path(attributes.get("d", "")))
            case "rect":
                x, y, width, height = number("x"), number("y"), number("width"), number("height")
                return [[(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]]
            case "circle" | "ellipse":
                across, down = ("r", "r") if name == "circle" else ("rx", "ry")
                return [_ellipse(number("cx"), number("cy"), number(across), number(down))]
            case "line":
                return [[(number("x1"), number("y1")), (number("x2"), number("y2"))]]
            case _:
                numbers = [float(one) for one in _NUMBER.findall(attributes.get("points", ""))]
                points = list(zip(numbers[::2], numbers[1::2], strict=False))
                return [[*points, points[0]] if name == "polygon" and points else points]

    def _path(self, text: str) -> Iterator[Points]:
        """The sub-paths of a path's data."""
        words: list[tuple[str, list[float]]] = []
        for command, foreign, number in _COMMAND.findall(text):
            if foreign:
                raise self._error(f"path: the command {foreign} is not drawn (make arcs into curves)")
            if command:
                words.append((command, []))
            elif words:
                words[-1][1].append(float(number))
        pen = _Pen()
        for command, numbers in words:
            yield from pen.draw(command, numbers)
        if len(pen.ring) > 1:
            yield pen.ring


_TAKES: Final = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2}


class _Pen:
    """Follows a path's commands."""

    def __init__(self) -> None:
        self.ring: Points = []
        self._at = (0.0, 0.0)
        self._control = (0.0, 0.0)
        self._last = ""

    def draw(self, command: str, numbers: list[float]) -> Iterator[Points]:
        """Follow a command with its numbers; gives the ring that it ends."""
        kind, relative = command.upper(), command.islower()
        if kind == "Z":
            if self.ring:
                self._at = self.ring[0]
                yield [*self.ring, self.ring[0]]
            self.ring, self._last = [], "Z"
            return
        takes = _TAKES[kind]
        for begin in range(0, len(numbers) - takes + 1, takes):
            if kind == "M" and begin == 0:
                if len(self.ring) > 1:
                    yield self.ring
                self.ring = []
            self._step("L" if kind == "M" else kind, numbers[begin : begin + takes], relative=relative)

    def _step(self, kind: str, numbers: list[float], *, relative: bool) -> None:
        x0, y0 = self._at if relative else (0.0, 0.0)
        if kind in "HV":
            here = self._at
            points = [(numbers[0] + x0, here[1]) if kind == "H" else (here[0], numbers[0] + y0)]
        else:
            points = [(x + x0, y + y0) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        if kind in "ST":
            smooth = self._last in ("CS" if kind == "S" else "QT")
            (x, y), (cx, cy) = self._at, self._control
            points.insert(0, (2 * x - cx, 2 * y - cy) if smooth else (x, y))
        if not self.ring and (kind != "L" or self._last == "Z"):
            self.ring = [self._at]
        if len(points) > 1:
            self.ring += _curve([self._at, *points])
            self._control = points[-2]
        else:
            self.ring.append(points[0])
        self._at, self._last = points[-1], kind


def _curve(points: Points) -> Points:
    """A Bézier curve of any degree as straight pieces, without its first point (de Casteljau)."""
    found: Points = []
    for step in range(1, _STEPS + 1):
        share, now = step / _STEPS, points
        while len(now) > 1:
            now = [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in pairwise(now)]
        found.append(now[0])
    return found


def _ellipse(x: float, y: float, across: float, down: float) -> Points:
    angles = [2 * math.pi * step / _CIRCLE for step in range(_CIRCLE)]
    ring = [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]
    return [*ring, ring[0]]


def _times(one: Matrix, two: Matrix) -> Matrix:
    a, b, c, d, e, f = one
    g, h, i, j, k, m = two
    return a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f


def _apply(matrix: Matrix, point: tuple[float, float]) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    x, y = point
    return a * x + c * y + e, b * x + d * y + f


def _style(text: str) -> dict[str, str]:
    pairs = (part.partition(":") for part in text.split(";") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}
