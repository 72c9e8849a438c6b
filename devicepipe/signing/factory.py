"""Factory images: bootloader, signed image and data images in one Intel HEX file that a production programmer takes as it is.

What always holds: each part lies inside its region, no byte is defined by two parts, and there is nothing else in the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intelhex import AddressOverlapError, IntelHex

from devicepipe.errors import IntegrityError, ProductError, UsageError
from devicepipe.signing.image import SignedImage
from devicepipe.signing.intel_hex import hex_text, parse_hex


@dataclass(frozen=True, slots=True)
class Placement:
    """A region of the flash: absolute address of its first byte and its size, in bytes."""

    address: int
    size: int


def make_factory_image(
    bootloader: Path,
    bootloader_region: Placement,
    image: SignedImage,
    slot: Placement,
    out: Path,
    data: Sequence[tuple[SignedImage, Placement]] = (),
) -> None:
    """Write the factory image.

    Args:
        bootloader: The bootloader, as Intel HEX (`.hex`) or as a binary that starts at its region's first byte.
        bootloader_region: The bootloader's region.
        image: The signed image, placed at the slot's first byte.
        slot: The slot's region.
        out: The Intel HEX file to write.
        data: The signed data images, each placed at its region's first byte.

    Raises:
        ProductError: A part lies outside its region; names the addresses.
        IntegrityError: The parts overlap, or the image's file is no longer the one that was verified.
        UsageError: A file cannot be read or written, or is not Intel HEX.
    """
    boot = _load(bootloader, bootloader_region.address)
    _check_inside(boot, bootloader_region, f"bootloader {bootloader.name}")
    # The start address record is the bootloader's linker's; a programmer needs none, and it would hide a second entry point.
    boot.start_addr = None
    for part, region in ((image, slot), *data):
        content = _read(part.path)
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise IntegrityError("was changed after it was verified", link=str(part.path))
        placed = _of_bytes(content, region.address)
        _check_inside(placed, region, f"image {part.path.name}")
        try:
            boot.merge(placed, overlap="error")
        except AddressOverlapError as error:
            raise IntegrityError(
                f"image {part.path.name} overlaps what stands before it: {error}", link=out.name
            ) from error
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(hex_text(boot), encoding="ascii", newline="\n")
    except OSError as error:
        raise UsageError(f"factory image cannot be written: {error.strerror}", file=out) from error


def check_factory_image(
    factory: bytes, bootloader: bytes, image: bytes, link: str, data: Mapping[str, tuple[int, bytes]] | None = None
) -> int:
    """Check that a factory image holds the bootloader, the signed image and the data images, and nothing else.

    Args:
        factory: The factory image's Intel HEX text.
        bootloader: The bootloader's Intel HEX text.
        image: The signed image's bytes.
        link: What the factory image is called in errors.
        data: By name, the address and the bytes of each data image.

    Returns:
        The address of the image's first byte.

    Raises:
        IntegrityError: It holds something else; names the first address.
    """
    merged = _as_written(factory, link)
    for address, value in sorted(read_hex(bootloader, link).items()):
        if merged.pop(address, None) != value:
            raise IntegrityError(f"does not hold the bootloader: differs at {address:#010x}", link=link)
    for name, (place, content) in (data or {}).items():
        for address, value in enumerate(content, start=place):
            if merged.pop(address, None) != value:
                raise IntegrityError(f"does not hold the data image '{name}': differs at {address:#010x}", link=link)
    if not merged:
        raise IntegrityError("does not hold the signed image", link=link)
    start = min(merged)
    for offset, value in enumerate(image):
        if merged.pop(start + offset, None) != value:
            raise IntegrityError(f"does not hold the signed image: differs at {start + offset:#010x}", link=link)
    if merged:
        raise IntegrityError(f"holds further data at {min(merged):#010x}", link=link)
    return start


def read_hex(text: bytes, link: str) -> dict[int, int]:
    """The bytes of an Intel HEX file by address.

    Raises:
        IntegrityError: It is not a whole Intel HEX file, or defines a byte twice.
    """
    return _bytes_of(_parse(text, link))


def _as_written(factory: bytes, link: str) -> dict[int, int]:
    """The bytes of a factory image, which has one spelling: no programmer may find in it what another one does not."""
    parsed = _parse(factory, link)
    if factory != hex_text(parsed).encode() or parsed.start_addr is not None:
        raise IntegrityError("is not written as devicepipe writes it, or names a start address", link=link)
    return _bytes_of(parsed)


def read_start(text: bytes, link: str) -> object:
    """The start address record of an Intel HEX file, as it is; None where there is none. Raises as `read_hex`."""
    return _parse(text, link).start_addr


def _parse(text: bytes, link: str) -> IntelHex:
    try:
        return parse_hex(text)
    except ValueError as error:
        raise IntegrityError(str(error), link=link) from error


def _bytes_of(parsed: IntelHex) -> dict[int, int]:
    return {int(address): int(parsed[address]) for address in parsed.addresses()}


def _load(path: Path, address: int) -> IntelHex:
    data = _read(path)
    if path.suffix.lower() != ".hex":
        return _of_bytes(data, address)
    try:
        return parse_hex(data)
    except ValueError as error:
        raise UsageError(str(error), file=path) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path) from error


def _of_bytes(data: bytes, address: int) -> IntelHex:
    result = IntelHex()
    result.frombytes(data, offset=address)
    return result


def _check_inside(part: IntelHex, region: Placement, what: str) -> None:
    first, last = part.minaddr(), part.maxaddr()
    if first is None or last is None:
        raise ProductError(f"{what} is empty")
    end = region.address + region.size
    if first < region.address or last >= end:
        raise ProductError(
            f"{what} lies at {first:#010x}..{last:#010x}, outside its region {region.address:#010x}..{end - 1:#010x}",
            remedy="correct the linker script, or the regions of the board manifest",
        )
