"""Vector figures on pages: the shapes of a `Figure`, scaled to the width that there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from devicepipe.documents.model import Figure, Label, Path, Rectangle, Shape
from devicepipe.documents.page import CAPTION, SIDE, Flow, Page
from devicepipe.documents.typeface import Face, Style, drawable, measure, wrap

_SHARES = {"left": 0.0, "middle": 0.5, "right": 1.0}


def put_figure(flow: Flow, figure: Figure) -> None:
    """Draw a figure below its caption, all on one page."""
    captions = wrap(figure.caption, CAPTION.face, CAPTION.size, flow.width)
    scale = _scale(flow, figure)
    flow.need(figure_least(flow, figure))
    for line in captions:
        flow.page.text(SIDE, flow.y + CAPTION.size, CAPTION, line)
        flow.y += CAPTION.leading
    flow.y += 5
    draw(flow.page, figure.shapes, SIDE, flow.y, scale)
    flow.y += figure.height * scale


def _scale(flow: Flow, figure: Figure) -> float:
    return min(1.0, flow.width / figure.width, (flow.full - 40) / figure.height)


def figure_least(flow: Flow, figure: Figure) -> float:
    """The height of a figure with its caption."""
    captions = wrap(figure.caption, CAPTION.face, CAPTION.size, flow.width)
    return len(captions) * CAPTION.leading + 5 + figure.height * _scale(flow, figure)


def draw(page: Page, shapes: Iterable[Shape], x: float, y: float, scale: float) -> None:
    """Put shapes on a page, with their origin at that place."""
    for shape in shapes:
        match shape:
            case Rectangle():
                box = (x + shape.x * scale, y + shape.y * scale, shape.width * scale, shape.height * scale)
                if shape.fill is not None:
                    page.fills.append((*box, shape.fill))
                if shape.stroke is not None:
                    page.frames.append((*box, shape.stroke))
            case Path():
                rings = [
                    tuple((x + across * scale, y + down * scale) for across, down in ring)
                    for ring in (shape.points, *shape.more)
                ]
                page.paths.append(replace(shape, points=rings[0], more=tuple(rings[1:]), width=shape.width * scale))
            case Label():
                face = Face.STRONG if shape.strong else Face.REGULAR
                style = Style(face, round(shape.size * scale, 2), shape.size * scale, shape.color)
                text = drawable(shape.text, face)
                left = x + shape.x * scale - _SHARES[shape.align] * measure(text, face, style.size)
                page.text(left, y + shape.y * scale, style, text)
