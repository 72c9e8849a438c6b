"""Factory images: Intel HEX files that hold everything a new device's flash must hold."""

from __future__ import annotations

import io
from pathlib import Path

from intelhex import HexReaderError, IntelHex

from devicepipe.errors import UsageError
from devicepipe.project.board import Board


def load_factory(path: Path) -> dict[int, bytes]:
    """Read a factory image.

    Args:
        path: An Intel HEX file.

    Returns:
        Absolute address of the first byte of each gapless segment → its bytes, in ascending order, never adjacent or overlapping.

    Raises:
        UsageError: The file is missing, is not Intel HEX (bad record, checksum, overlap), has no end record, or holds no data.
    """
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path, remedy="build and sign first") from error
    except UnicodeDecodeError as error:
        raise UsageError("is not Intel HEX: it holds bytes that are not ASCII", file=path) from error
    # intelhex takes a file that was cut off between two records for a whole one.
    records = text.split()
    if not records or not records[-1].upper().startswith(":00000001"):
        raise UsageError("is cut off: its last line is not the end-of-file record ':00000001FF'", file=path)
    image = IntelHex()
    try:
        image.loadhex(io.StringIO(text))
    except (HexReaderError, ValueError) as error:
        raise UsageError(f"is not Intel HEX: {error}", file=path) from error
    segments = {start: bytes(image.tobinarray(start=start, end=end - 1)) for start, end in image.segments()}
    if not segments:
        raise UsageError("holds no data", file=path)
    return segments


def flash_contents(board: Board, segments: dict[int, bytes], *, file: Path) -> bytes:
    """The whole flash of a board as it must be after production programming: the image, and erased bytes all around it.

    Args:
        board: The board's memory map.
        segments: Absolute address → bytes, as `load_factory` returns them.
        file: The file that the segments came from, for the message.

    Raises:
        UsageError: A segment does not lie inside the flash.
    """
    flash = board.flash
    contents = bytearray([flash.erased]) * flash.size
    for address, data in segments.items():
        offset = address - flash.base
        if offset < 0 or offset + len(data) > flash.size:
            raise UsageError(
                f"holds {len(data)} bytes at {address:#x}, outside the flash of board '{board.name}' "
                f"({flash.base:#x} to {flash.base + flash.size:#x})",
                file=file,
                remedy="build the image for this board",
            )
        contents[offset : offset + len(data)] = data
    return bytes(contents)
