"""What a flash must hold, and what was read back of it, compared."""

from __future__ import annotations

from collections.abc import Callable

from devicepipe.bench.drivers.driver import FlashImages, Place
from devicepipe.bench.factory import flash_contents, load_factory
from devicepipe.errors import BenchError


def flash_segments(images: FlashImages, place: Place, *, erase: bool) -> dict[int, bytes]:
    """Absolute address → bytes that the flash must hold: with `erase` one segment, all of the flash; else what the image has.

    Raises:
        UsageError: The image cannot be read, or does not lie in the board's flash.
    """
    segments = load_factory(images.factory)
    whole = flash_contents(place.board, segments, file=images.factory)
    return {place.board.flash.base: whole} if erase else segments


def compare(wanted: dict[int, bytes], read: Callable[[int, int], bytes], place: Place) -> None:
    """Compare each segment of a factory image with the device's flash.

    Args:
        wanted: Absolute address → bytes, as `load_factory` returns them.
        read: What was read of the flash: address and number of bytes → bytes.
        place: Where the device is, for messages.

    Raises:
        BenchError: A byte differs, or was not read; with the first address.
    """
    for address, data in wanted.items():
        have = read(address, len(data))
        if have == data:
            continue
        at = next((i for i, (a, b) in enumerate(zip(have, data, strict=False)) if a != b), len(have))
        found = f"{have[at]:#04x}" if at < len(have) else "nothing"
        raise BenchError(
            f"device '{place.device}': its flash does not hold what was written: at {address + at:#x} "
            f"expected {data[at]:#04x}, found {found}",
            remedy="write it again; if it stays so, check the probe's wiring and whether the flash is protected or worn",
        )
