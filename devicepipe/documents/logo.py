"""Logos: an SVG as vector shapes, a PNG as its pixels."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from devicepipe.documents.model import Logo
from devicepipe.documents.svg import SvgError, read_svg
from devicepipe.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

_LARGEST = 600
"""Pixels of a PNG's longer side: more makes files large and prints no better."""


def read_logo(data: bytes, path: Path) -> Logo:
    """The logo in a file.

    Raises:
        UsageError: It cannot be drawn; names the line of an SVG.
    """
    if path.suffix == ".png":
        return _png(data, path)
    try:
        drawing = read_svg(data)
    except SvgError as error:
        raise UsageError(
            str(error),
            file=path,
            line=error.line,
            remedy="save it as plain SVG with paths and colours only, or as PNG",
        ) from error
    return Logo(drawing.width, drawing.height, drawing.shapes, data, "image/svg+xml")


def _png(data: bytes, path: Path) -> Logo:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > _LARGEST:
                raise UsageError(f"has more than {_LARGEST} pixels on a side", file=path, remedy="make it smaller")
            pixels = _on_white(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, zlib.error) as error:
        raise UsageError(f"is no PNG that can be read: {error}", file=path, remedy="save it as PNG again") from error
    return Logo(pixels.width, pixels.height, (), data, "image/png", pixels.tobytes())


def _on_white(image: Image) -> Image:
    """The image without transparency: paper is white."""
    from PIL import Image as Images

    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        full = image.convert("RGBA")
        paper = Images.new("RGBA", full.size, (255, 255, 255, 255))
        return Images.alpha_composite(paper, full).convert("RGB")
    return image.convert("RGB")
