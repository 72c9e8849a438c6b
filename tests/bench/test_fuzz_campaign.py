"""Inputs that nobody meant: each point begins at the same moment; a device that dies or resets is caught and replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from devicepipe.bench.campaigns.fuzz import Shot, Stream, try_shots
from devicepipe.bench.campaigns.kinds import CAMPAIGNS, Plan
from devicepipe.bench.campaigns.mutate import mutated, noise
from devicepipe.bench.campaigns.scenario import BrokenPromiseError
from devicepipe.bench.device import Device
from devicepipe.bench.lockstep import VirtualTime
from devicepipe.errors import UsageError
from tests.bench.samples import Firmware, processes_of, spec_for

LINE = re.compile(rb"^[^\n]*\n", re.MULTILINE)


class Live:
    """A device whose plant answers each frame."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._answers = 0
        device.on_exchange(self._answer)
        device.advance(3)

    def keep(self) -> object:
        return self._answers

    def put_back(self, kept: object) -> None:
        assert isinstance(kept, int)
        self._answers = kept

    def disturb(self, stream: str, draw: Random) -> tuple[str, bool]:
        device = self._device
        if stream == "deaf":
            device.channel.write(b"x" * 10_000_000, timeout=0.05)
        elif stream != "good":
            device.channel.write(stream.encode() + b"\n")
        device.run_for(100)
        if device.guest_resets():
            raise BrokenPromiseError("it reset itself")
        return f"{device.command('time', 2.0)}, {self._answers} answers", True

    def _answer(self) -> None:
        link = self._device.link("plant")
        while link.take_line(LINE, 0):
            self._answers += 1
            link.write(b"\x02S %d\n" % self._answers)


class Scenario:
    virtual_time = VirtualTime(at="exchanged")
    moment = "obey"
    streams: Sequence[str] = ("good", "die", "reset")

    def live(self, device: Device) -> Live:
        return Live(device)


@pytest.mark.parametrize("name", ["microbit", "virt_rv32"])
def test_each_point_begins_at_the_same_moment(
    name: str, firmware_of: Callable[[str], Firmware], tmp_path: Path
) -> None:
    """By a snapshot, or where the emulator takes none by a start; the surroundings are put back as well."""
    spec = spec_for(tmp_path, firmware_of(name), {}, mood="v")
    verdict = try_shots(spec, Scenario(), [(Stream("good"), [Shot(number) for number in range(3)])], seed=1)
    assert verdict.failures == []
    assert verdict.outcomes["good"].total() == 3
    if name == "microbit":
        # A device that is started again may be some exchanges older when it has told who it is.
        assert list(verdict.outcomes["good"].values()) == [3], verdict.outcomes
    assert processes_of(tmp_path) == []


def test_a_device_that_dies_or_resets_is_caught_and_the_next_point_has_another(
    firmware: Firmware, tmp_path: Path
) -> None:
    spec = spec_for(tmp_path, firmware, {}, mood="v")
    good = (Stream("good"), [Shot(0)])
    bad = [(Stream(name), [Shot(7)]) for name in ("die", "reset")]
    verdict = try_shots(spec, Scenario(), [good, bad[0], good, bad[1], good], seed=1)
    told = {failure.point: failure.message for failure in verdict.failures}
    assert set(told) == {"die:7", "reset:7"}
    assert "locked up" in told["die:7"]
    assert "it reset itself" in told["reset:7"]
    assert verdict.outcomes["good"].total() == 3, "each on a device of its own"
    assert processes_of(tmp_path) == []


def test_a_device_that_takes_no_more_input_fails_its_point_and_not_the_campaign(
    firmware: Firmware, tmp_path: Path
) -> None:
    spec = spec_for(tmp_path, firmware, {}, mood="v")
    chosen = [(Stream("deaf"), [Shot(3)]), (Stream("good"), [Shot(0)])]
    verdict = try_shots(spec, Scenario(), chosen, seed=1)
    assert [failure.point for failure in verdict.failures] == ["deaf:3"]
    assert "did not take" in verdict.failures[0].message
    assert verdict.outcomes["good"].total() == 1
    assert processes_of(tmp_path) == []


def test_points_are_spread_over_the_streams_and_repeated_by_a_number() -> None:
    streams = [Stream("console"), Stream("smp")]
    chosen = CAMPAIGNS["fuzz"].choose(streams, Plan(points=5))
    assert [[shot.number for shot in shots] for _, shots in chosen] == [[0, 1, 2], [0, 1]]
    assert CAMPAIGNS["fuzz"].choose(streams, Plan(only=("smp", 17))) == [(Stream("smp"), [Shot(17)])]
    with pytest.raises(UsageError, match="there is no stream 'plant'"):
        CAMPAIGNS["fuzz"].choose(streams, Plan(only=("plant", 1)))


def test_inputs_follow_from_the_draw_and_differ() -> None:
    known = [b"program syringe=3 drug=2", b"status"]
    first, again = ([mutated(draw, known) for _ in range(200)] for draw in (Random(1), Random(1)))
    assert first == again
    assert len(set(first)) > 150
    assert 1000 < max(map(len, first)) <= 4096
    assert any(b"4294967296" in one for one in first)
    assert {len(noise(Random(seed))) > 0 for seed in range(50)} == {True}
