"""The sRGB colour space as an ICC profile, made from the published numbers: what a PDF/A's output intent names.

Own bytes, because a profile of a package changes with the package, or has terms of its own; 0.5 kB that never change are easier to
keep. Colours of the documents are given in sRGB (IEC 61966-2-1), whose curve is a type 3 function of the ICC specification.
Sources: ICC.1:2004-10 (profile version 4.2), 7.2 header, 7.3 tag table, 9.2 tags, 10.5 and 10.15 to 10.28 types, annex E
chromatic adaptation (Bradford); IEC 61966-2-1:1999.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

CONDITION: Final = "sRGB IEC61966-2.1"
"""The registered name of the characterised printing (here: viewing) condition."""

_D50: Final = (0.9642, 1.0, 0.8249)
# Red, green and blue of sRGB at full strength, adapted from D65 to D50 by Bradford's method: columns of the matrix to XYZ.
_RED: Final = (0.43607, 0.22249, 0.01392)
_GREEN: Final = (0.38515, 0.71687, 0.09708)
_BLUE: Final = (0.14307, 0.06061, 0.71410)
_D65_TO_D50: Final = (1.04788, 0.02292, -0.05022, 0.02959, 0.99048, -0.01707, -0.00925, 0.01508, 0.75168)
# value <= 0.04045: value / 12.92, above: ((value + 0.055) / 1.055) ** 2.4
_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_MADE: Final = (2026, 3, 1, 0, 0, 0)  # a profile has a time; that of this one never changes


def _fixed(*numbers: float) -> bytes:
    """Numbers as s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(number * 0x10000)) for number in numbers)


def _xyz(numbers: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*numbers)


def _text(text: str) -> bytes:
    """A multiLocalizedUnicodeType with one record, English of the United States."""
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data


@cache
def srgb_profile() -> bytes:
    """The profile: a display's, RGB to XYZ, by matrix and curve."""
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + _fixed(*_CURVE)
    tags = {
        b"desc": _text(CONDITION),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(_D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(*_D65_TO_D50),
        b"rXYZ": _xyz(_RED),
        b"gXYZ": _xyz(_GREEN),
        b"bXYZ": _xyz(_BLUE),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    at = 128 + 4 + 12 * len(tags)
    places: dict[bytes, tuple[int, int]] = {}
    body = b""
    for data in tags.values():
        if data not in places:
            places[data] = (at + len(body), len(data))
            body += data + bytes(-len(data) % 4)
    table = struct.pack(">I", len(tags))
    table += b"".join(name + struct.pack(">II", *places[data]) for name, data in tags.items())
    header = struct.pack(
        ">I4sI4s4s4s6H4s4sI4s4sQI12s4s44x",
        at + len(body), b"\0\0\0\0", 0x04200000, b"mntr", b"RGB ", b"XYZ ", *_MADE, b"acsp", b"\0\0\0\0", 0,
        b"\0\0\0\0", b"\0\0\0\0", 0, 0, _fixed(*_D50), b"\0\0\0\0",
    )  # fmt: skip
    return header + table + body
