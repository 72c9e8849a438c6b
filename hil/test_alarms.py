"""Alarms: what raises them, what stops the drive, latching, priorities, silencing. Requirements: requirements/alarms.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hil.plant.model import Plant

if TYPE_CHECKING:
    from hil.conftest import Measure, Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")

LIMIT = 517  # mmHg, 10 psi
SILENCE = 120  # s


def set_pressure(pump: Pump, pressure: int) -> None:
    """Let the pressure sensor show a value, and the device see it."""
    pump.plant.faults.fixed["pressure"] = pressure
    pump.run(200)


# --- occlusion --------------------------------------------------------------------------------------------------------


@pytest.mark.verifies("SRS-006")
def test_occlusion_stops_the_delivery_and_raises_the_alarm(pump: Pump, measure: Measure) -> None:
    """One reading of 518 mmHg while infusing: drive disabled within 100 ms, event, state alarm at rate 0, no step for 10 s."""
    pump.infuse(rate=1000)
    pump.run(2000)
    pump.plant.faults.fixed["pressure"] = LIMIT + 1
    measure("occlusion to drive disabled", pump.drive_stops(), "ms", 0, 100)
    pump.expect_alarm("occlusion", "high")
    status = pump.status()
    assert (status.state, status.alarm, status.priority, status.rate) == ("alarm", "occlusion", "high", 0)
    assert status.pressure == LIMIT + 1
    assert pump.link.motor.safe
    pump.assert_stands(10_000)
    assert pump.status().volume == status.volume


@pytest.mark.verifies("SRS-006")
def test_pressure_at_the_limit_is_no_occlusion(pump: Pump) -> None:
    """Readings up to 517 mmHg while infusing: no event, no alarm, delivery goes on."""
    pump.infuse(rate=1000)
    for pressure in (0, 100, LIMIT - 1, LIMIT):
        pump.plant.faults.fixed["pressure"] = pressure
        pump.assert_silent(300)
        status = pump.status()
        assert (status.state, status.alarm, status.rate, status.pressure) == ("infusing", "none", 1000, pressure)
    pump.assert_delivers()


@pytest.mark.verifies("SRS-006")
@pytest.mark.parametrize("state", ["idle", "programmed", "ready"])
def test_occlusion_is_found_where_nothing_is_delivered(pump: Pump, state: str) -> None:
    """A reading above the limit raises the alarm also while idle, programmed and ready."""
    if state == "programmed":
        pump.program()
    if state == "ready":
        pump.prepare()
    assert pump.status().state == state
    set_pressure(pump, LIMIT + 100)
    pump.expect_alarm("occlusion", "high")
    assert pump.status().alarm == "occlusion"


@pytest.mark.verifies("SRS-006")
def test_limit_is_the_configured_one(pump: Pump) -> None:
    """Set to 100 mmHg: 100 raises no alarm, 101 does. Set to 750 mmHg: 750 raises none, 751 does."""
    for limit in (100, 750):
        set_pressure(pump, 50)
        pump.ask(f"config occlusion={limit}")
        pump.infuse(rate=100)
        pump.plant.faults.fixed["pressure"] = limit
        pump.assert_silent(500)
        set_pressure(pump, limit + 1)
        pump.expect_alarm("occlusion", "high")
        assert pump.status().state == "alarm"
        set_pressure(pump, limit)
        assert pump.command("alarm clear") == "OK alarm clear"
        pump.expect_ended("occlusion")
        pump.command("stop")


@pytest.mark.verifies("RC-003", kind="effectiveness")
@pytest.mark.verifies("SRS-006")
def test_real_occlusion_and_what_it_leaves(pump: Pump, measure: Measure) -> None:
    """The line closes at 50.0 ml/h: alarm within 60 s; when it opens, no more than 500 µl reach the patient at once."""
    pump.infuse(rate=500, vtbi=20_000)
    pump.run(60_000)
    begin = pump.link.time
    pump.plant.occlude()
    pump.expect_alarm("occlusion", "high", 60_000)
    measure("line closed to alarm at 50.0 ml/h", (pump.link.time - begin) / 1000, "s", 0, 60)
    before = pump.plant.delivered
    pump.run(5000)
    assert pump.plant.delivered == before
    pump.plant.occlude(closed=False)
    pump.run(10_000)
    measure("bolus when the line opens", pump.plant.delivered - before, "µl", 0, 500)
    assert pump.status().state == "alarm"


# --- latching ---------------------------------------------------------------------------------------------------------

Cause = Callable[[Plant, bool], None]


def _pressure(plant: Plant, on: bool) -> None:
    if on:
        plant.faults.fixed["pressure"] = 600
    else:
        plant.faults.fixed.pop("pressure")


def _air(plant: Plant, on: bool) -> None:
    if on:
        plant.line.add_air(10_000)
    else:
        plant.line.prime()


def _door(plant: Plant, on: bool) -> None:
    plant.door_open = on


def _syringe(plant: Plant, on: bool) -> None:
    plant.syringe_in = not on


def _empty(plant: Plant, on: bool) -> None:
    # 500 µm of this syringe are 144 µl.
    plant.insert_syringe(3, 0.14 if on else 20)


def _battery(plant: Plant, on: bool) -> None:
    plant.battery.charge = 5.0 if on else 80.0


CAUSES: dict[str, Cause] = {
    "occlusion": _pressure,
    "air": _air,
    "door": _door,
    "syringe": _syringe,
    "battery-empty": _battery,
}


@pytest.mark.verifies("SRS-007", "SRS-008")
@pytest.mark.parametrize("name", CAUSES)
def test_alarm_is_latched_and_starts_nothing_when_cleared(pump: Pump, name: str) -> None:
    """It cannot be cleared while its cause is there; it stays when that has gone; cleared, the pump is ready and stands still."""
    pump.infuse(rate=500)
    pump.run(1000)
    CAUSES[name](pump.plant, True)
    pump.expect_alarm(name, "high")
    assert pump.command("alarm clear") == f"ERR alarm {name}"
    assert name in pump.alarms()
    assert pump.command("start") in ("ERR start state=alarm", f"ERR start alarm={name}")
    assert pump.command("program syringe=3 drug=2 rate=100 vtbi=1000") == "ERR program state=alarm"
    CAUSES[name](pump.plant, False)
    pump.run(1000)
    status = pump.status()
    assert (status.state, status.alarm) == ("alarm", name)
    assert pump.command("start") in ("ERR start state=alarm", f"ERR start alarm={name}")
    assert pump.command("alarm clear") == "OK alarm clear"
    pump.expect_ended(name)
    status = pump.status()
    assert (status.state, status.alarm, status.rate) == ("ready", "none", 0)
    pump.assert_stands(5000)
    assert pump.status().volume == status.volume
    assert pump.command("start") == "OK start rate=500"
    pump.assert_delivers()


@pytest.mark.verifies("SRS-007")
def test_stop_clears_no_alarm(pump: Pump) -> None:
    """After an occlusion has gone, stop is answered with OK and the alarm stands; so is a reset of its cause."""
    pump.infuse()
    set_pressure(pump, 600)
    set_pressure(pump, 10)
    assert pump.command("stop") == "OK stop"
    status = pump.status()
    assert (status.state, status.alarm) == ("alarm", "occlusion")


@pytest.mark.verifies("SRS-007")
def test_alarm_cannot_be_cleared_at_one_above_the_limit(pump: Pump) -> None:
    """At 518 mmHg the clear command is refused and the alarm stands; at 517 mmHg it is accepted."""
    set_pressure(pump, 600)
    set_pressure(pump, LIMIT + 1)
    assert pump.command("alarm clear") == "ERR alarm occlusion"
    assert pump.status().alarm == "occlusion"
    set_pressure(pump, LIMIT)
    assert pump.command("alarm clear") == "OK alarm clear"
    assert pump.status().alarm == "none"


@pytest.mark.verifies("SRS-007")
def test_there_is_nothing_to_clear_without_an_alarm(pump: Pump) -> None:
    """Without an alarm the clear command is refused, and a delivery goes on."""
    pump.infuse()
    assert pump.command("alarm clear") == "ERR alarm none"
    assert pump.status().state == "infusing"


@pytest.mark.verifies("SRS-008")
def test_start_is_refused_while_an_alarm_stands(pump: Pump) -> None:
    """An occlusion while ready: start is refused, also when the pressure is back at 0; nothing moves."""
    pump.prepare()
    set_pressure(pump, 600)
    assert pump.command("start") == "ERR start state=alarm"
    set_pressure(pump, 0)
    assert pump.command("start") == "ERR start state=alarm"
    pump.assert_stands(2000)
    assert pump.status().rate == 0


# --- air, door, syringe, empty, battery -------------------------------------------------------------------------------


def _alarm_stops_the_drive(pump: Pump, measure: Measure, name: str, cause: Cause) -> None:
    pump.infuse(rate=1000)
    pump.run(2000)
    cause(pump.plant, True)
    measure(f"{name} to drive disabled", pump.drive_stops(), "ms", 0, 100)
    pump.expect_alarm(name, "high")
    status = pump.status()
    assert (status.state, status.alarm, status.priority, status.rate) == ("alarm", name, "high", 0)
    pump.assert_stands(3000)


def _start_is_refused(pump: Pump, name: str, cause: Cause) -> None:
    pump.prepare()
    cause(pump.plant, True)
    pump.run(200)
    assert pump.command("start") == f"ERR start {name}"
    assert pump.status().state == "ready"
    pump.assert_stands(1000)
    cause(pump.plant, False)
    pump.run(200)
    assert pump.command("start") == "OK start rate=100"


@pytest.mark.verifies("SRS-035")
def test_air_stops_the_drive(pump: Pump, measure: Measure) -> None:
    """Air in front of the detector while infusing: alarm air, drive disabled within 100 ms."""
    _alarm_stops_the_drive(pump, measure, "air", _air)


@pytest.mark.verifies("SRS-035")
def test_start_is_refused_with_air_in_the_line(pump: Pump) -> None:
    """ERR start air; after the line was primed the start is taken."""
    _start_is_refused(pump, "air", _air)


@pytest.mark.verifies("RC-011", kind="effectiveness")
@pytest.mark.verifies("SRS-035")
def test_air_that_arrives_is_stopped_at_the_detector(pump: Pump, measure: Measure) -> None:
    """A bubble of 1 ml arrives after some delivery: of it no more than 10 µl pass the detector at 100.0 ml/h."""
    pump.infuse(rate=1000)
    pump.run(1000)
    pump.plant.line.add_air(1000, distance=50)
    begin = pump.plant.expelled + 50
    pump.expect_alarm("air", "high", 5000)
    pump.run(2000)
    measure("air past the detector", pump.plant.expelled - begin, "µl", 0, 10)


@pytest.mark.verifies("RC-012", kind="effectiveness")
@pytest.mark.verifies("SRS-036")
@pytest.mark.parametrize(("name", "cause"), [("door", _door), ("syringe", _syringe)])
def test_door_and_syringe_stop_the_drive(pump: Pump, measure: Measure, name: str, cause: Cause) -> None:
    """The door opens, or the syringe is taken out, while infusing: alarm, drive disabled within 100 ms."""
    _alarm_stops_the_drive(pump, measure, name, cause)


@pytest.mark.verifies("SRS-036")
@pytest.mark.parametrize(("name", "cause"), [("door", _door), ("syringe", _syringe)])
def test_start_is_refused_with_open_door_or_without_syringe(pump: Pump, name: str, cause: Cause) -> None:
    """ERR start door, ERR start syringe; with the door closed and the syringe in, the start is taken."""
    _start_is_refused(pump, name, cause)


@pytest.mark.verifies("RC-014", kind="effectiveness")
@pytest.mark.verifies("SRS-037")
def test_near_empty_and_then_empty(pump: Pump, measure: Measure) -> None:
    """1.8 ml at 30.0 ml/h: near-empty, priority low, 3 min before the end, delivery goes on; empty at 500 µm stops it.

    The 20 ml syringe holds 144 µl at 500 µm: what is above that takes 199 s.
    """
    pump.plant.insert_syringe(3, 1.8)
    pump.run(300)
    pump.infuse(rate=300, vtbi=20_000)
    pump.expect_alarm("near-empty", "low", 60_000)
    begin = pump.link.time
    status = pump.status()
    assert (status.state, status.alarm, status.priority, status.rate) == ("infusing", "near-empty", "low", 300)
    pump.assert_delivers()
    reached = pump.wait(lambda seen: not seen.motor.drive, 240_000).time
    measure("near-empty to empty", (reached - begin) / 1000, "s", 175, 185)
    pump.expect_alarm("empty", "high")
    measure("plunger above empty at the end", pump.plant.drive.position, "µm", 480, 520)
    status = pump.status()
    assert (status.state, status.alarm, status.rate) == ("alarm", "empty", 0)
    pump.assert_stands(3000)


@pytest.mark.verifies("SRS-037")
def test_plunger_at_its_end_stops_the_drive(pump: Pump, measure: Measure) -> None:
    """The sensor shows 501 µm: the delivery goes on; 500 µm: drive disabled within 100 ms, alarm empty."""
    # Down to there the plunger may not jump: the syringe holds little from the start.
    pump.plant.insert_syringe(3, 0.25)
    pump.run(300)
    pump.infuse(rate=10, vtbi=20_000)
    pump.plant.faults.fixed["position"] = 501
    pump.run(1000)
    assert pump.status().state == "infusing"
    pump.plant.faults.fixed["position"] = 500
    measure("empty to drive disabled", pump.drive_stops(), "ms", 0, 100)
    pump.expect_alarm("empty", "high")


@pytest.mark.verifies("SRS-038")
def test_battery_low_warns_and_ends(pump: Pump) -> None:
    """21 %: no alarm. 20 %: battery-low, priority medium, delivery goes on. 21 %: it ends by itself."""
    pump.infuse()
    pump.plant.battery.charge = 21
    pump.assert_silent(500)
    pump.plant.battery.charge = 20
    pump.expect_alarm("battery-low", "medium")
    status = pump.status()
    assert (status.state, status.alarm, status.priority, status.battery) == ("infusing", "battery-low", "medium", 20)
    pump.assert_delivers()
    pump.plant.battery.charge = 21
    pump.expect_ended("battery-low")
    assert pump.status().alarm == "none"


@pytest.mark.verifies("SRS-038")
def test_battery_empty_stops_the_drive(pump: Pump, measure: Measure) -> None:
    """6 %: the delivery goes on with battery-low. 5 %: battery-empty, drive disabled within 100 ms."""
    pump.infuse(rate=1000)
    pump.plant.battery.charge = 6
    pump.expect_alarm("battery-low", "medium")
    pump.assert_delivers()
    pump.plant.battery.charge = 5
    measure("battery-empty to drive disabled", pump.drive_stops(), "ms", 0, 100)
    pump.expect_alarm("battery-empty", "high")
    status = pump.status()
    assert (status.state, status.alarm) == ("alarm", "battery-empty")
    assert pump.alarms() == ["battery-empty", "battery-low"]


@pytest.mark.verifies("SRS-038")
def test_start_is_refused_with_an_empty_battery(pump: Pump) -> None:
    """ERR start battery at 5 %; at 6 % the start is taken."""
    pump.prepare()
    pump.plant.battery.charge = 5
    pump.run(200)
    assert pump.command("start") == "ERR start battery"
    pump.plant.battery.charge = 6
    pump.run(200)
    assert pump.command("start") == "OK start rate=100"


@pytest.mark.verifies("RC-018", kind="effectiveness")
@pytest.mark.verifies("SRS-038")
def test_battery_runs_down_in_an_orderly_way(pump: Pump, measure: Measure) -> None:
    """Off mains from 20.9 %: first the warning, and the stop not before the 15 % between them are used up."""
    pump.plant.battery.mains, pump.plant.battery.charge, pump.plant.battery.per_hour = False, 20.9, 600.0
    pump.infuse(rate=50)
    pump.expect_alarm("battery-low", "medium", 20_000)
    begin = pump.link.time
    pump.expect_alarm("battery-empty", "high", 200_000)
    measure("battery-low to battery-empty at 600 %/h", (pump.link.time - begin) / 1000, "s", 85, 95)


# --- priorities and silencing -----------------------------------------------------------------------------------------


@pytest.mark.verifies("SRS-039")
def test_first_of_the_table_is_shown_and_the_highest_priority_sounds(pump: Pump) -> None:
    """near-empty, then battery-low, then door and air at once: the first of the table is shown, all are listed in order.

    The plant link carries the highest priority: 1 low, 2 medium, 3 high.
    """
    plant = pump.plant
    plant.insert_syringe(3, 1.5)
    pump.run(300)
    pump.infuse(rate=300, vtbi=20_000)
    pump.expect_alarm("near-empty", "low", 60_000)
    pump.run(100)
    assert (pump.status().alarm, pump.status().priority, pump.link.motor.priority) == ("near-empty", "low", 1)

    plant.battery.charge = 15
    pump.expect_alarm("battery-low", "medium")
    pump.run(100)
    assert (pump.status().alarm, pump.status().priority, pump.link.motor.priority) == ("battery-low", "medium", 2)
    assert pump.alarms() == ["battery-low", "near-empty"]

    plant.door_open = True
    plant.line.add_air(1000)
    pump.expect_alarm("air", "high")
    pump.expect_alarm("door", "high")
    pump.run(100)
    assert (pump.status().alarm, pump.status().priority, pump.link.motor.priority) == ("air", "high", 3)
    # The syringe no longer runs empty where nothing is delivered.
    assert [name for name in pump.alarms() if name != "near-empty"] == ["air", "door", "battery-low"]
    assert pump.command("alarm clear") == "ERR alarm air"


@pytest.mark.verifies("SRS-039")
def test_without_an_alarm_nothing_sounds(pump: Pump) -> None:
    """No alarm: priority none, audio off, active=none; on the plant link priority 0."""
    status = pump.status()
    assert (status.alarm, status.priority, status.audio) == ("none", "none", "off")
    assert pump.command("alarm") == "OK alarm active=none audio=off"
    assert (pump.link.motor.priority, pump.link.motor.safe, pump.link.motor.paused) == (0, False, False)


@pytest.mark.verifies("SRS-040")
def test_silence_lasts_two_minutes(pump: Pump, measure: Measure) -> None:
    """OK alarm silence seconds=120: paused, for 120 s, then on again, with the alarm standing all the time."""
    pump.infuse()
    set_pressure(pump, 600)
    assert pump.status().audio == "on"
    begin = pump.link.time
    assert pump.command("alarm silence") == f"OK alarm silence seconds={SILENCE}"
    assert pump.status().audio == "paused"
    pump.run(100)
    assert pump.link.motor.paused
    seen = pump.wait(lambda seen: not seen.motor.paused, (SILENCE + 5) * 1000)
    measure("pause of the audio", (seen.time - begin) / 1000, "s", SILENCE - 0.3, SILENCE + 0.3)
    status = pump.status()
    assert (status.audio, status.alarm, seen.motor.priority) == ("on", "occlusion", 3)


@pytest.mark.verifies("SRS-040")
def test_new_alarm_ends_the_silence(pump: Pump) -> None:
    """battery-low silenced; a door that opens sounds at once."""
    pump.infuse()
    pump.plant.battery.charge = 20
    pump.expect_alarm("battery-low", "medium")
    pump.ask("alarm silence")
    pump.run(5000)
    assert pump.status().audio == "paused"
    pump.plant.door_open = True
    pump.expect_alarm("door", "high")
    assert pump.status().audio == "on"


@pytest.mark.verifies("RC-019", kind="effectiveness")
@pytest.mark.verifies("SRS-040")
def test_silence_hides_no_alarm_and_clears_none(pump: Pump) -> None:
    """While silenced the alarm is shown, latched, and nothing starts; silencing again begins 120 s anew."""
    pump.infuse()
    set_pressure(pump, 600)
    pump.ask("alarm silence")
    set_pressure(pump, 10)
    status = pump.status()
    assert (status.state, status.alarm, status.audio) == ("alarm", "occlusion", "paused")
    pump.run(60_000)
    pump.ask("alarm silence")
    pump.run(100_000)
    assert pump.status().audio == "paused"


@pytest.mark.verifies("SRS-040")
def test_nothing_to_silence(pump: Pump) -> None:
    """ERR alarm none without an alarm; an alarm that comes afterwards sounds."""
    assert pump.command("alarm silence") == "ERR alarm none"
    set_pressure(pump, 600)
    assert pump.status().audio == "on"
