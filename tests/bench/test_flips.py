"""Bits that flip in flash: which ones, and that a bootloader which runs what was altered is caught. The bootloader is simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from devicepipe.bench.campaigns.bitflip import FlashJudge
from devicepipe.bench.campaigns.flips import Target, draw, flip, flipped
from devicepipe.bench.campaigns.kinds import CAMPAIGNS, Plan
from devicepipe.bench.campaigns.machine import Boot
from devicepipe.bench.campaigns.scenario import BrokenPromiseError
from devicepipe.bench.device import Device
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import UsageError
from devicepipe.evidence.results import Identity

IMAGE, SPARE = b"\x11" * 16, b"\x22" * 16
SPEC = SessionSpec.model_construct(expected=Identity(board="b", version="1", commit="c", digest="old"))
REFUSED = frozenset({"refused"})


class Scenario:
    """Flash: the running image, then a spare one; the image starts that is whole."""

    stops: Mapping[str, bool] = {"start": True, "halt": False}

    def targets(self, device: Device) -> list[Target]:
        raise NotImplementedError

    def examine(self, device: Device, target: Target, number: int) -> str:
        raise NotImplementedError

    def deciding(self, spec: SessionSpec, flash: bytes) -> bytes:
        return flash

    def lost_ram(self, spec: SessionSpec) -> Sequence[tuple[int, bytes]]:
        return []

    def image_started(self, spec: SessionSpec, flash: bytes) -> str:
        names = {IMAGE: "old", SPARE: "new"}
        if flash[:16] not in names:
            raise BrokenPromiseError("the image is altered")
        return names[flash[:16]]

    def run_application(self, device: Device, *, number: int) -> str:
        raise NotImplementedError


def target(*, spare: bool = False, allowed: frozenset[str] = REFUSED) -> Target:
    return Target("image", IMAGE + (SPARE if spare else b"\xff" * 16), ((0, 4), (8, 8)), allowed)


def good(flash: bytes) -> Boot:
    """Starts the image if it is whole, the spare one in its place if that is, else nothing."""
    if flash[:16] not in (IMAGE, SPARE) and flash[16:] == SPARE:
        flash = SPARE + flash[:16]
    return Boot("start" if flash[:16] in (IMAGE, SPARE) else "halt", flash, "said")


def skips_the_check(flash: bytes) -> Boot:
    return Boot("start", flash, "said")


def hangs(flash: bytes) -> Boot:
    return Boot("", b"", "…")


def changes_its_mind(flash: bytes) -> Boot:
    """Refuses, and heals the image for the next time, though nobody signed that."""
    return good(flash) if flash[:16] == IMAGE else Boot("halt", IMAGE + flash[16:], "said")


def swaps_for_ever(flash: bytes) -> Boot:
    return Boot("halt", flash[16:] + flash[:16], "said")


def outcomes(boot: Callable[[bytes], Boot], of: Target) -> tuple[set[str], list[str]]:
    judge, became, failures = FlashJudge(SPEC, Scenario(), boot), set(), []
    for point in draw(of, 40, seed=1):
        try:
            became.add(judge.judge(of, flipped(of, point))[0])
        except BrokenPromiseError as failure:
            failures.append(str(failure))
    return became, failures


def test_what_is_refused_and_what_is_recovered_passes() -> None:
    assert outcomes(good, target()) == ({"refused"}, [])
    assert outcomes(good, target(spare=True, allowed=frozenset({"new image"}))) == ({"new image"}, [])


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        (skips_the_check, "the image is altered"),
        (hangs, "neither starts nor refuses"),
        (changes_its_mind, "'refused, old image' instead of 'refused'"),
        (swaps_for_ever, "does not come to rest within 3 resets"),
    ],
)
def test_a_bad_bootloader_is_caught_at_every_point(defect: Callable[[bytes], Boot], message: str) -> None:
    became, failures = outcomes(defect, target())
    assert not became
    assert len(failures) == 40
    assert all(message in failure for failure in failures), failures


def test_a_refusal_where_there_is_an_image_to_start_is_caught() -> None:
    _, failures = outcomes(
        lambda flash: Boot("halt", flash, "said"), target(spare=True, allowed=frozenset({"new image"}))
    )
    assert "'refused' instead of 'new image'" in failures[0]


def test_a_point_below_the_number_of_bits_flips_that_bit() -> None:
    of = target()
    assert of.bits == 96
    for number in range(of.bits):
        before, after = of.start, flipped(of, flip(of, number, seed=1))
        (byte,) = (at for at in range(32) if before[at] != after[at])
        assert (before[byte] ^ after[byte]).bit_count() == 1
        assert byte in {*range(4), *range(8, 16)}
    assert of.place(31) == (3, 7)
    assert of.place(32) == (8, 0)
    with pytest.raises(ValueError, match="no bit 96"):
        of.place(96)


def test_points_are_drawn_by_a_seed_and_repeated_by_a_number() -> None:
    of = target()
    points, others = draw(of, 40, seed=7), draw(of, 40, seed=8)
    assert points != others
    assert [flip(of, point.number, seed=7) for point in points] == points
    assert len({point.number for point in points}) == 40
    assert sum(len(point.bits) == 1 for point in points) == 20
    assert all(2 <= len(point.bits) <= 8 for point in points[20:])


def test_all_points_are_spread_over_the_targets() -> None:
    small = Target("small", IMAGE, ((0, 1),), REFUSED)
    chosen = CAMPAIGNS["bitflip"].choose([small, target()], Plan(points=101))
    assert [len(points) for _, points in chosen] == [51, 50]
    assert sum(len(point.bits) == 1 for point in chosen[0][1]) == small.bits


def test_points_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match="there is no target 'trailer'"):
        CAMPAIGNS["bitflip"].choose([target()], Plan(only=("trailer", 1)))
    with pytest.raises(UsageError, match="cannot be spread over 2 targets"):
        CAMPAIGNS["bitflip"].choose([target(), target()], Plan(points=1))
