"""Bits that flip in flash: which, by a number and a seed.

A target of so many bits has one point for each of its bits, which flips that one alone: its number is the bit's. All higher numbers
flip two to eight bits, which follow from the seed, the target and the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

MOST = 8
"""The most bits that one point flips."""


@dataclass(frozen=True)
class Target:
    """A part of the flash whose bits are flipped.

    Attributes:
        name: What lies there.
        start: The whole flash before.
        stretches: Where it lies: offsets in the flash and sizes in bytes, which do not overlap.
        allowed: What may become of the device.
        answers: What an application said when nothing was damaged, which is asked again at each point: question → answer.
            Empty: the application is started at some points only, as in any campaign.
    """

    name: str
    start: bytes
    stretches: tuple[tuple[int, int], ...]
    allowed: frozenset[str]
    answers: Mapping[str, str] = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """How many there are."""
        return 8 * sum(size for _, size in self.stretches)

    def place(self, bit: int) -> tuple[int, int]:
        """Where a bit of the target lies: its byte's offset in the flash, and its place in that byte."""
        byte, within = divmod(bit, 8)
        for offset, size in self.stretches:
            if byte < size:
                return offset + byte, within
            byte -= size
        raise ValueError(f"'{self.name}' has no bit {bit}")


@dataclass(frozen=True)
class Flip:
    """One point.

    Attributes:
        number: See above.
        bits: The target's bits that flip.
    """

    number: int
    bits: tuple[int, ...]

    def describe(self, target: Target) -> str:
        """In words."""
        places = ", ".join("{:#x}.{}".format(*target.place(bit)) for bit in self.bits)
        return f"flash {places} flipped"


def flip(target: Target, number: int, seed: int) -> Flip:
    """The point of that number."""
    if number < target.bits:
        return Flip(number, (number,))
    draw = Random(f"{seed}:{target.name}:{number}")  # noqa: S311 - a point must be repeatable
    count = draw.randint(2, min(MOST, target.bits))
    return Flip(number, tuple(sorted(draw.sample(range(target.bits), count))))


def draw(target: Target, points: int, seed: int) -> list[Flip]:
    """So many points of a target; one half flips single bits, as long as there are enough."""
    single = min(target.bits, (points + 1) // 2)
    chosen = Random(f"{seed}:{target.name}").sample(range(target.bits), single)  # noqa: S311 - to be repeated
    numbers = sorted(chosen) + [target.bits + number for number in range(points - single)]
    return [flip(target, number, seed) for number in numbers]


def flipped(target: Target, point: Flip) -> bytes:
    """The flash that a point leaves."""
    flash = bytearray(target.start)
    for bit in point.bits:
        offset, within = target.place(bit)
        flash[offset] ^= 1 << within
    return bytes(flash)
