"""Two builds of one commit in different folders, compared bit for bit; where they differ, the place in the program is named.

What always holds: `identical` is true only if every ELF, BIN, HEX and data file exists in both builds with the same bytes. Maps and
compilation databases are not compared: PlatformIO names library folders by a hash of the project's path.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devicepipe.build.elf_file import ElfFile, NotAnElf
from devicepipe.build.platformio import Build
from devicepipe.evidence.predicates import Difference, FirmwareBuild, Reproducibility
from devicepipe.signing.intel_hex import parse_hex

COMPARED = ("elf", "bin", "hex")
_DATA = "data/"


def compare(first: Build, second: Build) -> Reproducibility:
    """Compare the outputs of two builds of the same board.

    Offsets in differences count bytes from the start of the file; a file that only one build has differs at 0.
    """
    ours, theirs = _outputs(first), _outputs(second)
    names = sorted(ours.keys() | theirs.keys())
    differences = []
    for name in names:
        place, other = ours.get(name), theirs.get(name)
        if place is None or other is None:
            differences.append(Difference(artifact=name, offset=0))
        elif (offset := _first_difference(place[0].read_bytes(), other[0].read_bytes())) is not None:
            differences.append(_explain(name, offset, first, place[1], place[0], other[0]))
    return Reproducibility(
        board=first.result.board,
        builds=2,
        compared=names,
        identical=not differences,
        differences=differences,
    )


def _outputs(build: Build) -> dict[str, tuple[Path, FirmwareBuild]]:
    return {
        artifact.path: (build.output / artifact.path, firmware)
        for firmware in build.result.firmwares
        for artifact in firmware.artifacts
        if artifact.role in COMPARED or artifact.role.startswith(_DATA)
    }


def _first_difference(first: bytes, second: bytes) -> int | None:
    if first == second:
        return None
    # Halving finds the place by comparisons in C instead of a loop over every byte.
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[:middle] == second[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _explain(name: str, offset: int, build: Build, firmware: FirmwareBuild, first: Path, second: Path) -> Difference:
    """The section and symbol at the difference, by way of the first build's ELF; a data file is not part of it."""
    if any(artifact.path == name for artifact in firmware.data.values()):
        return Difference(artifact=name, offset=offset)
    try:
        elf = ElfFile((build.output / firmware.artifact("elf").path).read_bytes())
    except NotAnElf:
        return Difference(artifact=name, offset=offset)
    locate: dict[str, Callable[[], tuple[str, int | None] | None]] = {
        ".elf": lambda: elf.section_at_offset(offset),
        ".bin": lambda: elf.section_at_load_address(elf.loaded[0].load_address + offset) if elf.loaded else None,
        ".hex": lambda: _in_hex(elf, first, second),
    }
    place = locate[Path(name).suffix]()
    if place is None:
        return Difference(artifact=name, offset=offset)
    section, address = place
    symbol = elf.symbol_at(address) if address is not None else None
    return Difference(artifact=name, offset=offset, section=section, symbol=symbol)


def _in_hex(elf: ElfFile, first: Path, second: Path) -> tuple[str, int] | None:
    """The place of the lowest address at which two Intel HEX files differ."""
    try:
        ours, theirs = (parse_hex(path.read_bytes()).todict() for path in (first, second))
    except ValueError:
        return None
    differing = [address for address in ours.keys() | theirs.keys() if ours.get(address) != theirs.get(address)]
    addresses = [address for address in differing if isinstance(address, int)]
    return elf.section_at_load_address(min(addresses)) if addresses else None
