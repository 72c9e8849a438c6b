"""Two builds of one commit in different surroundings, compared bit for bit; where they differ, the place in the program is named.

What always holds: `identical` is true only if every ELF, BIN, HEX and data file exists in both builds with the same bytes. Maps and
compilation databases are not compared: PlatformIO names library folders by a hash of the project's path. What is told of a
difference holds no path of this machine: the builds' folders are replaced by "<folder of build 1>" and "<folder of build 2>".
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from devicepipe.build.collect import PathCleaner
from devicepipe.build.elf_file import ElfFile, NotAnElf
from devicepipe.build.platformio import Build
from devicepipe.build.program_difference import Cleaner, Place, Programs, first_difference
from devicepipe.build.surroundings import SAME, variations
from devicepipe.evidence.build_links import COMPARED
from devicepipe.evidence.predicates import Difference, FirmwareBuild, Reproducibility
from devicepipe.signing.intel_hex import parse_hex

_DATA = "data/"


def compare(first: Build, second: Build) -> Reproducibility:
    """Compare the outputs of two builds of the same board.

    Offsets in differences count bytes from the start of the file; a file that only one build has differs at 0.
    """
    ours, theirs = _outputs(first), _outputs(second)
    names = sorted(ours.keys() | theirs.keys())
    differences = []
    explain = _Explainer(first, second)
    for name in names:
        place, other = ours.get(name), theirs.get(name)
        if place is None or other is None:
            which = "second" if place is None else "first"
            differences.append(Difference(artifact=name, offset=0, note=f"only the {which} build has it"))
        else:
            contents = place[0].read_bytes(), other[0].read_bytes()
            if contents[0] != contents[1]:
                differences.append(explain.difference(name, place[1], *contents))
    return Reproducibility(
        board=first.result.board,
        builds=2,
        compared=names,
        identical=not differences,
        differences=differences,
        varied=variations(_surroundings(first), _surroundings(second)),
        same=list(SAME),
    )


def _surroundings(build: Build) -> dict[str, str]:
    return build.surroundings.recorded() | {"time": build.started_on}


def _outputs(build: Build) -> dict[str, tuple[Path, FirmwareBuild]]:
    return {
        artifact.path: (build.output / artifact.path, firmware)
        for firmware in build.result.firmwares
        for artifact in firmware.artifacts
        if artifact.role in COMPARED or artifact.role.startswith(_DATA)
    }


class _Explainer:
    """Tells of differences between two builds by way of their ELF files."""

    def __init__(self, first: Build, second: Build) -> None:
        self._builds = first, second
        # What a build calls its folder is what leaks: it has to be seen, but not the folder itself.
        self._clean = tuple(_cleaner(build, number) for number, build in enumerate(self._builds, start=1))
        self._programs = functools.cache(self._read)

    def difference(self, name: str, firmware: FirmwareBuild, ours: bytes, theirs: bytes) -> Difference:
        offset = first_difference(ours, theirs)
        if any(artifact.path == name for artifact in firmware.data.values()):
            return Difference(artifact=name, offset=offset)
        programs = self._programs(firmware.role)
        place = None
        if programs is not None:
            place = programs.place()
            if place is None and name.endswith(".elf"):
                place = programs.unloaded()
            elif place is None:
                place = self._by_address(name, firmware.role, offset, ours, theirs)
        if place is None:
            return Difference(artifact=name, offset=offset)
        return Difference(
            artifact=name,
            offset=offset,
            section=place.section,
            symbol=place.symbol,
            other_symbol=place.other_symbol,
            source=place.source,
            first=place.first,
            second=place.second,
            note=place.note or None,
        )

    def _read(self, role: str) -> Programs | None:
        try:
            elves = [(build.output / build.result.firmware(role).artifact("elf").path) for build in self._builds]
            return Programs(elves[0].read_bytes(), elves[1].read_bytes(), self._clean[0], self._clean[1])
        except (KeyError, NotAnElf):
            return None

    def _by_address(self, name: str, role: str, offset: int, ours: bytes, theirs: bytes) -> Place | None:
        """The place of a difference that the ELF files do not have: something after the linker made it."""
        build = self._builds[0]
        elf = ElfFile((build.output / build.result.firmware(role).artifact("elf").path).read_bytes())
        locate: dict[str, Callable[[], tuple[str, int] | None]] = {
            ".bin": lambda: elf.section_at_load_address(elf.loaded[0].load_address + offset) if elf.loaded else None,
            ".hex": lambda: _in_hex(elf, ours, theirs),
        }
        found = locate[Path(name).suffix]()
        if found is None:
            return None
        section, address = found
        symbol = elf.symbol(address)
        note = "the linked programs are the same: what was made of them differs"
        return Place(section, symbol.name if symbol else None, note=note)


def _cleaner(build: Build, number: int) -> Cleaner:
    place = f"<folder of build {number}>"
    roots = {str(build.root), str(build.root.resolve())}
    rest = PathCleaner(build.root, build.project / ".pio" / "core", build.surroundings.private)

    def clean(text: str) -> str:
        for root in sorted(roots, key=len, reverse=True):
            text = text.replace(root, place)
        return rest.clean(text)

    return clean


def _in_hex(elf: ElfFile, first: bytes, second: bytes) -> tuple[str, int] | None:
    """The place of the lowest address at which two Intel HEX files differ."""
    try:
        ours, theirs = (parse_hex(data).todict() for data in (first, second))
    except ValueError:
        return None
    differing = [address for address in ours.keys() | theirs.keys() if ours.get(address) != theirs.get(address)]
    addresses = [address for address in differing if isinstance(address, int)]
    return elf.section_at_load_address(min(addresses)) if addresses else None
