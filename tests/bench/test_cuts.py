"""What the power-cut campaign takes for the traces of a cut: only what flash can hold, and the same again from the same number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.bench.campaigns.cuts import Operation, points, states, tear, write

PAGE = 64


def test_points_are_numbered_without_a_gap() -> None:
    """Before each operation, inside it once a seed, and after the last one."""
    found = points(3, seeds=2)
    assert [point.number for point in found] == list(range(10))
    assert [point.where for point in found] == ["before", "inside", "inside"] * 3 + ["after"]
    assert found[-1].operation == 2
    assert points(0, seeds=2) == []


def test_states_are_those_between_the_operations() -> None:
    """The state before an operation holds all earlier ones; the last holds all."""
    start = b"\x0f" * 2 * PAGE
    operations = [
        Operation(PAGE, b"\xff" * PAGE, erase=True),
        Operation(PAGE, b"\x12\x34\x56\x78", erase=False),
        Operation(0, b"\xff" * PAGE, erase=True),
    ]
    found = {
        (point.operation, point.where): state
        for point, state in states(start, operations, points(3, 1))
        if point.seed == 0
    }
    assert found[0, "before"] == start
    assert found[1, "before"] == start[:PAGE] + b"\xff" * PAGE
    assert found[2, "before"] == start[:PAGE] + b"\x12\x34\x56\x78" + b"\xff" * (PAGE - 4)
    last = [state for point, state in states(start, operations, points(3, 1)) if point.where == "after"]
    assert last == [b"\xff" * PAGE + b"\x12\x34\x56\x78" + b"\xff" * (PAGE - 4)]


@given(before=st.binary(min_size=PAGE, max_size=PAGE), seed=st.integers(0, 10_000))
def test_a_torn_erase_only_sets_bits(before: bytes, seed: int) -> None:
    """Every bit that was 1 still is."""
    left = tear(before, b"\xff" * PAGE, seed)
    assert len(left) == PAGE
    assert int.from_bytes(left) & int.from_bytes(before) == int.from_bytes(before)


@given(after=st.binary(min_size=PAGE, max_size=PAGE), seed=st.integers(0, 10_000))
def test_a_torn_program_only_clears_bits_it_was_to_clear(after: bytes, seed: int) -> None:
    """Every bit that was to stay 1 is 1."""
    left = tear(b"\xff" * PAGE, after, seed)
    assert int.from_bytes(left) & int.from_bytes(after) == int.from_bytes(after)
    assert left == tear(b"\xff" * PAGE, after, seed)


def test_the_ways_of_tearing_differ() -> None:
    """Few bits, about half, most; and whole words before a torn one."""
    left = [tear(bytes(PAGE), b"\xff" * PAGE, seed) for seed in range(4)]
    few, half, most = (int.from_bytes(left[kind]).bit_count() for kind in (1, 0, 2))
    assert 0 < few < half < most < 8 * PAGE
    words = [left[3][at : at + 4] for at in range(0, PAGE, 4)]
    torn = next(at for at, word in enumerate(words) if word != b"\xff" * 4)
    assert all(word == bytes(4) for word in words[torn + 1 :])


def test_what_flash_does_not_allow_is_no_operation() -> None:
    """A program that sets a bit, and an operation beyond the end."""
    flash = bytearray(b"\x0f" * PAGE)
    with pytest.raises(ValueError, match="sets a bit"):
        write(flash, Operation(0, b"\x1f\x0f\x0f\x0f", erase=False))
    with pytest.raises(ValueError, match="leaves the flash"):
        write(flash, Operation(PAGE - 4, b"\xff" * 8, erase=True))
    assert flash == b"\x0f" * PAGE
