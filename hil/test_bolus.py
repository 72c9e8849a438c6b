"""Boluses: volume, lockout, hourly limit. Requirements: requirements/delivery.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.conftest import Measure, Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")

SALINE = 2


def give(pump: Pump, volume: int) -> None:
    """A bolus that must be taken, to its end."""
    assert pump.command(f"bolus volume={volume}") == f"OK bolus volume={volume}"
    for _ in range(600):
        pump.run(100)
        if pump.status().state != "bolus":
            return
    pytest.fail(f"a bolus of {volume} µl does not end within 60 s")


def refusal(pump: Pump, volume: int) -> tuple[str, int]:
    """Why a bolus is refused, and the number that goes with it."""
    reply = pump.command(f"bolus volume={volume}")
    found = re.fullmatch(r"ERR bolus (lockout|hourly-limit)=(\d+)", reply)
    assert found, reply
    return found[1], int(found[2])


@pytest.mark.verifies("SRS-027")
def test_bolus_is_delivered_on_top_of_the_programme(pump: Pump, measure: Measure) -> None:
    """100 µl at the drug's bolus rate on top of 5.0 ml/h: steps and account within 5 µl, then infusing at 5.0 ml/h again."""
    bolus_rate = int(pump.ask(f"library {SALINE}")["bolus-rate"])
    pump.infuse(rate=50)
    pump.run(2000)
    begin, before = pump.link.record[-1], pump.status()
    assert pump.command("bolus volume=100") == "OK bolus volume=100"
    during = pump.status()
    assert (during.state, during.rate) == ("bolus", 50 + bolus_rate)
    assert 90 <= during.bolus <= 100
    give_up = begin.time + 200 + 100 * 36_000 // bolus_rate * 2
    while pump.status().state == "bolus":
        assert pump.link.time < give_up
        pump.run(100)
    after, end = pump.status(), pump.link.record[-1]
    assert (after.state, after.rate, after.bolus, after.alarm) == ("infusing", 50, 0, "none")
    basal = 50 * (after.uptime - before.uptime) / 36_000
    measure("bolus by the account", after.volume - before.volume - basal, "µl", 95, 105)
    steps = (end.motor.steps - begin.motor.steps) * pump.plant.drive.geometry.step
    measure("bolus by the steps", steps - 50 * (end.time - begin.time) / 36_000, "µl", 95, 105)
    took = 100 * 36_000 / bolus_rate
    assert after.uptime - before.uptime <= took + 1000


@pytest.mark.verifies("SRS-027")
def test_bolus_counts_into_the_volume_to_be_infused(pump: Pump) -> None:
    """120 µl programmed, a bolus of 100: complete once programme and bolus together are 120 µl."""
    pump.infuse(rate=360, vtbi=120)
    give(pump, 100)
    pump.expect_alarm("complete", "medium", 5000)
    status = pump.status()
    assert status.state == "kvo"
    assert 120 <= status.volume <= 122


@pytest.mark.verifies("SRS-027")
def test_bolus_ends_with_the_volume_to_be_infused(pump: Pump) -> None:
    """100 µl programmed, a bolus of 100 asked for after some µl: it ends as the volume is reached, at most a step beyond."""
    pump.infuse(rate=360, vtbi=100)
    pump.run(5000)
    pump.ask("bolus volume=100")
    pump.expect_alarm("complete", "medium", 60_000)
    status = pump.status()
    assert (status.state, status.bolus) == ("kvo", 0)
    assert 100 <= status.volume <= 102


@pytest.mark.verifies("SRS-027")
def test_boluses_outside_the_limits_are_refused(pump: Pump) -> None:
    """0 and 9 µl, and 1 µl more than the drug's maximum: ERR bolus hard-limit, and no bolus; 10 µl are taken."""
    most = int(pump.ask(f"library {SALINE}")["bolus-max"])
    pump.infuse(rate=50)
    for volume in (0, 9, most + 1, 65_536 + 50, 999_999_999):
        assert pump.command(f"bolus volume={volume}") == "ERR bolus hard-limit", volume
        assert pump.status().state == "infusing"
    give(pump, 10)


@pytest.mark.verifies("RC-001", kind="effectiveness")
@pytest.mark.verifies("SRS-027")
def test_bolus_beyond_the_rate_of_the_syringe_is_refused(pump: Pump) -> None:
    """At 100.0 ml/h a bolus on top would exceed what the syringe allows: ERR bolus hard-limit, the rate stays."""
    pump.infuse(rate=1000)
    assert pump.command("bolus volume=50") == "ERR bolus hard-limit"
    status = pump.status()
    assert (status.state, status.rate) == ("infusing", 1000)


