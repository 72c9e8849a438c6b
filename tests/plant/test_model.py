"""The plant model against the physics it claims: volumes, pressure, windows, faults, determinism."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.plant.frames import MotorFrame, SensorFrame
from hil.plant.line import Line, Tubing
from hil.plant.link import PlantLink, corrupt, lost
from hil.plant.model import Plant
from hil.plant.sensors import AIR, DOOR, SYRINGE
from hil.plant.syringe import STEP, SYRINGES, Drive, Geometry, Mechanics

IDEAL = Mechanics(periodic=0, backlash=0, break_away=0, slip_to=0)


def run(plant: Plant, rate: float, seconds: float, start: int = 0) -> int:
    """Drive the plant at ml/h by an ideal pump; the steps made in all."""
    per_exchange = rate / 3600 * 1000 * 0.1 / plant.drive.geometry.step
    for number in range(1, round(seconds * 10) + 1):
        plant.advance(start + math.floor(number * per_exchange))
    return start + math.floor(seconds * 10 * per_exchange)


@pytest.mark.parametrize("syringe", SYRINGES)
def test_a_full_stroke_delivers_the_syringe(syringe: int) -> None:
    geometry = SYRINGES[syringe]
    drive = Drive(geometry, IDEAL, geometry.volume)
    assert drive.position == pytest.approx(geometry.stroke)
    out = sum(drive.turn(1000) for _ in range(math.ceil(geometry.stroke / STEP / 1000) + 5))
    assert out == pytest.approx(geometry.volume * 1000)
    assert drive.position == 0


def test_step_volumes_are_those_of_the_protocol() -> None:
    assert max(one.step for one in SYRINGES.values()) == pytest.approx(1.4018, abs=1e-3)


def test_a_syringe_is_not_overfilled() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Drive(Geometry(9, 1, 5), IDEAL, 1.5)


@given(st.lists(st.integers(0, 300), max_size=60), st.floats(0, 6.28))
def test_the_plunger_never_goes_back(turns: list[int], phase: float) -> None:
    drive = Drive(SYRINGES[1], Mechanics(phase=phase), 3)
    position = drive.position
    for steps in turns:
        out = drive.turn(steps)
        assert out >= 0
        assert drive.position == pytest.approx(position - out * 1000 / drive.geometry.area)
        position = drive.position


@given(st.integers(0, 4000), st.floats(0, 6.28))
def test_mechanics_err_by_a_bounded_way(steps: int, phase: float) -> None:
    mechanics = Mechanics(phase=phase)
    drive = Drive(SYRINGES[3], mechanics, 20)
    way = sum(drive.turn(1) for _ in range(steps)) * 1000 / drive.geometry.area
    assert abs(way - steps * STEP) <= mechanics.backlash + mechanics.break_away + 2 * mechanics.periodic + 1e-6


@given(st.lists(st.tuples(st.floats(0, 50), st.booleans()), max_size=80))
def test_the_line_loses_nothing(flows: list[tuple[float, bool]]) -> None:
    line = Line(Tubing())
    delivered = 0.0
    for volume, occluded in flows:
        line.occluded = occluded
        line.flow(volume, 0.1)
        assert delivered <= line.delivered <= line.expelled + 1e-9
        delivered = line.delivered
    assert line.pressure == pytest.approx(8 + line.stored / 0.8)


def test_occlusion_stores_and_release_gives_a_bolus() -> None:
    plant = Plant(1)
    steps = run(plant, 50, 60)
    before = plant.delivered
    plant.occlude()
    while plant.line.pressure <= 517:
        steps = run(plant, 50, 0.1, steps)
    assert plant.delivered == before
    stored = plant.line.stored
    assert stored == pytest.approx((517 - 8) * 0.8, rel=0.02)
    plant.occlude(closed=False)
    run(plant, 0, 10, steps)
    assert plant.delivered - before == pytest.approx(stored, rel=0.01)
    assert plant.line.pressure == pytest.approx(8, abs=0.1)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32))
def test_flow_over_windows_narrows(seed: int) -> None:
    """The plant's own part of the trumpet: an ideal pump stays within half of what SRS-030 allows."""
    plant = Plant(seed)
    per_exchange = 5 / 3600 * 1000 * 0.1 / plant.drive.geometry.step
    account = []
    for number in range(36000):
        plant.advance(math.floor(number * per_exchange))
        account.append(plant.delivered)
    for minutes, limit in ((1, 6), (2, 3), (5, 2), (15, 1)):
        window = minutes * 600
        expected = 5 / 60 * 1000 * minutes
        errors = [(account[end] - account[end - window]) / expected - 1 for end in range(3000 + window, 36000, 50)]
        assert max(map(abs, errors)) < limit / 100


