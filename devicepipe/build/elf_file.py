"""Reading linked ELF files: what occupies which memory, the flat image, and which section and symbol hold an address.

What always holds: nothing here changes a file. "Loaded" sections are those that objcopy would write: allocated, with contents.
Source: System V ABI, chapters 4 and 5 (section and program headers).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

MAXIMUM_FLAT = 64 * 1024 * 1024
"""The largest flat image that is made, in bytes: larger ones come from a stray section far from the others."""


class NotAnElf(Exception):  # noqa: N818  reads as a statement about the file
    """The bytes are not a linked ELF file."""


@dataclass(frozen=True)
class Section:
    """An allocated section: run address, load address, size, and place in the file (in bytes); `loaded` if it has contents."""

    name: str
    address: int
    load_address: int
    size: int
    offset: int
    loaded: bool


@dataclass(frozen=True)
class Symbol:
    """A function (`code`) or object: name, address (Thumb bit cleared) and size in bytes."""

    name: str
    address: int
    size: int
    code: bool = False


class ElfFile:
    """A linked ELF file in memory.

    Raises:
        NotAnElf: The bytes are no ELF file.
    """

    def __init__(self, content: bytes) -> None:
        try:
            self._elf = ELFFile(io.BytesIO(content))
            self.sections = tuple(self._allocated())
            self._symbols = tuple(self._functions_and_objects())
        except (ELFError, UnicodeDecodeError) as error:
            raise NotAnElf(str(error)) from error
        self._content = content

    def _allocated(self) -> Iterator[Section]:
        segments = [segment.header for segment in self._elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
        for section in self._elf.iter_sections():
            header = section.header
            if not header["sh_flags"] & SH_FLAGS.SHF_ALLOC or header["sh_size"] == 0:
                continue
            address, size = header["sh_addr"], header["sh_size"]
            shift = 0
            for segment in segments:
                start = segment["p_vaddr"]
                if start <= address and address + size <= start + segment["p_memsz"]:
                    shift = segment["p_paddr"] - start
                    break
            loaded = header["sh_type"] != "SHT_NOBITS"
            yield Section(section.name, address, address + shift, size, header["sh_offset"], loaded)

    def _functions_and_objects(self) -> Iterator[Symbol]:
        table = self._elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return
        thumb = 1 if self._elf["e_machine"] == "EM_ARM" else 0
        for symbol in table.iter_symbols():
            kind = symbol["st_info"]["type"]
            if kind in ("STT_FUNC", "STT_OBJECT") and symbol["st_size"]:
                mask = thumb if kind == "STT_FUNC" else 0
                yield Symbol(symbol.name, symbol["st_value"] & ~mask, symbol["st_size"], kind == "STT_FUNC")

    @property
    def loaded(self) -> tuple[Section, ...]:
        """Sections with contents, by load address."""
        return tuple(sorted((s for s in self.sections if s.loaded), key=lambda section: section.load_address))

    def flash_used(self, base: int, size: int) -> int:
        """Bytes loaded into a memory (by load address)."""
        return _total((s.load_address, s.size) for s in self.loaded if base <= s.load_address < base + size)

    def ram_used(self, base: int, size: int) -> int:
        """Bytes that sections occupy of a memory while the program runs (by run address).

        A stack or heap counts only where the linker script makes it a section.
        """
        return _total((s.address, s.size) for s in self.sections if base <= s.address < base + size)

    def contents(self) -> Iterator[tuple[int, bytes]]:
        """Load address and bytes of every loaded section."""
        for section in self.loaded:
            yield section.load_address, self.content(section)

    def content(self, section: Section) -> bytes:
        """The bytes of a loaded section."""
        return self._content[section.offset : section.offset + section.size]

    def all_contents(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of every section of the file that has contents, loaded or not, in the file's order."""
        for section in self._elf.iter_sections():
            if section.header["sh_type"] not in ("SHT_NULL", "SHT_NOBITS"):
                yield section.name, section.data()

    @property
    def by_address(self) -> tuple[Symbol, ...]:
        """All functions and objects, by address and name."""
        return tuple(sorted(self._symbols, key=lambda symbol: (symbol.address, symbol.name)))

    def read(self, address: int, size: int) -> bytes | None:
        """The bytes that lie at a run address; None where they have no contents in the file."""
        for section in self.loaded:
            if section.address <= address and address + size <= section.address + section.size:
                return self.content(section)[address - section.address :][:size]
        return None

    def section_at(self, address: int) -> str | None:
        """The allocated section at a run address."""
        for section in self.sections:
            if section.address <= address < section.address + section.size:
                return section.name
        return None

    def flat(self) -> bytes:
        """The flat binary, as `objcopy -O binary` makes it: from the lowest to the highest loaded byte, gaps filled with zero.

        Raises:
            NotAnElf: Nothing is loaded, or the span is larger than `MAXIMUM_FLAT`.
        """
        sections = self.loaded
        if not sections:
            raise NotAnElf("no section has contents to load")
        start = sections[0].load_address
        span = max(section.load_address + section.size for section in sections) - start
        if span > MAXIMUM_FLAT:
            raise NotAnElf(f"the loaded sections span {span} bytes")
        image = bytearray(span)
        for address, content in self.contents():
            image[address - start : address - start + len(content)] = content
        return bytes(image)

    def section_at_load_address(self, address: int) -> tuple[str, int] | None:
        """The loaded section that holds a load address, with the run address there."""
        for section in self.loaded:
            if section.load_address <= address < section.load_address + section.size:
                return section.name, section.address + address - section.load_address
        return None

    def symbol(self, address: int) -> Symbol | None:
        """The function or object at a run address."""
        for symbol in self._symbols:
            if symbol.address <= address < symbol.address + symbol.size:
                return symbol
        return None


def _total(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(size for _, size in ranges)
