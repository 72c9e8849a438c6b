"""Why two linked programs differ: the first section and symbol that do, the source line by DWARF, and what stands there in each.

How the place is found, the first that applies:

1. the order of symbols in memory differs: the first symbol that stands where the other build has another;
2. a symbol has another size: the first such symbol;
3. the contents of loaded sections differ: the symbol at the lowest such address; what no symbol holds (the text of a string) is
   told with the function that uses it, found by the address in its literals;
4. a section that is not loaded differs (debug information, names): the first of the file.

The lowest differing byte alone would often name an innocent: whoever calls a function that moved.

Limits: users of unnamed data are found where code holds addresses as whole words (Arm literal pools; not RISC-V's lui/addi).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from elftools.common.exceptions import DWARFError, ELFError

from devicepipe.build.debug_places import DebugPlaces
from devicepipe.build.elf_file import ElfFile, Section, Symbol

_LONGEST = 160
_FEWEST = 4
_BYTES = 8

Cleaner = Callable[[str], str]
"""Replaces this machine's folders in a text."""


@dataclass(frozen=True)
class Place:
    """Where two programs differ first, and how.

    Attributes:
        section: The section's name.
        symbol: The function or object, or the function that uses what differs; None if none is known.
        other_symbol: What the second program has in its place, where that is another.
        source: `file:line` of the symbol or instruction; None where there is no debug information.
        first: What the first program has there, as text or as hexadecimal bytes.
        second: Likewise.
        note: What differs, in words.
    """

    section: str | None
    symbol: str | None = None
    other_symbol: str | None = None
    source: str | None = None
    first: str | None = None
    second: str | None = None
    note: str = ""


