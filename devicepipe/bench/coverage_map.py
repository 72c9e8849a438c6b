"""Which instructions of the programs under test an emulated device has begun, and which ways it went: counted by a plugin of QEMU.

The plugin (coverage.c) counts in a memory that it shares with the bench. So what a test executed is what the counts have grown by:
nobody asks QEMU, the device is not stopped for it, and an emulator that is killed loses nothing. The memory outlives the emulators
of a session: each goes on with it.

What always holds: an instruction counts only where its bytes were those of the program; `take` returns what was executed since the
last `take`, each count in exactly one of them; where the plugin was in no emulator, or its memory did not suffice, `take` raises
instead of returning too little.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from devicepipe.bench.tcg_plugin import plugin_file
from devicepipe.errors import BenchError, UsageError
from devicepipe.project.board import Flash

_MAGIC = int.from_bytes(b"pipecov1", "little")
_HEADER = struct.Struct("<QIIIIIIIIIIQQ")
_RANGE = struct.Struct("<QIIII")
_WAY = struct.Struct("<IIQ")
_COUNT = 8
# Counts are compared in stretches of this many bytes first: most of a program did not run between two looks.
_STRETCH = 512
_LEAST_CAPACITY = 4096


@dataclass(frozen=True, slots=True)
class Code:
    """A stretch of a program's instructions.

    Attributes:
        program: The name of the program.
        address: Of its first byte, as the processor sees it.
        data: Its bytes.
        slot: The number of its first two bytes; each further two have the next.
    """

    program: str
    address: int
    data: bytes
    slot: int


@dataclass(frozen=True, slots=True)
class Executed:
    """What was executed in a stretch of time.

    Attributes:
        slots: Where an instruction begins that was begun, ascending.
        ways: The numbers of the ways that were gone, ascending; see `CoverageMap.ways`.
        foreign: How many instructions QEMU has translated in the place of a program that were not the program's.
    """

    slots: tuple[int, ...]
    ways: tuple[int, ...]
    foreign: int


class CoverageMap:
    """The counts of a session.

    Args:
        programs: Name → ELF file.
        flash: The board's flash: code outside it is copied by its program.

    Raises:
        UsageError: A file cannot be read, or holds no instructions.
        BenchError: The plugin cannot be compiled, or there is no memory for the counts.
    """

    def __init__(self, programs: Mapping[str, Path], flash: Flash) -> None:
        self.code = _code_of(programs)
        names = list(programs)
        slots = sum(len(code.data) // 2 for code in self.code)
        capacity = _LEAST_CAPACITY
        while capacity < slots:
            capacity *= 2
        places, size = _places(
            (_HEADER.size, _RANGE.size * len(self.code), 2 * slots, _COUNT * slots, _WAY.size * capacity, 8 * capacity)
        )
        _, range_at, code_at, self._count_at, self._way_at, index_at = places
        self._slots = slots
        self._plugin = plugin_file("coverage", "coverage")
        self._file = os.memfd_create("devicepipe-coverage")
        try:
            os.truncate(self._file, size)
            self._memory = mmap.mmap(self._file, size)
        except OSError as error:
            self._close_files()
            raise BenchError(
                f"the memory for coverage cannot be had: {error}", remedy="check the free memory of this machine"
            ) from error
        header = (_MAGIC, len(self.code), slots, capacity, range_at, code_at, self._count_at, self._way_at, index_at)
        _HEADER.pack_into(self._memory, 0, *header, 0, 0, 0, 0)
        for number, code in enumerate(self.code):
            copied = not flash.base <= code.address < flash.base + flash.size
            entry = (code.address, len(code.data), names.index(code.program), copied, code.slot)
            _RANGE.pack_into(self._memory, range_at + number * _RANGE.size, *entry)
            start = code_at + 2 * code.slot
            self._memory[start : start + len(code.data)] = code.data
        self._seen_counts = bytes(_COUNT * slots)
        self._seen_ways: list[int] = []
        self._seen_foreign = 0
        self.ways: list[tuple[int, int]] = []

    @property
    def files(self) -> tuple[int, int]:
        """The file descriptors that an emulator must be given."""
        return self._plugin, self._file

    @property
    def arguments(self) -> list[str]:
        """The arguments of an emulator that was given them."""
        return ["-plugin", f"/proc/self/fd/{self._plugin},fd={self._file}"]

    def drop(self) -> None:
        """Forget what was executed since the last time."""
        self._grown_counts()
        *_, ways, _, self._seen_foreign, _ = _HEADER.unpack_from(self._memory)
        self._grown_ways(ways)

    def take(self) -> Executed:
        """What was executed since the last time, or since the beginning.

        Raises:
            BenchError: No emulator has had the plugin, or there were more ways than its memory holds.
        """
        *_, ways, overflow, foreign, attached = _HEADER.unpack_from(self._memory)
        if not attached:
            raise BenchError(
                "no coverage was taken: the emulator does not have the plugin", remedy="use a QEMU with TCG plugins"
            )
        if overflow:
            raise BenchError("coverage was lost: the device went more ways than the memory for them holds")
        slots = self._grown_counts()
        numbers = self._grown_ways(ways)
        grown, self._seen_foreign = foreign - self._seen_foreign, foreign
        return Executed(slots, numbers, grown)

    def _grown_counts(self) -> tuple[int, ...]:
        now = self._memory[self._count_at : self._count_at + _COUNT * self._slots]
        before, self._seen_counts = self._seen_counts, now
        grown: list[int] = []
        for start in range(0, len(now), _STRETCH):
            new, old = now[start : start + _STRETCH], before[start : start + _STRETCH]
            if new != old:
                counts = zip(memoryview(new).cast("Q"), memoryview(old).cast("Q"), strict=True)
                grown += [start // _COUNT + place for place, (one, other) in enumerate(counts) if one != other]
        return tuple(grown)

    def _grown_ways(self, number: int) -> tuple[int, ...]:
        entries = self._memory[self._way_at : self._way_at + _WAY.size * number]
        grown: list[int] = []
        known = len(self.ways)
        for place, (start, end, count) in enumerate(_WAY.iter_unpack(entries)):
            if place >= known:
                self.ways.append((start, end))
                self._seen_ways.append(0)
            if count != self._seen_ways[place]:
                self._seen_ways[place] = count
                grown.append(place)
        return tuple(grown)

    def close(self) -> None:
        """Give the memory back; harmless a second time."""
        if self._file >= 0:
            self._memory.close()
        self._close_files()

    def _close_files(self) -> None:
        for file in (self._plugin, self._file):
            if file >= 0:
                os.close(file)
        self._plugin = self._file = -1


def _places(sizes: tuple[int, ...]) -> tuple[list[int], int]:
    """Where parts of these sizes begin, each on a page of its own, and the size of it all."""
    places, end = [], 0
    for size in sizes:
        places.append(end)
        end += -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    return places, end


def _code_of(programs: Mapping[str, Path]) -> tuple[Code, ...]:
    """The executable sections of the programs."""
    found: list[Code] = []
    slot = 0
    for name, path in programs.items():
        try:
            with path.open("rb") as file:
                sections = [
                    (int(section["sh_addr"]), bytes(section.data()))
                    for section in ELFFile(file).iter_sections()
                    if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
                    and section["sh_flags"] & SH_FLAGS.SHF_ALLOC
                    and section["sh_type"] != "SHT_NOBITS"
                    and section["sh_size"]
                ]
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", file=path, remedy="build first") from error
        except ELFError as error:
            raise UsageError(f"is not an ELF file: {error}", file=path, remedy="build again") from error
        if not sections:
            raise UsageError("holds no instructions", file=path, remedy="build again")
        for address, data in sections:
            whole = data + bytes(len(data) % 2)
            found.append(Code(name, address, whole, slot))
            slot += len(whole) // 2
    return tuple(found)
