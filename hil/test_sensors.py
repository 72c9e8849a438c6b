"""Supervision of the sensors: stale, corrupt and implausible frames, the second channel. Requirements: requirements/sensors.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hil.plant.frames import SensorFrame
from hil.plant.link import Spoiler, corrupt, cut, garbled, lost

if TYPE_CHECKING:
    from hil.conftest import Measure, Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")

STALE = 500  # ms
TO_ACT = 100  # ms


def _link_alarm(pump: Pump) -> None:
    pump.expect_alarm("sensor-link", "high")
    status = pump.status()
    assert (status.state, status.alarm, status.rate) == ("alarm", "sensor-link", 0)
    pump.assert_stands(2000)


@pytest.mark.verifies("RC-010", kind="effectiveness")
@pytest.mark.verifies("SRS-031")
@pytest.mark.parametrize("how", ["silent", "stale"])
def test_sensors_that_say_nothing_new_stop_the_drive(pump: Pump, measure: Measure, how: str) -> None:
    """No answer any more, or the same frame again and again: drive disabled within 600 ms of the last new one, and alarm."""
    pump.infuse(rate=1000)
    pump.run(2000)
    last = pump.link.time
    if how == "silent":
        pump.link.set_silent()
    else:
        pump.link.set_stale()
    off = pump.wait(lambda seen: not seen.motor.drive, 2000).time
    measure("last new frame to drive disabled", off - last, "ms", STALE - 100, STALE + TO_ACT, where=how)
    _link_alarm(pump)
    assert pump.status().sensors == "stale"
    assert pump.command("alarm clear") == "ERR alarm sensor-link"
    pump.link.set_silent(silent=False)
    pump.link.set_stale(stale=False)
    pump.run(500)
    assert pump.status().sensors == "fresh"
    assert pump.command("alarm clear") == "OK alarm clear"
    assert pump.command("start") == "OK start rate=1000"
    pump.assert_delivers()


@pytest.mark.verifies("SRS-031")
def test_short_silence_does_not_disturb(pump: Pump) -> None:
    """300 ms without an answer, again and again: the delivery goes on without an alarm."""
    pump.infuse(rate=500)
    for _ in range(10):
        pump.link.set_silent()
        pump.run(300)
        pump.link.set_silent(silent=False)
        pump.run(300)
    status = pump.status()
    assert (status.state, status.alarm, status.sensors) == ("infusing", "none", "fresh")
    pump.assert_delivers()


@pytest.mark.verifies("SRS-031")
def test_start_is_refused_without_fresh_sensors(pump: Pump) -> None:
    """ERR start sensors when the plant has been silent for 600 ms; nothing moves; with answers again the start is taken."""
    pump.prepare()
    pump.link.set_silent()
    pump.run(600)
    assert pump.status().sensors == "stale"
    assert pump.command("start") == "ERR start sensors"
    pump.assert_stands(1000)
    pump.link.set_silent(silent=False)
    pump.run(300)
    assert pump.command("start") == "OK start rate=100"


@pytest.mark.verifies("SRS-031")
def test_sensors_wait_for_their_first_frame_after_a_reset(pump: Pump) -> None:
    """With the plant silent from the reset on: sensors=waiting, and a start is refused."""
    pump.link.set_silent()
    pump.reset()
    pump.run(1000)
    assert pump.status().sensors == "waiting"
    pump.prepare()
    assert pump.command("start") == "ERR start sensors"


@pytest.mark.verifies("SRS-032")
@pytest.mark.parametrize("spoiler", [corrupt, garbled, cut, lost])
def test_third_bad_frame_stops_the_drive(pump: Pump, measure: Measure, spoiler: Spoiler) -> None:
    """Three frames in a row with a wrong CRC, garbled, cut off, or missing: alarm sensor-link, drive disabled within 100 ms.

    Two do not disturb. That frames were lost, the pump sees at the next one that arrives.
    """
    pump.infuse(rate=1000)
    for _ in range(5):
        pump.link.spoil(spoiler, 2)
        pump.run(600)
    status = pump.status()
    assert (status.state, status.alarm) == ("infusing", "none")
    pump.link.spoil(spoiler, 3)
    pump.run(200)  # the first two bad ones have been sent
    begin = pump.link.time + (200 if spoiler is lost else 100)
    off = pump.wait(lambda seen: not seen.motor.drive, 2000).time
    measure("third bad frame to drive disabled", off - begin, "ms", 0, TO_ACT, where=spoiler.__name__)
    _link_alarm(pump)


@pytest.mark.verifies("SRS-032")
def test_values_of_corrupt_frames_are_not_used(pump: Pump) -> None:
    """A frame with 1000 mmHg, air and an open door, but the CRC of another, raises nothing; the status keeps the values before."""

    def forged(frame: SensorFrame) -> bytes:
        bad = SensorFrame(frame.seq, 1000, frame.position, 3, frame.battery, frame.flow).encode()
        return bad[:-5] + frame.encode()[-5:]

    pump.infuse(rate=500)
    pump.plant.faults.fixed["pressure"] = 42
    pump.run(200)
    pump.link.spoil(forged, 2)
    pump.assert_silent(150)
    status = pump.status()
    assert (status.state, status.alarm, status.pressure) == ("infusing", "none", 42)
    pump.assert_delivers()


@pytest.mark.verifies("SRS-032")
def test_bad_frames_while_idle_raise_nothing_and_bar_the_start(pump: Pump) -> None:
    """Corrupt frames without a delivery: no alarm, sensors stale, start refused."""
    pump.prepare()
    pump.link.spoil(corrupt, 8)
    pump.assert_silent(800)
    assert pump.command("start") == "ERR start sensors"


Value = tuple[str, int]

IMPLAUSIBLE: list[Value] = [
    ("pressure", 2001),
    ("pressure", 0xFFFF),
    ("position", 200_001),
    ("flags", 0x0C),
    ("flags", 0x84),
    ("battery", 101),
    ("battery", 255),
]


@pytest.mark.verifies("SRS-033")
@pytest.mark.parametrize(("field", "value"), IMPLAUSIBLE)
def test_implausible_values_stop_the_drive(pump: Pump, measure: Measure, field: str, value: int) -> None:
    """One frame with a value that cannot be: alarm sensor-value, drive disabled in 100 ms, the status keeps the value before."""
    pump.infuse(rate=500)
    pump.run(1000)
    pump.plant.faults.fixed[field] = value
    measure("implausible value to drive disabled", pump.drive_stops(), "ms", 0, TO_ACT, where=f"{field} {value}")
    pump.expect_alarm("sensor-value", "high")
    status = pump.status()
    assert (status.state, status.alarm, status.rate) == ("alarm", "sensor-value", 0)
    assert status.pressure <= 100
    assert status.battery == 100
    pump.assert_stands(1000)


@pytest.mark.verifies("SRS-033")
@pytest.mark.parametrize("way", [-1100, 1100])
def test_plunger_that_jumps_stops_the_drive(pump: Pump, measure: Measure, way: int) -> None:
    """1.1 mm from one frame to the next, up or down: alarm sensor-value, drive disabled within 100 ms."""
    pump.plant.insert_syringe(3, 10)
    pump.run(300)
    pump.infuse(rate=500)
    pump.run(1000)
    pump.plant.faults.fixed["position"] = round(pump.plant.drive.position) + way
    measure("jump of the plunger to drive disabled", pump.drive_stops(), "ms", 0, TO_ACT, where=f"{way} µm")
    pump.expect_alarm("sensor-value", "high")


@pytest.mark.verifies("SRS-033")
def test_values_at_the_ends_of_their_ranges_are_taken(pump: Pump) -> None:
    """0 mmHg, 100 %, 0 %, and a plunger that moves 0.9 mm: no sensor-value; while idle 2000 mmHg is taken as an occlusion."""
    fixed = pump.plant.faults.fixed
    pump.infuse(rate=100)
    fixed["pressure"], fixed["battery"] = 0, 100
    pump.run(300)
    fixed["position"] = round(pump.plant.drive.position) - 900
    pump.assert_silent(300)
    assert pump.status().state == "infusing"
    pump.command("stop")
    fixed["pressure"] = 2000
    pump.expect_alarm("occlusion", "high")
    assert pump.status().pressure == 2000


@pytest.mark.verifies("SRS-033")
def test_start_is_refused_with_implausible_values(pump: Pump) -> None:
    """ERR start sensors while a field is implausible."""
    pump.prepare()
    pump.plant.faults.fixed["battery"] = 200
    pump.run(300)
    assert pump.command("start") == "ERR start sensors"


def _slip(pump: Pump) -> None:
    pump.plant.drive.slip = 0.25


def _too_much(pump: Pump) -> None:
    pump.plant.faults.flow_gain = 1.25


def _sensor_stands(pump: Pump) -> None:
    pump.plant.faults.flow_gain = 0.0


def _siphon(pump: Pump) -> None:
    pump.plant.siphon = 60.0


@pytest.mark.verifies("RC-009", kind="effectiveness")
@pytest.mark.verifies("SRS-034")
@pytest.mark.parametrize("fault", [_slip, _too_much, _sensor_stands, _siphon])
def test_flow_that_is_not_that_of_the_steps(pump: Pump, measure: Measure, fault: Callable[[Pump], None]) -> None:
    """25 % too little or too much, nothing at all, or free flow: alarm flow within two windows of 200 µl, drive disabled."""
    pump.infuse(rate=1000, vtbi=20_000)
    pump.run(10_000)
    begin, steps = pump.link.time, pump.link.motor.steps
    fault(pump)
    pump.expect_alarm("flow", "high", 30_000)
    volume = (pump.link.motor.steps - steps) * pump.plant.drive.geometry.step
    measure("delivered from the fault to the alarm", volume, "µl", 0, 410, where=fault.__name__.strip("_"))
    assert pump.link.time - begin <= 20_000
    status = pump.status()
    assert (status.state, status.alarm, status.rate) == ("alarm", "flow", 0)
    pump.plant.siphon = 0
    pump.assert_stands(2000)


@pytest.mark.verifies("SRS-034")
@pytest.mark.parametrize("gain", [0.9, 1.1])
def test_deviation_within_the_limit_is_no_alarm(pump: Pump, gain: float) -> None:
    """10 % too little and too much over 2 ml: no alarm, the delivery goes on."""
    pump.plant.faults.flow_gain = gain
    pump.infuse(rate=1000, vtbi=20_000)
    pump.assert_silent(72_000)
    assert pump.status().state == "infusing"


@pytest.mark.verifies("SRS-034")
def test_flow_while_the_drive_stands_still(pump: Pump, measure: Measure) -> None:
    """Free flow of 36 ml/h while idle (50 µl in 5 s): alarm flow within 12 s; 14.4 ml/h, 40 µl in 10 s, raises none."""
    pump.plant.siphon = 14.4
    pump.assert_silent(30_000)
    pump.plant.siphon = 36.0
    begin = pump.link.time
    pump.expect_alarm("flow", "high", 15_000)
    measure("free flow to alarm", (pump.link.time - begin) / 1000, "s", 0, 12)
    assert pump.command("program syringe=3 drug=2 rate=100 vtbi=1000") == "ERR program state=alarm"
    assert pump.command("start") == "ERR start state=alarm"
