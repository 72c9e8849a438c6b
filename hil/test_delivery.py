"""Delivery: rate range, volume, stop, reset. Requirements: requirements/delivery.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pytest_embedded import Dut

from devicepipe.bench.device import Device

if TYPE_CHECKING:
    from hil.conftest import Pump, Status


MICROLITRE = 360  # milliseconds that a microlitre takes at 10.0 ml/h


@pytest.mark.verifies("SRS-001")
def test_rates_inside_the_range_are_accepted(pump: Pump) -> None:
    """1.0, 1.1, 5.5, 9.9 and 10.0 ml/h: the start is confirmed with the rate, and the status shows infusing at that rate."""
    for rate in (10, 11, 55, 99, 100):
        assert pump.command(f"start {rate}") == f"OK start rate={rate}"
        status = pump.status()
        assert (status.state, status.rate) == ("infusing", rate)
        pump.command("stop")


@pytest.mark.verifies("SRS-001")
def test_rates_outside_the_range_are_refused(pump: Pump) -> None:
    """Below 1.0 and above 10.0 ml/h: the reply is ERR start rate-limit, and the pump stays idle at rate 0 with volume 0."""
    for rate in (0, 1, 9, 101, 1000, 999_999_999):
        assert pump.command(f"start {rate}") == "ERR start rate-limit", rate
        status = pump.status()
        assert (status.state, status.rate, status.volume) == ("idle", 0, 0), rate


@pytest.mark.verifies("SRS-001", "SRS-005")
def test_refused_rate_does_not_disturb_a_delivery(pump: Pump) -> None:
    """A rate outside the range during a delivery is refused, and the delivery goes on at its own rate."""
    pump.command("start 100")
    assert pump.command("start 101").startswith("ERR start ")
    assert pump.status().rate == 100


@pytest.mark.verifies("SRS-002")
@pytest.mark.parametrize("rate", [100, 50])
def test_volume_follows_rate_and_time(pump: Pump, rate: int) -> None:
    """10.0 and 5.0 ml/h: from the first full microlitre on, the account grows within 5 % of rate times time on the device's clock.

    A microlitre becomes full between two reports, so the time for some of them is known between two bounds; both must fit. As many
    microlitres are waited for as it takes to bring the bounds within 3 % of each other: two where nothing delays the reports.
    """
    reports = [pump.status()]
    pump.command(f"start {rate}")
    for volume in range(1, 41):

        def full(seen: Status, volume: int = 1 + volume) -> bool:
            reports.append(seen)
            return seen.volume >= volume

        pump.wait(full, within=3 * 36_000 // rate, every=0)
        start_before, start_after = when_full(reports, 1)
        end_before, end_after = when_full(reports, 1 + volume)
        least, most = end_before - start_after, end_after - start_before
        if most - least <= 0.03 * most:
            break
    expected = volume * 36_000 / rate
    assert least >= expected / 1.05
    assert most <= expected / 0.95


def when_full(reports: list[Status], volume: int) -> tuple[int, int]:
    """The times of the last report before that volume was full and of the first one after it, in milliseconds."""
    before = max(seen.uptime for seen in reports if seen.volume < volume)
    after = min(seen.uptime for seen in reports if seen.volume >= volume)
    return before, after


@pytest.mark.verifies("SRS-002", "SRS-003")
def test_stop_ends_the_delivery(pump: Pump) -> None:
    """After OK stop the pump is idle at rate 0, and the volume stays for the time of a microlitre; a new start counts from 0."""
    pump.command("start 100")
    pump.wait(lambda seen: seen.volume >= 1, within=1000)
    assert pump.command("stop") == "OK stop"
    stopped = pump.status()
    assert (stopped.state, stopped.rate) == ("idle", 0)
    assert stopped.volume >= 1
    assert pump.pass_time(MICROLITRE).volume == stopped.volume
    pump.command("start 10")
    assert pump.status().volume == 0


@pytest.mark.verifies("SRS-003")
def test_stop_is_accepted_in_every_state(pump: Pump) -> None:
    """OK stop and rate 0 while idle, infusing and in alarm; an alarm stays."""
    for command, state in (("stop", "idle"), ("start 100", "idle"), ("sense pressure=600", "alarm")):
        pump.command(command)
        assert pump.command("stop") == "OK stop", state
        status = pump.status()
        assert (status.state, status.rate) == (state, 0)


@pytest.mark.verifies("SRS-004")
def test_idle_after_power_up(pump: Pump) -> None:
    """A device that has just become ready is idle at rate 0, volume 0, without alarm, and stays so for the time of a microlitre."""
    for status in (pump.status(), pump.pass_time(MICROLITRE)):
        assert (status.state, status.alarm, status.rate, status.volume) == ("idle", "none", 0, 0)


@pytest.mark.verifies("SRS-004")
@pytest.mark.parametrize("means", ["command", "pin"])
def test_idle_after_a_reset_during_a_delivery(device: Device, dut: Dut, pump: Pump, means: str) -> None:
    """Reset by command and by the reset pin while infusing: the device starts anew, idle at rate 0 and volume 0."""
    pump.command("start 100")
    before = pump.wait(lambda seen: seen.volume >= 1, within=1000)
    if means == "pin":
        device.reset()
    else:
        assert pump.command("reset") == "OK reset"
    assert device.wait_started().startswith("app: ready ")
    dut.expect_exact("boot: start slot0\r\n", timeout=5)
    assert pump.status().uptime < before.uptime
    status = pump.pass_time(MICROLITRE)
    assert (status.state, status.rate, status.volume) == ("idle", 0, 0)


@pytest.mark.verifies("SRS-005")
def test_second_start_is_refused(pump: Pump) -> None:
    """ERR start state=infusing; rate and accounted volume of the first delivery stay."""
    pump.command("start 100")
    before = pump.wait(lambda seen: seen.volume >= 1, within=1000)
    assert pump.command("start 20") == "ERR start state=infusing"
    after = pump.status()
    assert (after.state, after.rate) == ("infusing", 100)
    assert after.volume >= before.volume
