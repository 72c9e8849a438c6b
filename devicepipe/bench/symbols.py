"""Names and addresses of a linked program, read from its ELF file.

What always holds: an address is that of the first instruction (the Thumb bit of an Arm symbol is not part of it).
Source: System V ABI, chapter 4 "Symbol table"; ELF for the Arm Architecture, 5.5.3.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterable
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from devicepipe.errors import UsageError


class Symbols:
    """The functions and objects of a program.

    Args:
        path: Its ELF file.

    Raises:
        UsageError: The file cannot be read, is no ELF file, or names no function.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._addresses: dict[str, set[int]] = {}
        self._extents: list[tuple[int, int, str]] = []
        try:
            with path.open("rb") as file:
                self._read(ELFFile(file))
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", file=path, remedy="build first") from error
        except (ELFError, UnicodeDecodeError) as error:
            raise UsageError(f"is not an ELF file: {error}", file=path, remedy="build again") from error
        self._extents.sort()
        if not self._extents:
            raise UsageError("names no function", file=path, remedy="link it with its symbols (not stripped)")

    def address(self, name: str) -> int:
        """The address of a function or object.

        Raises:
            UsageError: The program has none of that name, or several.
        """
        found = self._addresses.get(name, set())
        if len(found) == 1:
            return next(iter(found))
        how = "has several symbols" if found else "has no symbol"
        raise UsageError(
            f"{how} '{name}'", file=self.path, remedy="name a function with external linkage that is not inlined"
        )

    def name(self, address: int) -> str:
        """Where an address lies: "function+0x12", or "" outside of all functions and objects."""
        place = bisect.bisect_right(self._extents, (address, 1 << 64, "")) - 1
        if place < 0:
            return ""
        start, size, name = self._extents[place]
        if address >= start + max(size, 1):
            return ""
        return f"{name}+{address - start:#x}" if address > start else name

    def _read(self, elf: ELFFile) -> None:
        thumb = elf["e_machine"] == "EM_ARM"
        for section in elf.iter_sections():
            if not isinstance(section, SymbolTableSection):
                continue
            for symbol in section.iter_symbols():
                kind = symbol["st_info"]["type"]
                if kind not in {"STT_FUNC", "STT_OBJECT"} or symbol["st_shndx"] == "SHN_UNDEF":
                    continue
                start = symbol["st_value"] & ~1 if thumb and kind == "STT_FUNC" else symbol["st_value"]
                self._addresses.setdefault(symbol.name, set()).add(start)
                self._extents.append((start, symbol["st_size"], symbol.name))


@functools.lru_cache(maxsize=8)
def symbols_of(path: Path) -> Symbols:
    """The symbols of a program, read once in a process.

    Raises:
        UsageError: See `Symbols`.
    """
    return Symbols(path)


def describe(address: int, programs: Iterable[Symbols]) -> str:
    """An address in words, by the first program that names it: "0x4a2 (control_tick+0x12)"."""
    name = next(filter(None, (program.name(address) for program in programs)), "")
    return f"{address:#x} ({name})" if name else f"{address:#x}"
