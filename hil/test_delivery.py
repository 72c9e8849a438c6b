"""Delivery: rate range, stop, reset, syringes, keep-vein-open rate. Requirements: requirements/delivery.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plant.syringe import SYRINGES

if TYPE_CHECKING:
    from hil.conftest import Measure, Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")


@pytest.mark.verifies("SRS-001")
def test_rates_inside_the_range_are_accepted(pump: Pump) -> None:
    """0.1, 0.2, 1.0, 55.5, 99.9 and 100.0 ml/h, with syringe 1 50.0 ml/h: started at that rate, and the status shows it."""
    for syringe, rate in ((3, 1), (3, 2), (3, 10), (3, 555), (3, 999), (3, 1000), (1, 500)):
        pump.infuse(rate=rate, syringe=syringe)
        status = pump.status()
        assert (status.state, status.rate) == ("infusing", rate)
        pump.command("stop")


@pytest.mark.verifies("SRS-001")
def test_rates_outside_the_range_are_refused(pump: Pump) -> None:
    """0 and above 100.0 ml/h, with syringe 1 above 50.0: ERR program rate-limit, and the pump stays idle at rate 0."""
    for syringe, rate in ((3, 0), (3, 1001), (3, 2000), (3, 65537), (3, 999_999_999), (1, 501), (1, 1000)):
        reply = pump.command(f"program syringe={syringe} drug=2 rate={rate} vtbi=1000")
        assert reply == "ERR program rate-limit", (syringe, rate)
        status = pump.status()
        assert (status.state, status.rate, status.vtbi) == ("idle", 0, 0), (syringe, rate)


@pytest.mark.verifies("SRS-002")
@pytest.mark.parametrize("rate", [1, 50, 333, 1000])
def test_account_follows_rate_times_time(pump: Pump, rate: int) -> None:
    """0.1, 5.0, 33.3 and 100.0 ml/h for 60 s: the account is at no reading more than 3 µl away from rate times time."""
    pump.infuse(rate=rate, vtbi=20_000)
    first = pump.status()
    for _ in range(6):
        pump.run(10_000)
        status = pump.status()
        # Rate in 0.1 ml/h is µl in 36 s.
        expected = first.volume + rate * (status.uptime - first.uptime) / 36_000
        assert abs(status.volume - expected) <= 3, status


@pytest.mark.verifies("SRS-002")
def test_account_goes_on_beyond_32_bits_of_picolitres(pump: Pump) -> None:
    """100.0 ml/h for 170 s: the account is within 3 µl of 4.72 ml, which is more than 2^32 pl."""
    pump.infuse(rate=1000, vtbi=20_000)
    first = pump.status()
    pump.run(170_000)
    status = pump.status()
    expected = first.volume + 1000 * (status.uptime - first.uptime) / 36_000
    assert expected > 2**32 / 1e6
    assert abs(status.volume - expected) <= 3, status


@pytest.mark.verifies("SRS-002")
def test_volume_begins_with_the_confirmation_and_lasts_over_stops(pump: Pump) -> None:
    """Stopped and started again the account goes on; it is 0 after the next programme's confirmation."""
    pump.infuse(rate=1000)
    pump.run(10_000)
    pump.command("stop")
    stopped = pump.status().volume
    assert stopped >= 270
    assert pump.command("start") == "OK start rate=1000"
    pump.run(10_000)
    assert pump.status().volume >= stopped + 270
    pump.command("stop")
    pump.prepare(rate=100)
    assert pump.status().volume == 0


@pytest.mark.verifies("SRS-003")
def test_stop_ends_the_delivery(pump: Pump, measure: Measure) -> None:
    """Within 100 ms the drive is disabled; the rate is 0, the state ready, and the volume stays for 10 s."""
    pump.infuse(rate=1000)
    pump.run(5000)
    begin = pump.link.time
    assert pump.command("stop") == "OK stop"
    off = pump.wait(lambda seen: not seen.motor.drive, 1000).time
    measure("stop command to drive disabled", off - begin, "ms", 0, 100)
    stopped = pump.status()
    assert (stopped.state, stopped.rate) == ("ready", 0)
    pump.assert_stands(10_000)
    assert pump.status().volume == stopped.volume


@pytest.mark.verifies("SRS-003")
def test_stop_is_accepted_in_every_state(pump: Pump) -> None:
    """OK stop while idle, programmed, ready, infusing, during a bolus, at the keep-vein-open rate and in an alarm."""
    assert pump.command("stop") == "OK stop"
    assert pump.status().state == "idle"

    pump.program()
    assert pump.status().state == "programmed"
    assert pump.command("stop") == "OK stop"
    assert pump.status().state == "idle"

    pump.prepare()
    assert pump.command("stop") == "OK stop"
    assert pump.status().state == "idle"

    pump.infuse()
    pump.ask("bolus volume=50")
    assert pump.status().state == "bolus"
    assert pump.command("stop") == "OK stop"
    assert pump.status().state == "ready"
    assert pump.command("stop") == "OK stop"

    pump.infuse(rate=1000, vtbi=100)
    pump.expect_alarm("complete", "medium", 10_000)
    assert pump.status().state == "kvo"
    assert pump.command("stop") == "OK stop"
    assert pump.status().state == "idle"
    assert pump.command("alarm clear") == "OK alarm clear"

    pump.infuse()
    pump.plant.door_open = True
    pump.expect_alarm("door", "high", 1000)
    assert pump.command("stop") == "OK stop"
    status = pump.status()
    assert (status.state, status.rate) == ("alarm", 0)


@pytest.mark.verifies("SRS-004")
def test_idle_after_power_up(pump: Pump) -> None:
    """A device that has just become ready is idle at rate 0, volume 0, without alarm, and makes no step for 20 s."""
    for _ in range(2):
        status = pump.status()
        assert (status.state, status.alarm, status.rate, status.volume) == ("idle", "none", 0, 0)
        pump.assert_stands(10_000)
    assert pump.link.motor.steps == 0