@pytest.mark.verifies("SRS-027", "SRS-008")
def test_boluses_in_other_states_are_refused(pump: Pump) -> None:
    """ERR bolus state= with idle, programmed, ready, bolus, kvo and alarm; the drive stands where it stood."""

    def refused(state: str) -> None:
        assert pump.status().state == state
        assert pump.command("bolus volume=20") == f"ERR bolus state={state}"
        assert pump.status().state == state

    refused("idle")
    token = pump.program(rate=1000, vtbi=100)
    refused("programmed")
    pump.ask(f"confirm token={token} override")
    refused("ready")
    pump.assert_stands(500)
    pump.ask("start")
    pump.expect_alarm("complete", "medium", 10_000)
    refused("kvo")
    pump.command("stop")
    pump.ask("alarm clear")
    pump.infuse(rate=50)
    pump.ask("bolus volume=100")
    refused("bolus")
    pump.plant.line.add_air(1000)
    pump.expect_alarm("air", "high")
    refused("alarm")
    pump.assert_stands(500)


@pytest.mark.verifies("SRS-028")
def test_lockout_counts_from_the_end_of_a_bolus(pump: Pump) -> None:
    """Right after a bolus: refused with the lockout's seconds; refused until they have passed, with fewer left; then taken."""
    lockout = int(pump.ask(f"library {SALINE}")["lockout"])
    pump.infuse(rate=50)
    give(pump, 50)
    reason, left = refusal(pump, 20)
    assert reason == "lockout"
    assert lockout - 1 <= left <= lockout
    begin = pump.status().uptime
    while (reply := pump.command("bolus volume=20")) != "OK bolus volume=20":
        now = pump.status().uptime
        assert now - begin <= left * 1000 + 200, reply
        assert reply.startswith("ERR bolus lockout=")
        # The seconds left are rounded up.
        assert abs(int(reply.rpartition("=")[2]) - (left - (now - begin) / 1000)) <= 1.2
        pump.run(100)
    assert pump.status().uptime - begin >= (left - 1) * 1000 - 200


@pytest.mark.verifies("SRS-028")
def test_lockout_lasts_over_stop_start_and_programme(pump: Pump) -> None:
    """A stop in the bolus, a new programme and a start do not shorten the lockout."""
    pump.infuse(rate=50)
    pump.ask("bolus volume=100")
    pump.run(500)
    pump.command("stop")
    pump.infuse(rate=60)
    assert refusal(pump, 20)[0] == "lockout"


@pytest.mark.verifies("RC-017", kind="effectiveness")
@pytest.mark.verifies("SRS-029")
def test_hourly_limit_slides(pump: Pump) -> None:
    """200 µl an hour: 80 + 100 µl in 6 min, then 21 are refused with 20 left and 20 taken; after 59 min none; after 61 min 80.

    Only the first bolus is over an hour old then: 81 µl are refused, 80 are taken.
    """
    limit = int(pump.ask(f"library {SALINE}")["hourly"])
    assert limit == 200
    pump.plant.insert_syringe(4, 50)
    pump.run(300)
    pump.infuse(rate=10, syringe=4, vtbi=50_000)
    give(pump, 80)
    first = pump.status().uptime
    pump.run(5 * 60_000)
    give(pump, 100)
    pump.run(60_000)
    assert refusal(pump, 21) == ("hourly-limit", 20)
    give(pump, 20)
    pump.run(first + 59 * 60_000 - pump.status().uptime)
    assert refusal(pump, 10) == ("hourly-limit", 0)
    pump.run(first + 61 * 60_000 + 10_000 - pump.status().uptime)
    assert refusal(pump, 81) == ("hourly-limit", 80)
    give(pump, 80)
    pump.run(10_000)
    assert refusal(pump, 10) == ("hourly-limit", 0)


@pytest.mark.verifies("SRS-029")
def test_hourly_limit_lasts_over_programmes(pump: Pump) -> None:
    """Boluses of an earlier programme count: after 100 + 100 µl a new programme gives none."""
    pump.infuse(rate=50)
    for _ in range(2):
        give(pump, 100)
        pump.run(6000)
    pump.command("stop")
    pump.infuse(rate=60)
    assert refusal(pump, 10) == ("hourly-limit", 0)
