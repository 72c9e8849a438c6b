"""The console: status, and what is refused. Requirements: requirements/console.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.conftest import Measure, Pump, Status

pytestmark = pytest.mark.virtual_time(at="plant_sent")

LONGEST = 63  # characters


def same(before: Status, after: Status) -> bool:
    """Nothing has changed but time, and what time brings."""
    return (before.state, before.alarm, before.rate, before.vtbi) == (after.state, after.alarm, after.rate, after.vtbi)


@pytest.mark.verifies("SRS-009")
def test_status_follows_what_is_commanded_and_sensed(pump: Pump) -> None:
    """Each field is that of the moment: idle, programmed, ready, infusing, bolus, alarm; the uptime is the device's time."""
    fixed = pump.plant.faults.fixed
    fixed["pressure"], fixed["battery"] = 123, 77
    pump.run(200)
    idle = pump.status()
    assert (idle.state, idle.alarm, idle.priority, idle.audio) == ("idle", "none", "none", "off")
    assert (idle.rate, idle.volume, idle.vtbi, idle.bolus) == (0, 0, 0, 0)
    assert (idle.pressure, idle.battery, idle.sensors) == (123, 77, "fresh")

    token = pump.program(rate=420, vtbi=6000)
    assert pump.status().state == "programmed"
    pump.ask(f"confirm token={token}")
    ready = pump.status()
    assert (ready.state, ready.rate, ready.vtbi, ready.volume) == ("ready", 0, 6000, 0)

    pump.ask("start")
    pump.run(5000)
    infusing = pump.status()
    assert (infusing.state, infusing.rate, infusing.vtbi) == ("infusing", 420, 6000)
    assert 54 <= infusing.volume <= 62

    pump.ask("bolus volume=100")
    bolus = pump.status()
    assert bolus.state == "bolus"
    assert 0 < bolus.bolus <= 100
    assert bolus.rate > 420

    fixed["pressure"] = 700
    pump.expect_alarm("occlusion", "high")
    alarm = pump.status()
    assert (alarm.state, alarm.alarm, alarm.priority, alarm.audio) == ("alarm", "occlusion", "high", "on")
    assert (alarm.rate, alarm.pressure, alarm.bolus) == (0, 700, 0)


@pytest.mark.verifies("SRS-009")
def test_uptime_is_the_device_s_time(pump: Pump, measure: Measure) -> None:
    """Over 60 s of the device's time, by its exchanges every 100 ms, the uptime grows by 60 s within 0.1 s."""
    first, begin = pump.status().uptime, pump.link.time
    pump.run(60_000)
    uptime = pump.status().uptime - first
    measure("uptime against exchanges", uptime - (pump.link.time - begin), "ms", -200, 200)


@pytest.mark.verifies("SRS-010")
def test_unknown_commands_are_refused(pump: Pump) -> None:
    """ERR unknown-command for words, cases, blanks and endings that are none of the protocol's; a delivery goes on at its rate."""
    pump.infuse(rate=50)
    before = pump.status()
    for line in ("x", "STATUS", "statusx", "start50", "stopp", "OK stop", "sense pressure=100", "event: alarm", "02M"):
        assert pump.command(line) == "ERR unknown-command", line
        assert same(before, pump.status()), line


@pytest.mark.verifies("SRS-010")
def test_commands_with_more_or_less_than_belongs_to_them_are_refused(pump: Pump) -> None:
    """ERR bad-argument or unknown-command for blanks and words too many; a delivery goes on at its rate."""
    pump.infuse(rate=50)
    before = pump.status()
    for line in ("status ", " status", "stop now", "alarm clear all", "alarm quiet", "start 50", "reset now", "id x"):
        assert pump.command(line) in ("ERR unknown-command", "ERR bad-argument"), line
        assert same(before, pump.status()), line


