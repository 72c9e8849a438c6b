"""The event log: what it records, resets, wrap-around, damaged records. Requirements: requirements/console.md."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.conftest import Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")

OCCLUSION = 2  # row of the table of alarms
CAPACITY = 400
RECORD = 16  # bytes


@dataclass(frozen=True)
class Record:
    """One record of the log."""

    seq: int
    time: int
    event: str
    value: int


def span(pump: Pump) -> tuple[int, int, int]:
    """How many records there are, and the first and last sequence number."""
    fields = pump.ask("log")
    return int(fields["count"]), int(fields["oldest"]), int(fields["newest"])


def record(pump: Pump, seq: int) -> Record:
    """One record, which must be there and have exactly the agreed form."""
    reply = pump.command(f"log {seq}")
    found = re.fullmatch(r"OK log seq=(\d+) time=(\d+) event=([a-z-]+) value=(\d+)", reply)
    assert found, f"log {seq}: {reply!r}"
    assert int(found[1]) == seq
    return Record(seq, int(found[2]), found[3], int(found[4]))


def since(pump: Pump, seq: int) -> list[Record]:
    """All records after one."""
    return [record(pump, one) for one in range(seq + 1, span(pump)[2] + 1)]


@pytest.mark.verifies("SRS-044")
def test_what_happens_is_recorded(pump: Pump) -> None:
    """Programme, confirmation, start, bolus, alarm, silence, end, settings, start, stop: each with its value and rising times."""
    begin = span(pump)[2]
    pump.infuse(rate=50)
    pump.ask("bolus volume=10")
    pump.run(5000)
    pump.plant.faults.fixed["pressure"] = 600
    pump.expect_alarm("occlusion", "high")
    pump.ask("alarm silence")
    pump.plant.faults.fixed["pressure"] = 10
    pump.run(200)
    pump.ask("alarm clear")
    pump.ask("start")
    pump.command("stop")
    pump.command("stop")
    pump.ask("config kvo=11")
    uptime = pump.status().uptime
    records = since(pump, begin)
    assert [(one.event, one.value) for one in records if one.event != "config"] == [
        ("program", 2),
        ("confirm", 0),
        ("start", 50),
        ("bolus", 10),
        ("alarm", OCCLUSION),
        ("silence", 0),
        ("ended", OCCLUSION),
        ("start", 50),
        ("stop", 0),
        ("stop", 0),
    ]
    assert records[-1].event == "config"
    times = [one.time for one in records]
    assert times == sorted(times)
    assert times[4] - times[3] >= 4900
    assert 0 <= uptime - times[-1] <= 300


@pytest.mark.verifies("SRS-044")
def test_completion_is_recorded(pump: Pump) -> None:
    """Complete, and the alarm of row 12 that goes with it."""
    begin = span(pump)[2]
    pump.infuse(rate=1000, vtbi=100)
    pump.expect_alarm("complete", "medium", 10_000)
    events = [(one.event, one.value) for one in since(pump, begin)]
    assert ("complete", 100) in events
    assert ("alarm", 12) in events


@pytest.mark.verifies("RC-022", kind="effectiveness")
@pytest.mark.verifies("SRS-044")
def test_log_survives_resets_and_tells_of_them(pump: Pump) -> None:
    """After a reset by command and one by the pin all records are as before, and two boots follow, the first with reason 1."""
    pump.infuse()
    pump.run(1000)
    _, oldest, newest = span(pump)
    before = [record(pump, seq) for seq in range(oldest, newest + 1)]
    assert pump.command("reset") == "OK reset"
    pump.restarted()
    pump.reset()
    assert [record(pump, seq) for seq in range(oldest, newest + 1)] == before
    boots = [one for one in since(pump, newest) if one.event == "boot"]
    assert len(boots) == 2
    assert boots[0].value == 1


@pytest.mark.verifies("SRS-044")
def test_last_400_events_are_kept(pump: Pump) -> None:
    """After 900 and more further events at least the last 400 can be read, in order and without a gap; older ones are no entry."""
    begin = span(pump)[2]
    while span(pump)[2] < begin + 900:
        for _ in range(20):
            pump.program()
            pump.command("stop")
    count, oldest, newest = span(pump)
    assert count >= CAPACITY
    assert newest - oldest + 1 == count
    first = newest - CAPACITY + 1
    before = record(pump, first - 1).event if first > oldest else ""
    for seq in range(first, newest + 1):
        event = record(pump, seq).event
        assert event in ("program", "stop")
        assert event != before
        before = event
    assert pump.command(f"log {oldest - 1}") == "ERR log no-entry"
    assert pump.command(f"log {newest + 1}") == "ERR log no-entry"
    pump.reset()
    assert record(pump, newest).event == "stop"
    assert span(pump)[2] > newest


@pytest.mark.verifies("SRS-044")
def test_damaged_record_is_not_shown(pump: Pump) -> None:
    """The newest record's value is changed in flash: after the reset it is not shown, the one before is, and the log goes on."""
    pump.infuse()
    pump.command("stop")
    newest = span(pump)[2]
    kept = record(pump, newest - 1)
    region = pump.device.board.regions["log"]
    data = pump.device.read_flash(region.offset, region.size)
    for at in range(0, region.size, RECORD):
        one = data[at : at + RECORD]
        seq, _, _, _, check = struct.unpack("<IIHHI", one)
        if seq == newest and zlib.crc32(one[:12]) == check:
            pump.write_flash(region.offset + at + 10, bytes((one[10] ^ 1, one[11])))
            break
    else:
        pytest.fail(f"record {newest} is not in the region as PROTOCOL.md says")
    pump.reset()
    assert record(pump, newest - 1) == kept
    reply = pump.command(f"log {newest}")
    assert reply == "ERR log no-entry" or " event=boot " in reply
    pump.program()
    pump.command("stop")
    assert record(pump, span(pump)[2]).event == "stop"
