"""Vector figures in HTML: the shapes of a `Figure` as inline SVG, with what it shows said in words."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from devicepipe.documents.model import Figure, Label, Path, Rectangle, Shape
from devicepipe.documents.visible import visible

_ANCHORS = {"left": "start", "middle": "middle", "right": "end"}


def figure_svg(figure: Figure) -> Iterator[str]:
    """The figure with its caption; a screen reader hears the summary, and finds the numbers in the table that follows."""
    summary = html.escape(visible(figure.summary))
    yield f'<figure class="drawing"><figcaption>{html.escape(visible(figure.caption))}</figcaption>'
    size = f'viewBox="0 0 {_n(figure.width)} {_n(figure.height)}"'
    # Half as large again as on paper, and less where the window is narrower.
    yield f'<svg {size} width="{_n(figure.width * 1.5)}" role="img" aria-label="{summary}">'
    yield from _shapes(figure.shapes)
    yield "</svg></figure>"


def _shapes(shapes: Iterable[Shape]) -> Iterator[str]:
    for shape in shapes:
        match shape:
            case Rectangle():
                yield (
                    f'<rect x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" height="{_n(shape.height)}"'
                    f"{_paint(shape.fill, shape.stroke, 0.8)}/>"
                )
            case Path():
                data = "".join(_ring(ring) for ring in (shape.points, *shape.more))
                dashes = ' stroke-dasharray="3 2"' if shape.dashed else ""
                rule = ' fill-rule="evenodd"' if shape.more else ""
                yield f'<path d="{data}"{_paint(shape.fill, shape.stroke, shape.width)}{dashes}{rule}/>'
            case Label():
                weight = ' font-weight="600"' if shape.strong else ""
                anchor = f' text-anchor="{_ANCHORS[shape.align]}"' if shape.align != "left" else ""
                place = f'x="{_n(shape.x)}" y="{_n(shape.y)}" font-size="{_n(shape.size)}"'
                text = html.escape(visible(shape.text))
                yield f'<text {place} fill="#{shape.color:06x}"{anchor}{weight}>{text}</text>'


def _ring(points: tuple[tuple[float, float], ...]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _paint(fill: int | None, stroke: int | None, width: float) -> str:
    inside = f' fill="#{fill:06x}"' if fill is not None else ' fill="none"'
    return inside if stroke is None else f'{inside} stroke="#{stroke:06x}" stroke-width="{_n(width)}"'


def _n(number: float) -> str:
    return f"{round(number, 2):g}"
