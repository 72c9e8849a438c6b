"""Source lines out of a program's DWARF debug information: of an instruction, and of where a function or object is declared.

Read with pyelftools alone, so that two programs can be explained where their toolchain is not at hand.
Source: DWARF 5, 6.2 (line number information) and 2.14 (declaration coordinates).
"""

from __future__ import annotations

import io
import posixpath
from typing import Any

from elftools.elf.elffile import ELFFile

_FIVE = 5  # since DWARF 5 files and folders count from 0


class DebugPlaces:
    """The debug information of an ELF file's bytes; raises ELFError or DWARFError where it cannot be read."""

    def __init__(self, content: bytes) -> None:
        elf = ELFFile(io.BytesIO(content))
        self._dwarf: Any = elf.get_dwarf_info() if elf.has_dwarf_info() else None

    def line(self, address: int) -> str | None:
        """`file:line` of an instruction."""
        if self._dwarf is None:
            return None
        for unit in self._dwarf.iter_CUs():
            program = self._dwarf.line_program_for_CU(unit)
            before = None
            for entry in program.get_entries() if program is not None else ():
                state = entry.state
                if state is None:
                    continue
                if before is not None and before.address <= address < state.address:
                    return f"{self._file(program, before.file)}:{before.line}"
                before = None if state.end_sequence else state
        return None

    def declared(self, name: str) -> str | None:
        """`file:line` of the declaration of a function or object that has a place in the program."""
        if self._dwarf is None:
            return None
        name = name.partition(".")[0]  # GCC's copies of a function are named name.part.0, name.constprop.0
        for unit in self._dwarf.iter_CUs():
            for die in unit.iter_DIEs():
                attributes = die.attributes
                if die.tag not in ("DW_TAG_subprogram", "DW_TAG_variable") or "DW_AT_decl_line" not in attributes:
                    continue
                if "DW_AT_name" not in attributes or attributes["DW_AT_name"].value.decode("utf-8", "replace") != name:
                    continue
                program = self._dwarf.line_program_for_CU(unit)
                file = self._file(program, attributes["DW_AT_decl_file"].value)
                return f"{file}:{attributes['DW_AT_decl_line'].value}"
        return None

    @staticmethod
    def _file(program: Any, index: int) -> str:
        header = program.header
        first = 0 if header.version >= _FIVE else 1
        entry = header["file_entry"][index - first]
        folders = header["include_directory"]
        name = entry.name.decode("utf-8", "replace")
        number = entry.dir_index if header.version >= _FIVE else entry.dir_index - 1
        folder = folders[number].decode("utf-8", "replace") if 0 <= number < len(folders) else ""
        return posixpath.normpath(posixpath.join(folder, name))