@pytest.mark.verifies("RC-004", kind="effectiveness")
@pytest.mark.verifies("SRS-004")
@pytest.mark.parametrize("means", ["command", "pin"])
def test_idle_after_a_reset_during_a_delivery(pump: Pump, means: str) -> None:
    """Reset by command and by the reset pin during a bolus: idle at rate 0 and volume 0, start refused, not a step for 10 s."""
    pump.infuse(rate=500)
    pump.ask("bolus volume=100")
    pump.run(2000)
    assert pump.link.motor.steps > 0
    if means == "pin":
        pump.reset()
    else:
        assert pump.command("reset") == "OK reset"
        pump.restarted()
    assert pump.link.resets == 1
    status = pump.status()
    assert (status.state, status.rate, status.volume, status.vtbi) == ("idle", 0, 0, 0)
    assert pump.command("start") == "ERR start state=idle"
    pump.assert_stands(10_000)
    assert pump.link.motor.steps == 0


@pytest.mark.verifies("SRS-005")
def test_second_start_and_programme_are_refused(pump: Pump) -> None:
    """ERR start state=infusing and ERR program state=infusing; rate and account of the delivery under way go on."""
    pump.infuse(rate=360)  # 10 µl in a second
    pump.run(5000)
    before = pump.status()
    assert pump.command("start") == "ERR start state=infusing"
    assert pump.command("program syringe=3 drug=2 rate=20 vtbi=1000") == "ERR program state=infusing"
    pump.run(5000)
    after = pump.status()
    assert (after.state, after.rate, after.vtbi) == ("infusing", 360, before.vtbi)
    assert abs(after.volume - before.volume - (after.uptime - before.uptime) / 100) <= 3


@pytest.mark.verifies("SRS-025")
@pytest.mark.parametrize("syringe", SYRINGES)
def test_steps_are_those_of_the_syringe(pump: Pump, syringe: int, measure: Measure) -> None:
    """50.0 ml/h for 60 s: steps within 0.5 % of rate times time over the volume of a step of this syringe."""
    pump.plant.insert_syringe(syringe, SYRINGES[syringe].volume)
    pump.run(300)
    pump.infuse(rate=500, syringe=syringe)
    pump.run(1000)
    begin = pump.link.record[-1]
    pump.run(60_000)
    end = pump.link.record[-1]
    expected = 50 / 3.6 * (end.time - begin.time) / 1000 / SYRINGES[syringe].step
    deviation = ((end.motor.steps - begin.motor.steps) / expected - 1) * 100
    measure("steps against rate times time", deviation, "%", -0.5, 0.5, where=f"syringe {syringe}")


@pytest.mark.verifies("SRS-025")
def test_unknown_syringes_are_refused(pump: Pump) -> None:
    """ERR program syringe for 0, 5 and 257; the pump stays idle."""
    for syringe in (0, 5, 257):
        assert pump.command(f"program syringe={syringe} drug=2 rate=100 vtbi=1000") == "ERR program syringe"
        assert pump.status().state == "idle"


@pytest.mark.verifies("SRS-026")
def test_volumes_to_be_infused_inside_the_range(pump: Pump) -> None:
    """100 µl and the whole syringe are accepted; 99 µl and 1 µl more than the syringe holds are refused with vtbi-limit."""
    for syringe, volume in ((1, 5000), (2, 10_000), (3, 20_000), (4, 50_000)):
        for vtbi in (100, volume):
            pump.program(rate=100, syringe=syringe, vtbi=vtbi)
            pump.command("stop")
        for vtbi in (0, 99, volume + 1):
            reply = pump.command(f"program syringe={syringe} drug=2 rate=100 vtbi={vtbi}")
            assert reply == "ERR program vtbi-limit", (syringe, vtbi)


@pytest.mark.verifies("RC-013", kind="effectiveness")
@pytest.mark.verifies("SRS-026")
@pytest.mark.parametrize(("rate", "setting", "kvo"), [(1000, 10, 10), (1000, 35, 35), (40, 50, 40)])
def test_keep_vein_open_after_the_volume(pump: Pump, rate: int, setting: int, kvo: int, measure: Measure) -> None:
    """100 µl: then complete, priority medium, and kvo at the setting, or the programmed rate if lower, over 60 s."""
    pump.ask(f"config kvo={setting}")
    pump.infuse(rate=rate, vtbi=100)
    pump.expect_alarm("complete", "medium", 120_000)
    status = pump.status()
    assert (status.state, status.alarm, status.priority, status.rate) == ("kvo", "complete", "medium", kvo)
    assert 100 <= status.volume <= 102
    begin = pump.link.record[-1]
    pump.run(60_000)
    end = pump.link.record[-1]
    step = pump.plant.drive.geometry.step
    volume = (end.motor.steps - begin.motor.steps) * step
    measure("volume in 60 s of keep-vein-open", volume, "µl", kvo * 60 / 36 - 2 * step, kvo * 60 / 36 + 2 * step)
    after = pump.status()
    assert after.volume > status.volume
    assert after.state == "kvo"


@pytest.mark.verifies("SRS-026")
def test_occlusion_stops_the_keep_vein_open_rate(pump: Pump) -> None:
    """An occlusion at the keep-vein-open rate: alarm, and the drive stands."""
    pump.infuse(rate=1000, vtbi=100)
    pump.expect_alarm("complete", "medium", 10_000)
    pump.plant.faults.fixed["pressure"] = 600
    pump.expect_alarm("occlusion", "high", 300)
    assert pump.status().state == "alarm"
    pump.assert_stands(5000)
