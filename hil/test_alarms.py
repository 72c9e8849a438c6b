"""Occlusion: stop, alarm, latch. Requirements: requirements/alarms.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pytest_embedded import Dut

if TYPE_CHECKING:
    from hil.conftest import Pump

LIMIT = 517  # mmHg, 10 psi
MICROLITRE = 360  # milliseconds that a microlitre takes at 10.0 ml/h


@pytest.mark.verifies("SRS-006")
def test_occlusion_stops_the_delivery_and_raises_the_alarm(pump: Pump, dut: Dut) -> None:
    """One reading of 518 mmHg while infusing: the event with the pressure, state alarm at rate 0, and the volume stays.

    It stays for as long as the delivery would have taken for one more microlitre.
    """
    pump.command("start 100")
    before = pump.wait(lambda seen: seen.volume >= 1, within=1000)
    assert pump.command(f"sense pressure={LIMIT + 1}") == f"OK sense pressure={LIMIT + 1}"
    dut.expect_exact(f"event: alarm occlusion pressure={LIMIT + 1}\r\n", timeout=2)
    status = pump.status()
    assert (status.state, status.alarm, status.rate, status.pressure) == ("alarm", "occlusion", 0, LIMIT + 1)
    assert before.volume <= status.volume <= before.volume + 1
    assert pump.pass_time(MICROLITRE).volume == status.volume


@pytest.mark.verifies("SRS-006")
def test_pressure_at_the_limit_is_no_occlusion(pump: Pump) -> None:
    """Readings up to 517 mmHg while infusing: no event, no alarm, delivery goes on."""
    pump.command("start 100")
    for pressure in (0, 100, LIMIT - 1, LIMIT):
        pump.command(f"sense pressure={pressure}")
    status = pump.status()
    assert (status.state, status.alarm, status.rate, status.pressure) == ("infusing", "none", 100, LIMIT)
    volume = status.volume
    pump.wait(lambda seen: seen.volume > volume, within=1000)


@pytest.mark.verifies("SRS-006")
def test_occlusion_is_found_while_idle(pump: Pump, dut: Dut) -> None:
    """A reading above the limit raises the alarm also when nothing is delivered."""
    pump.command("sense pressure=620")
    dut.expect_exact("event: alarm occlusion pressure=620\r\n", timeout=2)
    assert pump.status().alarm == "occlusion"


@pytest.mark.verifies("SRS-007")
def test_alarm_stays_when_the_pressure_falls_back(pump: Pump, dut: Dut) -> None:
    """After 600 mmHg and then 0 mmHg the alarm stands until it is cleared; then the pump is idle at rate 0."""
    pump.command("start 100")
    pump.command("sense pressure=600")
    dut.expect_exact("event: alarm occlusion pressure=600\r\n", timeout=2)
    pump.command("sense pressure=0")
    status = pump.pass_time(100)
    assert (status.state, status.alarm, status.pressure) == ("alarm", "occlusion", 0)
    assert pump.command("alarm clear") == "OK alarm clear"
    status = pump.status()
    assert (status.state, status.alarm, status.rate) == ("idle", "none", 0)


@pytest.mark.verifies("SRS-007")
def test_alarm_cannot_be_cleared_while_its_cause_stands(pump: Pump) -> None:
    """At 518 mmHg the clear command is refused and the alarm stands; at 517 mmHg it is accepted."""
    pump.command("sense pressure=600")
    pump.command(f"sense pressure={LIMIT + 1}")
    assert pump.command("alarm clear").startswith("ERR ")
    assert pump.status().alarm == "occlusion"
    pump.command(f"sense pressure={LIMIT}")
    assert pump.command("alarm clear") == "OK alarm clear"
    assert pump.status().alarm == "none"


@pytest.mark.verifies("SRS-007")
def test_there_is_nothing_to_clear_without_an_alarm(pump: Pump) -> None:
    """Without an alarm the clear command is refused, and a delivery goes on."""
    pump.command("start 100")
    assert pump.command("alarm clear").startswith("ERR ")
    assert pump.status().state == "infusing"


@pytest.mark.verifies("SRS-008")
def test_start_is_refused_while_the_alarm_stands(pump: Pump) -> None:
    """ERR start state=alarm, also with the pressure back at 0; state and rate stay."""
    pump.command("sense pressure=600")
    assert pump.command("start 50") == "ERR start state=alarm"
    pump.command("sense pressure=0")
    assert pump.command("start 50") == "ERR start state=alarm"
    status = pump.status()
    assert (status.state, status.rate) == ("alarm", 0)


@pytest.mark.verifies("SRS-008")
def test_clearing_the_alarm_starts_nothing(pump: Pump, dut: Dut) -> None:
    """A delivery that an occlusion ended does not go on after the alarm was cleared: idle, and the volume stays."""
    pump.command("start 100")
    pump.command("sense pressure=600")
    dut.expect_exact("event: alarm occlusion pressure=600\r\n", timeout=2)
    pump.command("sense pressure=0")
    assert pump.command("alarm clear") == "OK alarm clear"
    cleared = pump.status()
    after = pump.pass_time(MICROLITRE)
    assert (after.state, after.rate, after.volume) == ("idle", 0, cleared.volume)