def test_second_channel_agrees_with_the_plunger() -> None:
    plant = Plant(3)
    run(plant, 100, 600)
    flow = plant.read().flow
    assert flow / 1000 == pytest.approx(plant.expelled, rel=0.02)
    plant.faults.flow_gain = 0
    run(plant, 100, 60, 0)
    assert plant.read().flow == pytest.approx(flow, abs=200)


def test_slip_and_siphon_show_in_the_second_channel() -> None:
    slipping = Plant(4, mechanics=IDEAL)
    slipping.drive.slip = 0.3
    run(slipping, 100, 60)
    assert slipping.read().flow / 1000 == pytest.approx(100 / 60 * 1000 * 0.7, rel=0.03)
    free = Plant(4)
    free.siphon = 60
    run(free, 0, 60)
    assert free.expelled == pytest.approx(1000, rel=0.001)


def test_flags_show_air_door_and_syringe() -> None:
    plant = Plant(5, mechanics=IDEAL)
    assert plant.read().flags == SYRINGE
    plant.door_open, plant.syringe_in = True, False
    assert plant.read().flags == DOOR
    plant.insert_syringe(2, 10)
    plant.door_open = False
    plant.line.add_air(50, distance=20)
    steps = run(plant, 100, 0.5)
    assert plant.read().flags == SYRINGE
    steps = run(plant, 100, 1, steps)
    assert plant.read().flags == SYRINGE | AIR
    steps = run(plant, 100, 3, steps)
    assert plant.read().flags == SYRINGE
    plant.line.add_air(5000)
    assert plant.read().flags == SYRINGE | AIR
    plant.line.prime()
    assert plant.read().flags == SYRINGE


def test_battery_drains_only_off_mains() -> None:
    plant = Plant(6)
    run(plant, 0, 3600)
    assert plant.read().battery == 100
    plant.battery.mains = False
    run(plant, 0, 3600)
    assert plant.read().battery == 87


def test_sensor_faults() -> None:
    plant = Plant(7)
    plant.faults.fixed["pressure"] = 1999
    assert plant.read().pressure == 1999
    plant.faults.frozen = True
    run(plant, 100, 60)
    assert plant.read().flow < 1000


def test_a_pump_that_was_reset_begins_its_counter_anew() -> None:
    plant = Plant(8, mechanics=IDEAL)
    steps = run(plant, 100, 60)
    expelled = plant.expelled
    plant.advance(0)
    plant.advance(10)
    assert plant.expelled - expelled == pytest.approx(10 * plant.drive.geometry.step)
    assert steps > 0


def test_counter_of_steps_passes_its_end() -> None:
    plant = Plant(9, mechanics=IDEAL)
    plant.advance(2**32 - 3)
    plant.advance(2)
    assert plant.expelled == pytest.approx(5 * plant.drive.geometry.step)


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32))
def test_same_seed_same_answers(seed: int) -> None:
    def answers() -> list[bytes]:
        link = PlantLink(Plant(seed))
        link.spoil(corrupt, 2)
        return [link.exchange(MotorFrame(n % 256, n * 3, 1).encode()) for n in range(600)]

    assert answers() == answers()


def test_link_faults() -> None:
    link = PlantLink(Plant(10))
    seq = iter(range(256))

    def ask() -> bytes:
        return link.exchange(MotorFrame(next(seq), 0, 0).encode())

    assert SensorFrame.decode(ask()).seq == 0
    link.spoil(lost)
    assert ask() == b""
    assert SensorFrame.decode(ask()).seq == 2
    link.set_stale()
    assert ask() == ask()
    assert SensorFrame.decode(ask()).seq == 2
    link.set_stale(stale=False)
    link.set_silent()
    assert ask() == b""
    link.set_silent(silent=False)
    link.skip(2)
    assert SensorFrame.decode(ask()).seq == 5
    assert link.time == 700


def test_motor_frames_out_of_sequence_are_a_failure() -> None:
    link = PlantLink(Plant(11))
    link.exchange(MotorFrame(7, 5000, 0).encode())
    with pytest.raises(AssertionError, match="expected 8"):
        link.exchange(MotorFrame(9, 5000, 0).encode())


def test_a_reset_of_the_pump_is_noticed() -> None:
    link = PlantLink(Plant(12))
    link.exchange(MotorFrame(7, 5000, 0).encode())
    link.exchange(MotorFrame(0, 0, 0).encode())
    assert link.resets == 1
