"""Intel HEX, read by intelhex and with one check more: that the file is whole.

Source: Intel, "Hexadecimal Object File Format Specification", rev. A.
"""

from __future__ import annotations

import io

from intelhex import HexReaderError, IntelHex


def parse_hex(data: bytes) -> IntelHex:
    """The content of an Intel HEX file.

    Raises:
        ValueError: It is not Intel HEX (bad record, checksum, a byte defined twice), or its one end record is not the last.
    """
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError("is not Intel HEX: it holds bytes that are not ASCII") from error
    # intelhex takes a file that was cut off between two records for a whole one, and stops at the first end-of-file record, where
    # some programmers (OpenOCD) go on.
    records = text.split()
    ends = [number for number, record in enumerate(records) if record[7:9] == "01"]
    if not ends or ends[-1] != len(records) - 1:
        raise ValueError("is cut off: its last line is not the end-of-file record ':00000001FF'")
    if len(ends) > 1:
        raise ValueError("goes on after its end-of-file record")
    try:
        return IntelHex(io.StringIO(text))
    except (HexReaderError, ValueError) as error:
        raise ValueError(f"is not Intel HEX: {error}") from error


def hex_text(image: IntelHex) -> str:
    """The content as an Intel HEX file's text, lines ended by line feeds."""
    text = io.StringIO()
    image.write_hex_file(text, eolstyle="native")
    return text.getvalue()
