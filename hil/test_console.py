"""The console: status, and what is refused. Requirements: requirements/console.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pytest_embedded import Dut

if TYPE_CHECKING:
    from hil.conftest import Pump

LONGEST = 63  # characters


@pytest.mark.verifies("SRS-009")
def test_status_follows_what_is_commanded_and_sensed(pump: Pump, dut: Dut) -> None:
    """State, alarm, rate and pressure are those of the moment, in idle, infusing and alarm; the uptime grows."""
    idle = pump.status()
    assert (idle.state, idle.alarm, idle.rate, idle.volume, idle.pressure) == ("idle", "none", 0, 0, 0)
    pump.command("sense pressure=123")
    pump.command("start 42")
    infusing = pump.status()
    assert (infusing.state, infusing.alarm, infusing.rate, infusing.pressure) == ("infusing", "none", 42, 123)
    pump.command("sense pressure=700")
    dut.expect_exact("event: alarm occlusion pressure=700\r\n", timeout=2)
    alarm = pump.status()
    assert (alarm.state, alarm.alarm, alarm.rate, alarm.pressure) == ("alarm", "occlusion", 0, 700)
    assert idle.uptime <= infusing.uptime <= alarm.uptime
    pump.wait(lambda seen: seen.uptime > alarm.uptime, within=1000)


@pytest.mark.verifies("SRS-010")
def test_unknown_commands_are_refused(pump: Pump) -> None:
    """ERR unknown-command for words, cases, blanks and endings that are none of the protocol's; a delivery goes on at its rate."""
    pump.command("start 50")
    for line in (
        "x",
        "STATUS",
        "status ",
        " status",
        "statusx",
        "start50",
        "stop now",
        "alarm",
        "alarm clear all",
        "OK stop",
    ):
        assert pump.command(line) == "ERR unknown-command", line
        status = pump.status()
        assert (status.state, status.rate) == ("infusing", 50), line


@pytest.mark.verifies("SRS-010")
def test_malformed_rates_are_refused(pump: Pump) -> None:
    """ERR bad-argument; the pump stays idle at rate 0. 4294967346 is 50 for who forgets the overflow of 32 bits."""
    for rate in ("", " ", " x", " -10", " +50", " 5.0", " 50 ", "  50", " 0x32", " 50 60", " 4294967346"):
        assert pump.command(f"start{rate}") == "ERR bad-argument", rate
        status = pump.status()
        assert (status.state, status.rate) == ("idle", 0), rate


@pytest.mark.verifies("SRS-010")
def test_malformed_pressures_are_refused(pump: Pump) -> None:
    """ERR bad-argument; no alarm, and the pressure stays 0. 4294967296 is 0 for who forgets the overflow of 32 bits."""
    for pressure in ("", "abc", "-1", "6e2", "5001", "4294967296"):
        assert pump.command(f"sense pressure={pressure}") == "ERR bad-argument", pressure
        status = pump.status()
        assert (status.alarm, status.pressure) == ("none", 0), pressure


@pytest.mark.verifies("SRS-010")
def test_line_with_unprintable_characters_is_refused(pump: Pump, dut: Dut) -> None:
    """A start command with a NUL inside is no start command: ERR unknown-command, and the pump stays idle."""
    dut.write(b"start\x00 50\n")
    dut.expect_exact("ERR unknown-command\r\n", timeout=2)
    assert pump.status().state == "idle"


@pytest.mark.verifies("SRS-011")
def test_over_long_lines_are_refused_as_a_whole(pump: Pump) -> None:
    """A line that begins or ends like a start command, but is too long, gives one ERR line-too-long; then status works as usual."""
    for length in (LONGEST + 1, LONGEST + 2, 200, 1000):
        for line in ("start 50".ljust(length), "start 50".rjust(length)):
            assert pump.command(line) == "ERR line-too-long", length
            assert pump.status().state == "idle", length


@pytest.mark.verifies("SRS-011")
def test_longest_line_is_read(pump: Pump) -> None:
    """63 characters are read as a line, here an unknown command, and not refused as too long."""
    assert pump.command("x" * LONGEST) == "ERR unknown-command"


@pytest.mark.verifies("SRS-011")
def test_line_ends_may_be_lf_cr_or_both(pump: Pump, dut: Dut) -> None:
    """Each of LF, CR and CRLF ends a line, and CRLF ends only one."""
    dut.write(b"stop\rstop\r\nstop\n")
    for _ in range(3):
        dut.expect_exact("OK stop\r\n", timeout=2)
    assert pump.status().state == "idle"
