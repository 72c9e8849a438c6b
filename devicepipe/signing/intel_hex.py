"""Intel HEX, read by intelhex and with one check more: that the file is whole.

Source: Intel, "Hexadecimal Object File Format Specification", rev. A.
"""

from __future__ import annotations

import io

from intelhex import HexReaderError, IntelHex


def parse_hex(data: bytes) -> IntelHex:
    """The content of an Intel HEX file.

    Raises:
        ValueError: It is not Intel HEX (bad record, checksum, a byte defined twice), or has no end record.
    """
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError("is not Intel HEX: it holds bytes that are not ASCII") from error
    # intelhex takes a file that was cut off between two records for a whole one.
    records = text.split()
    if not records or not records[-1].upper().startswith(":00000001"):
        raise ValueError("is cut off: its last line is not the end-of-file record ':00000001FF'")
    try:
        return IntelHex(io.StringIO(text))
    except (HexReaderError, ValueError) as error:
        raise ValueError(f"is not Intel HEX: {error}") from error


def hex_text(image: IntelHex) -> str:
    """The content as an Intel HEX file's text, lines ended by line feeds."""
    text = io.StringIO()
    image.write_hex_file(text, eolstyle="native")
    return text.getvalue()
