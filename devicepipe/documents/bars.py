"""Figures of bars on pages: labels at the left, counts in the parts where they fit, sums at the right, and a legend."""

from __future__ import annotations

from devicepipe.documents.model import Bars, is_dark
from devicepipe.documents.page import CAPTION, CELL, DETAIL, INK, SIDE, WHITE, Flow
from devicepipe.documents.typeface import Style, drawable, measure, wrap

_ROW, _BAR = 13.0, 9.0
_LABELS, _SUMS = 92.0, 62.0
_SWATCH = 7.0
_GAP = 12.0


def bars_least(flow: Flow, figure: Bars) -> float:
    """The height of the caption, the legend and the first rows, which stay together."""
    captions = wrap(figure.caption, CAPTION.face, CAPTION.size, flow.width)
    return len(captions) * CAPTION.leading + 2 * _ROW + min(len(figure.rows), 4) * _ROW + 6


def put_bars(flow: Flow, figure: Bars) -> None:
    """Draw a figure; its caption, legend and first rows stay together."""
    captions = wrap(figure.caption, CAPTION.face, CAPTION.size, flow.width)
    flow.need(bars_least(flow, figure))
    for line in captions:
        flow.page.text(SIDE, flow.y + CAPTION.size, CAPTION, line)
        flow.y += CAPTION.leading
    _legend(flow, figure)
    scale = (flow.width - _LABELS - _SUMS) / figure.longest
    for label, counts in figure.rows:
        lines = wrap(label, CELL.face, CELL.size, _LABELS - 6)
        height = max(_ROW, len(lines) * CELL.leading + 3)
        flow.need(height)
        base = flow.y + (_ROW + CELL.size) / 2 - 1.2
        for place, line in enumerate(lines):
            flow.page.text(SIDE, base + place * CELL.leading, CELL, line)
        x = SIDE + _LABELS
        for part, count in enumerate(counts):
            width = count * scale
            if not count:
                continue
            color = figure.color(part)
            flow.page.fills.append((x, flow.y + (_ROW - _BAR) / 2, width, _BAR, color))
            text, style = str(count), Style(DETAIL.face, DETAIL.size, DETAIL.leading, WHITE if is_dark(color) else INK)
            taken = measure(text, style.face, style.size)
            if taken + 3 <= width:
                flow.page.text(x + (width - taken) / 2, base - 0.4, style, text)
            x += width
        flow.page.text(x + 5, base, DETAIL, drawable(f"{sum(counts)} {figure.unit}", DETAIL.face))
        flow.y += height


def _legend(flow: Flow, figure: Bars) -> None:
    x = SIDE
    for part, name in enumerate(figure.parts):
        text = drawable(name, DETAIL.face)
        width = _SWATCH + 4 + measure(text, DETAIL.face, DETAIL.size)
        if x > SIDE and x + width > SIDE + flow.width:
            x, flow.y = SIDE, flow.y + _ROW
        flow.page.fills.append((x, flow.y + 2, _SWATCH, _SWATCH, figure.color(part)))
        flow.page.text(x + _SWATCH + 4, flow.y + 2 + DETAIL.size, DETAIL, text)
        x += width + _GAP
    flow.y += _ROW + 2
