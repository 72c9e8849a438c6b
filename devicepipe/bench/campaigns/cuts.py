"""What a power cut leaves in flash: the states between and inside the operations of a recorded update.

A cut inside an operation leaves some of the bits changed that it was to change: only from 1 to 0 where it programs, only from
0 to 1 where it erases. Which ones follows from a seed, in one of four ways: any of the bits; few of them; most of them; all up to
one word, which is torn, and none after it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

WORD = 4
_ANY, _FEW, _MOST = range(3)
_WAYS = 4

Where = Literal["before", "inside", "after"]


@dataclass(frozen=True)
class Operation:
    """One erase of a page or one program of words: `data` is what lies at `offset` of the flash afterwards."""

    offset: int
    data: bytes
    erase: bool


@dataclass(frozen=True)
class Point:
    """One power cut.

    Attributes:
        number: Its place in the list of all points: the way to try it again.
        operation: The operation that is cut, counted from 0.
        where: Before it, inside it or after it.
        seed: For cuts inside: which bits change.
    """

    number: int
    operation: int
    where: Where
    seed: int = 0

    def __str__(self) -> str:
        """In words."""
        detail = f", seed {self.seed}" if self.where == "inside" else ""
        return f"point {self.number}: {self.where} operation {self.operation}{detail}"


def points(operations: int, seeds: int) -> list[Point]:
    """All points of a recording: before each operation, inside it with each seed, and after the last one."""
    found: list[Point] = []
    for operation in range(operations):
        first = len(found)
        found.append(Point(first, operation, "before"))
        inside = range(first + 1, first + 1 + seeds)
        found += [Point(number, operation, "inside", seed=operation + 5 * (number - first)) for number in inside]
    if operations:
        found.append(Point(len(found), operations - 1, "after"))
    return found


def states(start: bytes, operations: list[Operation], chosen: list[Point]) -> Iterator[tuple[Point, bytes]]:
    """The flash as each of the points leaves it, in the order of the points, which are in ascending order."""
    flash = bytearray(start)
    done = 0
    for point in chosen:
        while done < point.operation + (point.where == "after"):
            write(flash, operations[done])
            done += 1
        if point.where == "inside":
            operation = operations[point.operation]
            end = operation.offset + len(operation.data)
            torn = bytearray(flash)
            torn[operation.offset : end] = tear(bytes(flash[operation.offset : end]), operation.data, point.seed)
            yield point, bytes(torn)
        else:
            yield point, bytes(flash)


def write(flash: bytearray, operation: Operation) -> None:
    """Carry out a whole operation.

    Raises:
        ValueError: It is none that flash allows: it sets a bit without an erase, or leaves the flash.
    """
    end = operation.offset + len(operation.data)
    before = bytes(flash[operation.offset : end])
    if len(before) != len(operation.data):
        raise ValueError(f"an operation at {operation.offset:#x} leaves the flash")
    if not operation.erase and int.from_bytes(operation.data) & ~int.from_bytes(before):
        raise ValueError(f"a program at {operation.offset:#x} sets a bit that is 0")
    flash[operation.offset : end] = operation.data


def tear(before: bytes, after: bytes, seed: int) -> bytes:
    """What a cut inside leaves of an operation that turns `before` into `after`."""
    choice = random.Random(seed)  # noqa: S311 - not for secrets: a cut must be repeatable
    bits = 8 * len(before)
    kind = seed % _WAYS
    if kind == _ANY:
        changed = choice.getrandbits(bits)
    elif kind == _FEW:
        changed = choice.getrandbits(bits) & choice.getrandbits(bits) & choice.getrandbits(bits)
    elif kind == _MOST:
        changed = choice.getrandbits(bits) | choice.getrandbits(bits) | choice.getrandbits(bits)
    else:
        return _prefix(before, after, choice)
    old, new = int.from_bytes(before), int.from_bytes(after)
    return (old ^ ((old ^ new) & changed)).to_bytes(len(before))


def _prefix(before: bytes, after: bytes, choice: random.Random) -> bytes:
    """All words up to one place are changed, that one in part, the others not."""
    place = choice.randrange(len(before) // WORD) * WORD
    old, new = (int.from_bytes(data[place : place + WORD]) for data in (before, after))
    torn = old ^ ((old ^ new) & choice.getrandbits(8 * WORD))
    return after[:place] + torn.to_bytes(WORD) + before[place + WORD :]
