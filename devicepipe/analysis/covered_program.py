"""A linked program as coverage sees it: its instructions, the lines they come from, and its decisions.

What always holds: an instruction is one that lies in a function, as the symbol table or the debug information say; literal pools,
tables and texts are none, also among the code (mapping symbols on Arm, which objdump knows; the extents of objects).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from devicepipe.analysis.branches import Decision, Flow, Instruction, flow_of
from devicepipe.analysis.disassembly import listing
from devicepipe.analysis.source_lines import Place, places_of
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
    places = places_of(addr2line, elf, [one.address for one in listed])
    code = [one for one in listed if places[one.address].line or extents.is_function(one.address)]
    if not any(places[one.address].line for one in code):
        raise BenchError(f"{elf.name} does not say which lines it comes from", remedy="compile with -g, do not strip")
    return CoveredProgram(name, {one.address: places[one.address] for one in code}, flow_of(code, arm=arm))


class _Extents:
    """Where the functions and objects of a symbol table lie."""

    def __init__(self, functions: Iterable[tuple[int, int]], objects: Iterable[tuple[int, int]]) -> None:
        self._functions = sorted(functions)
        self._objects = sorted(objects)

    def is_function(self, address: int) -> bool:
        return _inside(self._functions, address)

    def is_object(self, address: int) -> bool:
        return _inside(self._objects, address) and not _inside(self._functions, address)


def _inside(extents: list[tuple[int, int]], address: int) -> bool:
    place = bisect.bisect_right(extents, (address, 1 << 64)) - 1
    return place >= 0 and address < extents[place][1]


def _extents(elf: ELFFile) -> tuple[_Extents, bool]:
    arm = elf["e_machine"] == "EM_ARM"
    found: dict[str, list[tuple[int, int]]] = {"STT_FUNC": [], "STT_OBJECT": []}
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        for symbol in section.iter_symbols():
            kind, size = symbol["st_info"]["type"], symbol["st_size"]
            if kind in found and size and symbol["st_shndx"] != "SHN_UNDEF":
                start = symbol["st_value"] & ~1 if arm and kind == "STT_FUNC" else symbol["st_value"]
                found[kind].append((start, start + size))
    return _Extents(found["STT_FUNC"], found["STT_OBJECT"]), arm