class Programs:
    """Two builds of one program.

    Raises:
        NotAnElf: One of them is no linked ELF file.
    """

    def __init__(self, first: bytes, second: bytes, clean_first: Cleaner = str, clean_second: Cleaner = str) -> None:
        self._ours, self._theirs = ElfFile(first), ElfFile(second)
        self._bytes = first
        self._clean = (clean_first, clean_second)

    def place(self) -> Place | None:
        """The first difference of what is loaded; None where that is the same."""
        return self._order() or self._size() or self._contents()

    def unloaded(self) -> Place | None:
        """The first difference of sections that are not loaded."""
        ours, theirs = dict(self._ours.all_contents()), dict(self._theirs.all_contents())
        for name, content in ours.items():
            other = theirs.get(name)
            if other is None:
                return Place(name, note="only the first build has this section")
            if content != other:
                at = first_difference(content, other)
                first, second = self._shown(content, other, at)
                return Place(name, first=first, second=second, note="a section that is not loaded differs")
        extra = next((name for name in theirs if name not in ours), None)
        return Place(extra, note="only the second build has this section") if extra else None

    def _order(self) -> Place | None:
        ours, theirs = self._ours.by_address, self._theirs.by_address
        names = [symbol.name for symbol in ours], [symbol.name for symbol in theirs]
        if names[0] == names[1]:
            return None
        for symbol, other in zip(ours, theirs, strict=False):
            if symbol.name != other.name:
                where = f"at {symbol.address:#010x} the first build has {symbol.name}, the second {other.name}"
                note = f"{where}: what is linked, or its order, differs"
                return self._of(symbol, note, other=other.name)
        longer, which = (ours, "first") if len(ours) > len(theirs) else (theirs, "second")
        extra = longer[min(len(ours), len(theirs))]
        section = (self._ours if which == "first" else self._theirs).section_at(extra.address)
        return Place(section, extra.name, note=f"only the {which} build has {extra.name}")

    def _size(self) -> Place | None:
        for symbol, other in zip(self._ours.by_address, self._theirs.by_address, strict=False):
            if symbol.size != other.size:
                note = f"{symbol.name} has {symbol.size} bytes in the first build and {other.size} in the second"
                place = self._of(symbol, note)
                ours, theirs = (
                    self._ours.read(symbol.address, symbol.size),
                    self._theirs.read(other.address, other.size),
                )
                if ours is None or theirs is None or ours == theirs:
                    return place
                first, second = self._shown(ours, theirs, first_difference(ours, theirs))
                return Place(place.section, place.symbol, None, place.source, first, second, note)
        return None

    def _contents(self) -> Place | None:
        ours, theirs = self._ours.loaded, self._theirs.loaded
        pairs = list(zip(ours, theirs, strict=False))
        # What moved has other addresses in whoever refers to it: a section that became longer is the cause, if there is one.
        pairs.sort(key=lambda pair: (pair[0].size == pair[1].size, pair[0].load_address))
        for mine, other in pairs:
            content, elsewhere = self._ours.content(mine), self._theirs.content(other)
            if (mine.name, mine.address) != (other.name, other.address) or content != elsewhere:
                return self._in_section(mine, other, content, elsewhere)
        if len(ours) != len(theirs):
            longer, which = (ours, "first") if len(ours) > len(theirs) else (theirs, "second")
            return Place(longer[len(pairs)].name, note=f"only the {which} build has this section")
        return None

    def _in_section(self, mine: Section, other: Section, content: bytes, elsewhere: bytes) -> Place:
        if content == elsewhere:
            return Place(
                mine.name,
                note=f"it lies at {mine.address:#010x} in the first build, at {other.address:#010x} in the second",
            )
        at = self._unnamed_cause(mine, content, elsewhere)
        address = mine.address + at
        first, second = self._shown(content, elsewhere, at)
        if (symbol := self._ours.symbol(address)) is not None:
            place = self._of(symbol, "the contents differ", address=address)
            return Place(place.section, place.symbol, None, place.source, first, second, place.note)
        start = mine.address + _start_of_text(content, at)
        user = self._user_of(start)
        note = "data without a name differs" + (f"; {user.name} uses it" if user else "")
        source = self._debug(lambda debug: debug.declared(user.name)) if user else None
        return Place(mine.name, user.name if user else None, None, source, first, second, note)

    def _unnamed_cause(self, section: Section, content: bytes, elsewhere: bytes) -> int:
        """The offset to tell of.

        Where unnamed data changed its length, what follows it moved, and code before it that holds those addresses differs too.
        """
        at = first_difference(content, elsewhere)
        moved = next(
            (
                (before, symbol)
                for before, symbol, other in zip(
                    [None, *self._ours.by_address], self._ours.by_address, self._theirs.by_address, strict=False
                )
                if symbol.address != other.address
                and section.address <= symbol.address < section.address + section.size
            ),
            None,
        )
        start = 0
        if moved is not None and moved[0] is not None:
            start = max(0, moved[0].address + moved[0].size - section.address)
        elif moved is None and len(content) != len(elsewhere):
            named = [s.address + s.size - section.address for s in self._ours.by_address if self._within(section, s)]
            start = max(named, default=0)
        if content[start:] == elsewhere[start:]:
            return at
        return start + first_difference(content[start:], elsewhere[start:])

    @staticmethod
    def _within(section: Section, symbol: Symbol) -> bool:
        return section.address <= symbol.address < section.address + section.size

    def _of(self, symbol: Symbol, note: str, *, other: str | None = None, address: int | None = None) -> Place:
        def look(debug: DebugPlaces) -> str | None:
            line = debug.line(address) if address is not None and symbol.code else None
            return line or debug.declared(symbol.name)

        return Place(self._ours.section_at(symbol.address), symbol.name, other, self._debug(look), note=note)

    def _debug(self, look: Callable[[DebugPlaces], str | None]) -> str | None:
        try:
            found = look(DebugPlaces(self._bytes))
        except (ELFError, DWARFError, LookupError, ValueError, AttributeError):
            return None  # debug information of a kind that cannot be read explains nothing, and hides nothing
        return self._clean[0](found) if found else None

    def _user_of(self, address: int) -> Symbol | None:
        """The function that holds an address as a word, e.g. in its literal pool."""
        word = struct.pack("<I", address & 0xFFFFFFFF)
        for section in self._ours.loaded:
            for at in _all(self._ours.content(section), word):
                symbol = self._ours.symbol(section.address + at)
                if symbol is not None:
                    return symbol
        return None

    def _shown(self, ours: bytes, theirs: bytes, at: int) -> tuple[str, str]:
        """What stands at a place in both, alike as text or as bytes."""
        texts = tuple(clean(_text_at(data, at)) for clean, data in zip(self._clean, (ours, theirs), strict=True))
        if all(len(text) >= _FEWEST for text in texts):
            return _shortened(texts[0]), _shortened(texts[1])
        return ours[at : at + _BYTES].hex(" "), theirs[at : at + _BYTES].hex(" ")


def first_difference(first: bytes, second: bytes) -> int:
    """The offset of the first byte that differs, or the length of the shorter."""
    # Halving finds the place by comparisons in C instead of a loop over every byte.
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[:middle] == second[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _printable(byte: int) -> bool:
    return byte in b"\t" or 0x20 <= byte < 0x7F  # noqa: PLR2004 - ASCII


def _start_of_text(data: bytes, at: int) -> int:
    while at > 0 and at <= len(data) and _printable(data[at - 1]):
        at -= 1
    return at


def _text_at(data: bytes, at: int) -> str:
    start = end = _start_of_text(data, at)
    while end < len(data) and _printable(data[end]):
        end += 1
    return data[start:end].decode("ascii")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _all(data: bytes, part: bytes) -> Iterator[int]:
    at = data.find(part)
    while at >= 0:
        yield at
        at = data.find(part, at + 1)
