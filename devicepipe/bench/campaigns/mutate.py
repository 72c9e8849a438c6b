"""Inputs that nobody meant: bytes drawn by chance, and good inputs changed a little. All follow from the draw."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_MOST = 200
_LONG = 4096
"""More than the buffers of what reads such inputs hold, so that a bound that is not kept shows."""
_TELLING = (0x00, 0x01, 0x02, 0x06, 0x09, 0x0A, 0x0D, 0x20, 0x3D, 0x7F, 0x80, 0xFE, 0xFF)
_NUMBERS = (b"0", b"1", b"65535", b"65536", b"4294967295", b"4294967296", b"999999999", b"-1", b"00000000001")


def noise(draw: Random) -> bytes:
    """Bytes drawn by chance, printable ones, or one byte again and again; some of it is long."""
    size = draw.randint(1, _LONG if draw.randrange(4) == 0 else _MOST)
    way = draw.randrange(3)
    if way == 0:
        return bytes(draw.randint(0x20, 0x7E) for _ in range(size))
    return draw.randbytes(size) if way == 1 else draw.randbytes(1) * size


def mutated(draw: Random, known: Sequence[bytes]) -> bytes:
    """One of the known inputs with one to four changes."""
    data = bytearray(draw.choice(known))
    for _ in range(draw.randint(1, 4)):
        _CHANGES[draw.randrange(len(_CHANGES))](draw, data, known)
    return bytes(data[:_LONG])


def _flip(draw: Random, data: bytearray, _known: Sequence[bytes]) -> None:
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _set(draw: Random, data: bytearray, _known: Sequence[bytes]) -> None:
    if data:
        data[draw.randrange(len(data))] = draw.choice(_TELLING)


def _insert(draw: Random, data: bytearray, _known: Sequence[bytes]) -> None:
    at = draw.randint(0, len(data))
    data[at:at] = draw.randbytes(draw.randint(1, 8))


def _number(draw: Random, data: bytearray, _known: Sequence[bytes]) -> None:
    digits = [at for at, byte in enumerate(data) if byte in b"0123456789"]
    if digits:
        at = draw.choice(digits)
        data[at : at + 1] = draw.choice(_NUMBERS)


def _drop(draw: Random, data: bytearray, _known: Sequence[bytes]) -> None:
    if data:
        at = draw.randrange(len(data))
        del data[at : at + draw.randint(1, 8)]


def _cut(draw: Random, data: bytearray, _known: Sequence[bytes]) -> None:
    del data[draw.randint(0, len(data)) :]


def _splice(draw: Random, data: bytearray, known: Sequence[bytes]) -> None:
    other = draw.choice(known)
    data[draw.randint(0, len(data)) :] = other[draw.randint(0, len(other)) :]


def _repeat(draw: Random, data: bytearray, _known: Sequence[bytes]) -> None:
    data *= draw.randint(1, 3)


def _lengthen(draw: Random, data: bytearray, _known: Sequence[bytes]) -> None:
    at = draw.randint(0, len(data))
    data[at:at] = noise(draw)


_CHANGES = (_flip, _set, _insert, _number, _drop, _cut, _splice, _repeat, _lengthen)
