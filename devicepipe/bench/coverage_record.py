"""The record of what each test executed: `coverage.jsonl` beside the session's record, one JSON object a line, written as tests go.

What always holds: the first line says where the programs lie; each further one tells what was executed while a test was prepared
(start, identity: `preparation`) or while it ran (`test`), and nothing stands in two of them. A set of numbers is a bitmap (bit n of
byte n / 8 is number n), compressed with zlib, in base64.
"""

from __future__ import annotations

import base64
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from devicepipe.bench.coverage_map import Code, CoverageMap
from devicepipe.errors import BenchError

NAME = "coverage.jsonl"
_MAXIMUM_BITMAP = 1 << 24
"""Bytes of a bitmap: 256 MiB of instructions."""

When = Literal["preparation", "test"]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CodePlace(_Line):
    """Where a stretch of a program lies, and the number of its first two bytes: `slot`; each further two bytes have the next."""

    program: str
    address: int = Field(ge=0)
    size: int = Field(gt=0)
    slot: int = Field(ge=0)


class Programs(_Line):
    """The programs under test."""

    event: Literal["programs"] = "programs"
    code: list[CodePlace]


class CaseExecuted(_Line):
    """What was executed for a test.

    Attributes:
        id: The test.
        when: While it was prepared or while it ran.
        slots: Bitmap of the slots whose instructions were begun.
        ways: Bitmap of the ways that were gone: numbers of entries in all lines' `found`, counted from the first.
        found: Ways that were not known before: from slot to slot.
        foreign: How many instructions in the place of a program were not the program's.
    """

    event: Literal["executed"] = "executed"
    id: str
    when: When
    slots: str
    ways: str
    found: list[tuple[int, int]]
    foreign: int


_LINES: TypeAdapter[Programs | CaseExecuted] = TypeAdapter(
    Annotated[Programs | CaseExecuted, Field(discriminator="event")]
)


class CoverageWriter:
    """Appends to the record what a map has counted.

    Args:
        path: The record, which is made.
        counts: What counts.
    """

    def __init__(self, path: Path, counts: CoverageMap) -> None:
        self._counts = counts
        self._known = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._write(Programs(code=[_place(code) for code in counts.code]))

    def take(self, test: str, when: When) -> None:
        """Append what was executed since the last time.

        Raises:
            BenchError: Coverage was lost, see `CoverageMap.take`.
        """
        executed = self._counts.take()
        found, self._known = self._counts.ways[self._known :], len(self._counts.ways)
        self._write(
            CaseExecuted(
                id=test,
                when=when,
                slots=pack(executed.slots),
                ways=pack(executed.ways),
                found=found,
                foreign=executed.foreign,
            )
        )

    def close(self) -> None:
        """Close the record."""
        os.close(self._file)

    def _write(self, line: Programs | CaseExecuted) -> None:
        data = line.model_dump_json().encode() + b"\n"
        while data:
            data = data[os.write(self._file, data) :]


def _place(code: Code) -> CodePlace:
    return CodePlace(program=code.program, address=code.address, size=len(code.data), slot=code.slot)


def pack(numbers: Sequence[int]) -> str:
    """A set of numbers as text."""
    bitmap = bytearray(max(numbers, default=-1) // 8 + 1)
    for number in numbers:
        bitmap[number >> 3] |= 1 << (number & 7)
    return base64.b64encode(zlib.compress(bytes(bitmap), 6)).decode("ascii")


def unpack(text: str) -> list[int]:
    """The numbers of such a text, ascending.

    Raises:
        ValueError: It is none.
    """
    try:
        decoder = zlib.decompressobj()
        bitmap = decoder.decompress(base64.b64decode(text, validate=True), _MAXIMUM_BITMAP)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not decoder.eof or decoder.unused_data:
        raise ValueError("a bitmap is cut off or too large")
    return [8 * place + bit for place, byte in enumerate(bitmap) if byte for bit in _BITS[byte]]


_BITS = [tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]


@dataclass(frozen=True, slots=True)
class ProgramHits:
    """What some tests executed of a program: how many of them began the instruction at an address, or went from one to another."""

    instructions: dict[int, int]
    ways: dict[tuple[int, int], int]


class CoverageRecord:
    """A session's record of coverage, read.

    Args:
        data: The bytes of the file; a last line without its end was cut off by a kill and is left out.

    Raises:
        BenchError: It is damaged; names the line.

    Attributes:
        foreign: Test → how many instructions were in the place of a program that were not the program's.
    """

    def __init__(self, data: bytes) -> None:
        self.foreign: dict[str, int] = {}
        self._slots: dict[tuple[str, When], set[int]] = {}
        self._gone: dict[tuple[str, When], set[int]] = {}
        self._code: list[CodePlace] = []
        self._ways: list[tuple[int, int]] = []
        for number, line in enumerate(data.split(b"\n")[:-1], start=1):
            try:
                self._take(number, _LINES.validate_json(line))
            except ValueError as error:
                raise BenchError(
                    f"the record of coverage is damaged at line {number}: {str(error).splitlines()[0]}",
                    remedy="run the session again",
                ) from error
        if not self._code:
            raise BenchError("the record of coverage is empty", remedy="run the session again")

    @property
    def programs(self) -> list[str]:
        """The names of the programs."""
        return list(dict.fromkeys(place.program for place in self._code))

    @property
    def tests(self) -> set[str]:
        """The tests that it tells of while they ran."""
        return {test for test, when in self._slots if when == "test"}

    def hits(self, tests: Iterable[str], when: Sequence[When] = ("preparation", "test")) -> dict[str, ProgramHits]:
        """What some tests executed, by program.

        Args:
            tests: Their names; of one that is not in the record nothing was executed.
            when: Whether what prepared them counts, what ran in them, or both.
        """
        slots: Counter[int] = Counter()
        ways: Counter[int] = Counter()
        for test in tests:
            slots.update(set[int]().union(*(self._slots.get((test, phase), ()) for phase in when)))
            ways.update(set[int]().union(*(self._gone.get((test, phase), ()) for phase in when)))
        found = {name: ProgramHits({}, {}) for name in self.programs}
        for slot, count in slots.items():
            program, address = self._address(slot)
            found[program].instructions[address] = count
        for number, count in ways.items():
            start, end = (self._address(slot) for slot in self._ways[number])
            if start[0] and start[0] == end[0]:
                found[start[0]].ways[start[1], end[1]] = count
        return found

    def _take(self, number: int, line: Programs | CaseExecuted) -> None:
        if isinstance(line, Programs) != (number == 1):
            raise ValueError("the programs belong on the first line, and only there")
        if isinstance(line, Programs):
            self._code = line.code
            return
        self._ways += line.found
        slots, ways = unpack(line.slots), unpack(line.ways)
        if ways and ways[-1] >= len(self._ways):
            raise ValueError(f"way {ways[-1]} was never found")
        if slots and not self._address(slots[-1])[0]:
            raise ValueError(f"slot {slots[-1]} lies in no program")
        key = (line.id, line.when)
        self._slots.setdefault(key, set()).update(slots)
        self._gone.setdefault(key, set()).update(ways)
        self.foreign[line.id] = self.foreign.get(line.id, 0) + line.foreign

    def _address(self, slot: int) -> tuple[str, int]:
        """Program and address; "" and 0 outside of all programs."""
        for place in self._code:
            if place.slot <= slot < place.slot + place.size // 2:
                return place.program, place.address + 2 * (slot - place.slot)
        return "", 0
