"""Checks of a linked ELF file: what must hold of any firmware before it is signed.

What always holds: every check is made and tells what it saw; a file that cannot be read fails the first check and no other is
reported as passed. Addresses in messages are run addresses.

Sources: System V ABI chapter 5 (segments); Arm ARMv6-M B1.5.3 and ARMv7-M B1.5.3 (vector table: word 0 the initial stack
pointer, word 1 the reset handler with the Thumb bit set, words 2 and 3 NMI and HardFault, which cannot be switched off); AAPCS32
6.2.1.2 (8-byte stack alignment).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from elftools.common.exceptions import ELFError
from elftools.elf.constants import P_FLAGS, SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

from devicepipe.evidence.findings import Check
from devicepipe.project.board import Board

_WORD = 4

HEAP_SYMBOLS = frozenset(
    {
        *("malloc", "calloc", "realloc", "free", "_malloc_r", "_calloc_r", "_realloc_r", "_free_r"),
        *("sbrk", "_sbrk", "_sbrk_r", "memalign", "aligned_alloc"),
        *("_Znwj", "_Znaj", "_Znwm", "_Znam", "_ZdlPv", "_ZdaPv"),
    }
)
"""Functions whose presence means that a heap is linked in: the C library's, and C++ new and delete."""

_PRINTERS = [f"{v}{kind}{i}printf" for v in ("", "v") for kind in ("", "f", "s", "sn", "d", "as") for i in ("", "i")]
_SCANNERS = [f"{v}{kind}{i}scanf" for v in ("", "v") for kind in ("", "f", "s") for i in ("", "i")]
FORBIDDEN = (
    *_PRINTERS,
    *_SCANNERS,
    *(f"_{name}_r" for name in (*_PRINTERS, *_SCANNERS)),
    *("gets", "strcpy", "strcat", "stpcpy", "strtok", "system", "setjmp", "longjmp"),
)
"""Functions that a product does not link by default: formatted in- and output (newlib's names), and what writes without a bound."""


@dataclass(frozen=True)
class _Range:
    """Addresses from `start` up to, not including, `end`."""

    name: str
    start: int
    end: int

    def holds(self, address: int, size: int = 1) -> bool:
        return self.start <= address and address + size <= self.end

    def __str__(self) -> str:
        return f"{self.name} {self.start:#010x}-{self.end:#010x}"


def check_elf(
    content: bytes,
    *,
    role: Literal["application", "bootloader"],
    board: Board,
    forbidden: Collection[str] = FORBIDDEN,
) -> list[Check]:
    """Check a linked program against its board.

    Args:
        content: The ELF file's bytes.
        role: Application (runs from slot0) or bootloader (from the region `bootloader`).
        board: Memories, regions, core, and how its debug port is locked.
        forbidden: Names of functions that must not be linked in; `*` and `?` stand for others.

    Returns:
        One check per property, named `<role>/<property>`.
    """
    try:
        program = _Program(content, role, board, forbidden)
        checks = list(program.checks())
    except (ELFError, struct.error, UnicodeDecodeError) as error:
        return [Check(name=f"{role}/readable", passed=False, message=f"not a readable ELF file: {error}")]
    return [Check(name=f"{role}/readable", passed=True, message=program.summary), *checks]


