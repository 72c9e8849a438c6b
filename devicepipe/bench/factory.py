"""Factory images: Intel HEX files that hold everything a new device's flash must hold."""

from __future__ import annotations

from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.project.board import Board
from devicepipe.signing.intel_hex import parse_hex


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
        image = parse_hex(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path, remedy="build and sign first") from error
    except ValueError as error:
        raise UsageError(str(error), file=path) from error
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