@pytest.mark.verifies("SRS-010")
def test_malformed_programmes_are_refused(pump: Pump) -> None:
    """ERR bad-argument; the pump stays idle. 4294967396 is 100 for who forgets the overflow of 32 bits."""
    good = "program syringe=3 drug=2 rate=100 vtbi=1000"
    for line in (
        "program",
        "program syringe=3 drug=2 rate=100",
        "program syringe=3 drug=2 rate=100 vtbi=",
        "program syringe=3 drug=2 rate= vtbi=1000",
        "program syringe=3 drug=2 rate=-1 vtbi=1000",
        "program syringe=3 drug=2 rate=+1 vtbi=1000",
        "program syringe=3 drug=2 rate=1.0 vtbi=1000",
        "program syringe=3 drug=2 rate=0x64 vtbi=1000",
        "program syringe=3 drug=2 rate=4294967396 vtbi=1",
        "program syringe=3 drug=2 rate=0000000100 vtbi=1",
        "program syringe=3 drug=2 rate=100 rate=100 vtbi=1000",
        "program syringe=3 drug=2 rate=100 vtbi=1000 x=1",
        "program syringe=3 drug=2 rate=100 flow=1000",
        f"{good} vtbi=2000",
        f"{good} ",
        f"{good} 5",
    ):
        assert pump.command(line) == "ERR bad-argument", line
        assert pump.status().state == "idle", line
    assert pump.command(good).startswith("OK program ")


@pytest.mark.verifies("SRS-010")
@pytest.mark.parametrize("command", ["bolus volume", "config kvo", "config occlusion", "confirm token"])
def test_malformed_numbers_are_refused(pump: Pump, command: str) -> None:
    """ERR bad-argument for a number missing, signed, broken, hexadecimal, or of more than 9 digits; settings and state stay."""
    pump.infuse(rate=50)
    before, settings = pump.status(), pump.command("config")
    for number in ("", " ", "abc", "-1", "+1", "5.0", "0x32", "5 ", " 5", "1e2", "4294967306", "0000000010"):
        assert pump.command(f"{command}={number}") == "ERR bad-argument", number
        assert same(before, pump.status()), number
    assert pump.command("config") == settings


@pytest.mark.verifies("RC-008", kind="effectiveness")
@pytest.mark.verifies("SRS-010")
def test_lines_with_unprintable_characters_are_refused(pump: Pump) -> None:
    """A stop command with a NUL, an escape or a byte above 127 inside is no stop command: ERR, and the delivery goes on."""
    pump.infuse(rate=50)
    for line in (b"stop\x00\n", b"\x1b[Astop\n", b"st\xf6p\n", b"stop\x7f\n"):
        pump.dut.write(line)
        pump.dut.expect_exact("ERR unknown-command\r\n", timeout=2)
        assert pump.status().state == "infusing", line


@pytest.mark.verifies("SRS-011")
def test_over_long_lines_are_refused_as_a_whole(pump: Pump) -> None:
    """A line that begins or ends like a stop command, but is too long, gives one ERR line-too-long; then status works as usual."""
    pump.infuse(rate=50)
    for length in (LONGEST + 1, LONGEST + 2, 200, 1000):
        for line in ("stop".ljust(length), "stop".rjust(length)):
            assert pump.command(line) == "ERR line-too-long", length
            assert pump.status().state == "infusing", length


@pytest.mark.verifies("SRS-011")
def test_longest_line_is_read(pump: Pump) -> None:
    """63 characters are read as a line, here an unknown command, and not refused as too long."""
    assert pump.command("x" * LONGEST) == "ERR unknown-command"


@pytest.mark.verifies("SRS-011")
def test_line_ends_may_be_lf_cr_or_both(pump: Pump) -> None:
    """Each of LF, CR and CRLF ends a line, and CRLF ends only one."""
    pump.dut.write(b"stop\rstop\r\nstop\n")
    for _ in range(3):
        pump.dut.expect_exact("OK stop\r\n", timeout=2)
    pump.assert_silent(500)
    assert pump.status().state == "idle"
