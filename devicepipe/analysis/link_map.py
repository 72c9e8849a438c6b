"""What a GNU ld link map proves: which object files gave code or data to a program.

What always holds: an object counts as linked only if one of its sections, debugging information aside, is in the output with a
size above zero. Being named on the linker's command line, or being loaded and then discarded (--gc-sections), does not count.
Limit: maps of other linkers (LLVM lld, IAR, Arm) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

_START = "Linker script and memory map"
_SECTION = re.compile(r"^ (?P<section>[.A-Za-z_]\S*)(?P<rest>\s.*)?$")
_PLACED = re.compile(r"^\s+0x[0-9a-fA-F]+\s+0x(?P<size>[0-9a-fA-F]+) (?P<object>\S.*)$")
_NOT_LOADED = (".debug", ".comment", ".ARM.attributes", ".riscv.attributes", ".stab", ".gnu.lto", ".note.GNU-stack")
_MEMBER = re.compile(r"^(?P<archive>.*\.a)\((?P<member>[^()]+)\)$")


@dataclass(frozen=True)
class LinkedObject:
    """An object file that is in the program: its file, or the archive and its member; and its bytes in the program."""

    file: str
    member: str
    size: int

    @property
    def is_built(self) -> bool:
        """Whether PlatformIO built it; otherwise the toolchain brought it along."""
        return ".pio/" in self.file


def linked_objects(text: str) -> list[LinkedObject]:
    """Read a link map.

    Args:
        text: A map that GNU ld wrote (`-Wl,-Map`).

    Returns:
        Every object that is in the program, sorted; none if the text is not such a map.
    """
    sizes: dict[str, int] = {}
    section = ""
    for line in text.partition(_START)[2].splitlines():
        rest = line
        if named := _SECTION.match(line):
            section, rest = named["section"], named["rest"] or ""
        elif not line.startswith("  "):
            section = ""
        placed = _PLACED.match(rest)
        if placed and section and not section.startswith(_NOT_LOADED) and (size := int(placed["size"], 16)):
            sizes[placed["object"]] = sizes.get(placed["object"], 0) + size
    return [_object(name, size) for name, size in sorted(sizes.items())]


def _object(name: str, size: int) -> LinkedObject:
    member = _MEMBER.match(name)
    return LinkedObject(member["archive"], member["member"], size) if member else LinkedObject(name, "", size)


def bytes_from(outputs: Iterable[str], objects: Iterable[LinkedObject]) -> int:
    """How many bytes of the program come from the given object files, directly or as members of a library that PlatformIO made.

    PlatformIO builds a library's objects below `<folder>/<library>/` and archives them as `<folder>/lib<library>.a`.
    """
    built = list(outputs)
    return sum(one.size for one in objects if any(comes_from(output, one) for output in built))


def comes_from(output: str, linked: LinkedObject) -> bool:
    """Whether a linked object is that object file, directly or as a member of a library that PlatformIO made."""
    if not linked.member:
        return output == linked.file
    archive, path = PurePosixPath(linked.file), PurePosixPath(output)
    if path.name != linked.member or not path.is_relative_to(archive.parent):
        return False
    return f"lib{path.relative_to(archive.parent).parts[0]}" == archive.stem
