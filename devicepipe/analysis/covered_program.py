"""A linked program as coverage sees it: its instructions, the lines they come from, and its decisions.

What always holds: an instruction is one that lies in a function, as the symbol table or the debug information say; literal pools,
tables and texts are none, also among the code (mapping symbols on Arm, which objdump knows; the extents of objects).
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from devicepipe.analysis.branches import Decision, Flow, Instruction, flow_of
from devicepipe.analysis.disassembly import listing
from devicepipe.analysis.source_lines import Place, places_of, source_name
from devicepipe.errors import BenchError


@dataclass(frozen=True, slots=True)
class CoveredProgram:
    """A program.

    Attributes:
        name: "application" or "bootloader".
        places: Where each instruction comes from, by its address, ascending.
        flow: Its decisions.
    """

    name: str
    places: Mapping[int, Place]
    flow: Flow


@dataclass(frozen=True, slots=True)
class Hits:
    """What was executed of a program: how many tests began each instruction, and how many went each way from one to another."""

    instructions: Mapping[int, int]
    ways: Mapping[tuple[int, int], int]

    def outcomes(self, decision: Decision, flow: Flow) -> tuple[int, int]:
        """How many tests went straight on from a decision, and how many elsewhere."""
        straight = self.ways.get((decision.address, decision.following), 0)
        if decision.target is not None:
            return straight, self.ways.get((decision.address, decision.target), 0)
        elsewhere = [
            count
            for (start, end), count in self.ways.items()
            if start == decision.address and end != decision.following and end in flow.returns
        ]
        return straight, max(elsewhere, default=0)


def read_program(name: str, elf: Path, objdump: Path, addr2line: Path) -> CoveredProgram:
    """Read a linked program.

    Args:
        name: What it is called.
        elf: Its ELF file, with symbols and debug information.
        objdump: The toolchain's objdump.
        addr2line: The toolchain's addr2line.

    Raises:
        BenchError: A tool does not run, or the program has no debug information.
    """
    with elf.open("rb") as file:
        extents, arm = _extents(ELFFile(file))
    listed = [Instruction(*line) for line in listing(objdump, elf)]
    listed = [one for one in listed if not one.mnemonic.startswith(".") and not extents.is_object(one.address)]
    places = {
        address: place if extents.allow(address, place.within) else Place("", "", 0)
        for address, place in places_of(addr2line, elf, [one.address for one in listed]).items()
    }
    code = [one for one in listed if places[one.address].line or extents.is_function(one.address)]
    if not any(places[one.address].line for one in code):
        raise BenchError(f"{elf.name} does not say which lines it comes from", remedy="compile with -g, do not strip")
    return CoveredProgram(name, {one.address: places[one.address] for one in code}, flow_of(code, arm=arm))


class _Extents:
    """Where the functions and objects of a symbol table lie: start, end, name; and labels, whose end nobody knows."""

    def __init__(
        self, functions: Sequence[tuple[int, int, str]], objects: Sequence[tuple[int, int, str]], labels: set[str]
    ) -> None:
        self._functions = sorted((start, end) for start, end, _ in functions)
        self._objects = sorted((start, end) for start, end, _ in objects)
        self._names: dict[int, set[str]] = {}
        for start, _, name in functions:
            self._names.setdefault(start, set()).add(source_name(name))
        self._labels = labels

    def is_function(self, address: int) -> bool:
        return _inside(self._functions, address) is not None

    def is_object(self, address: int) -> bool:
        return _inside(self._objects, address) is not None and not self.is_function(address)

    def allow(self, address: int, function: str) -> bool:
        """Whether an instruction can be one of that function.

        The debug information of functions that the linker dropped stays, and lies at address 0: over whatever is there.
        """
        start = _inside(self._functions, address)
        return not function or function in (self._labels if start is None else self._names[start])


def _inside(extents: list[tuple[int, int]], address: int) -> int | None:
    """The start of the extent that an address lies in."""
    place = bisect.bisect_right(extents, (address, 1 << 64)) - 1
    return extents[place][0] if place >= 0 and address < extents[place][1] else None


def _extents(elf: ELFFile) -> tuple[_Extents, bool]:
    arm = elf["e_machine"] == "EM_ARM"
    found: dict[str, list[tuple[int, int, str]]] = {"STT_FUNC": [], "STT_OBJECT": []}
    labels: set[str] = set()
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        for symbol in section.iter_symbols():
            kind, size = symbol["st_info"]["type"], symbol["st_size"]
            if not size:
                labels.add(symbol.name)
            if kind in found and size and symbol["st_shndx"] != "SHN_UNDEF":
                start = symbol["st_value"] & ~1 if arm and kind == "STT_FUNC" else symbol["st_value"]
                found[kind].append((start, start + size, symbol.name))
    return _Extents(found["STT_FUNC"], found["STT_OBJECT"], labels), arm