class _Program:
    """The ELF file and the memories it has to keep to."""

    def __init__(self, content: bytes, role: str, board: Board, forbidden: Collection[str]) -> None:
        self._forbidden = forbidden
        self._lock = board.debug_lock
        self._elf = ELFFile(io.BytesIO(content))
        self._role = role
        self._cortex_m = board.core.startswith("cortex-m")
        self._ram = _Range("RAM", board.ram.base, board.ram.base + board.ram.size)
        self._ram_code = board.ram.code
        name = "slot0" if role == "application" else "bootloader"
        start = board.address(name)
        self._flash = _Range(name, start, start + board.regions[name].size)
        self._segments = [segment for segment in self._elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
        self._sections = [
            section
            for section in self._elf.iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]
        ]
        self.summary = f"{len(self._segments)} loadable segments, {len(self._sections)} allocated sections"

    def checks(self) -> Iterator[Check]:
        yield self._check("no-writable-executable-segment", *self._writable_executable())
        yield self._check("no-executable-ram", *self._executable_ram())
        if self._cortex_m:
            yield self._check("vector-table", *self._vector_table())
        yield self._check("entry-in-flash", *self._entry())
        yield self._check("sections-in-memory", *self._in_memory())
        yield self._check("no-heap", *self._heap())
        yield self._check("no-forbidden-symbols", *self._forbidden_symbols())
        yield self._debug_port()

    def _check(self, name: str, problems: list[str], seen: str) -> Check:
        return Check(name=f"{self._role}/{name}", passed=not problems, message="; ".join(problems) or seen)

    def _writable_executable(self) -> tuple[list[str], str]:
        both = P_FLAGS.PF_W | P_FLAGS.PF_X
        problems = [
            f"the segment at {segment['p_vaddr']:#010x} ({segment['p_memsz']} bytes) is writable and executable"
            for segment in self._segments
            if segment["p_flags"] & both == both and segment["p_memsz"]
        ]
        return problems, "no segment is both writable and executable"

    def _executable_ram(self) -> tuple[list[str], str]:
        in_ram = [
            segment
            for segment in self._segments
            if segment["p_flags"] & P_FLAGS.PF_X and segment["p_memsz"] and self._ram.holds(segment["p_vaddr"])
        ]
        code = sum(segment["p_memsz"] for segment in in_ram)
        if code <= self._ram_code:
            seen = (
                f"{code} of the {self._ram_code} bytes of code that the manifest allows"
                if code
                else "no executable segment"
            )
            return [], f"{seen} {'lie' if code else 'lies'} in {self._ram}"
        allowed = f", and the manifest allows {self._ram_code} bytes of code there" if self._ram_code else ""
        problems = [
            f"the segment at {segment['p_vaddr']:#010x} ({segment['p_memsz']} bytes) is executable and lies in {self._ram}{allowed}"
            for segment in in_ram
        ]
        return problems, ""

    def _vector_table(self) -> tuple[list[str], str]:
        loaded = [section for section in self._sections if section["sh_type"] != "SHT_NOBITS"]
        if not loaded:
            return ["nothing is loaded, so there is no vector table"], ""
        first = min(
            loaded, key=lambda section: int(section["sh_addr"]) if self._flash.holds(section["sh_addr"]) else 1 << 64
        )
        stack, reset = struct.unpack_from("<II", first.data())
        where = f"vector table {first.name} at {first['sh_addr']:#010x}"
        problems = []
        if not self._flash.holds(first["sh_addr"]):
            problems.append(f"{where} is outside {self._flash}")
        if not self._ram.start < stack <= self._ram.end:
            problems.append(f"{where}: initial stack pointer {stack:#010x} is outside {self._ram}")
        if stack % 8:
            problems.append(f"{where}: initial stack pointer {stack:#010x} is not aligned to 8 bytes")
        if not reset & 1:
            problems.append(f"{where}: reset handler {reset:#010x} lacks the Thumb bit")
        if not self._flash.holds(reset & ~1, 2):
            problems.append(f"{where}: reset handler {reset:#010x} is outside {self._flash}")
        if first["sh_size"] >= 4 * _WORD:
            for name, handler in zip(
                ("NMI", "HardFault"), struct.unpack_from("<II", first.data(), 2 * _WORD), strict=True
            ):
                if not handler & 1 or not self._flash.holds(handler & ~1, 2):
                    problems.append(
                        f"{where}: {name} handler {handler:#010x} lacks the Thumb bit or is outside {self._flash}"
                    )
        return problems, f"{where}: initial stack pointer {stack:#010x}, reset handler {reset:#010x}"

    def _entry(self) -> tuple[list[str], str]:
        entry = self._elf["e_entry"]
        if self._flash.holds(entry & ~1 if self._cortex_m else entry, 2):
            return [], f"entry {entry:#010x} lies in {self._flash}"
        return [f"entry {entry:#010x} is outside {self._flash}"], ""

    def _in_memory(self) -> tuple[list[str], str]:
        problems = []
        for section in self._sections:
            address, size = section["sh_addr"], section["sh_size"]
            if self._lock is not None and _Range("", self._lock.address, self._lock.address + _WORD).holds(
                address, size
            ):
                continue
            if not (self._flash.holds(address, size) or self._ram.holds(address, size)):
                problems.append(
                    f"section {section.name} at {address:#010x} ({size} bytes) is outside {self._flash} and {self._ram}"
                )
            load = self._load_address(section)
            if section["sh_type"] != "SHT_NOBITS" and not self._flash.holds(load, size):
                problems.append(
                    f"section {section.name} is loaded to {load:#010x} ({size} bytes), outside {self._flash}"
                )
        return problems, f"all {len(self._sections)} sections lie in {self._flash} or {self._ram}"

    def _load_address(self, section: Section) -> int:
        """Where a section's contents are programmed: by the physical address of its segment."""
        for segment in self._segments:
            if segment.section_in_segment(section):
                return int(section["sh_addr"] - segment["p_vaddr"] + segment["p_paddr"])
        return int(section["sh_addr"])

    def _defined(self) -> set[str] | None:
        """The names of the symbols that are linked in; None where the file does not tell."""
        table = self._elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return None
        return {symbol.name for symbol in table.iter_symbols() if symbol["st_shndx"] != "SHN_UNDEF"}

    def _heap(self) -> tuple[list[str], str]:
        defined = self._defined()
        if defined is None:
            return ["the file has no symbol table, so a heap cannot be ruled out"], ""
        found = sorted(defined & HEAP_SYMBOLS)
        problems = [f"a heap is linked in: {', '.join(found)}"] if found else []
        return problems, f"none of {len(HEAP_SYMBOLS)} heap functions is among {len(defined)} symbols"

    def _forbidden_symbols(self) -> tuple[list[str], str]:
        defined = self._defined()
        if defined is None:
            return ["the file has no symbol table, so forbidden functions cannot be ruled out"], ""
        found = sorted(name for name in defined if any(fnmatchcase(name, pattern) for pattern in self._forbidden))
        problems = [f"forbidden functions are linked in: {', '.join(found)}"] if found else []
        return problems, f"none of {len(self._forbidden)} forbidden names is among {len(defined)} symbols"

    def _debug_port(self) -> Check:
        """The bootloader brings the word that locks the debug port; an application is loaded beside it."""
        name = f"{self._role}/debug-port-locked"
        if self._lock is None or self._role != "bootloader":
            why = "the board's manifest does not say how" if self._lock is None else "the bootloader's image locks it"
            return Check(name=name, passed=True, message=f"not applicable: {why}", not_applicable=True)
        lock = self._lock
        where = f"{lock.name} at {lock.address:#010x}"
        for section in self._sections:
            offset = lock.address - self._load_address(section)
            if section["sh_type"] != "SHT_NOBITS" and 0 <= offset <= section["sh_size"] - _WORD:
                (word,) = struct.unpack_from("<I", section.data(), offset)
                fine = word & lock.mask == lock.value
                told = f"{where} is {word:#010x}; under the mask {lock.mask:#010x} it must be {lock.value:#010x}"
                return Check(name=name, passed=fine, message=told)
        return Check(name=name, passed=False, message=f"nothing is loaded to {where}: the debug port stays open")
