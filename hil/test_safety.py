"""Deadline monitor, watchdog, processor faults, failed self-tests. Requirements: requirements/integrity.md.

Most of these tests run in real time: a device that hangs comes to no exchange.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from pytest_embedded import Dut

from devicepipe.bench.device import Device

if TYPE_CHECKING:
    from hil.conftest import Measure

TICK = 0.01  # s
JUMP_TO_ITSELF = b"\xfe\xe7\xfe\xe7"  # Thumb, twice: wherever in a word it begins
HEADER_PADDING = 28  # struct image_header: the word behind the version
HANDOVER = 64  # bytes at the end of RAM that last over a reset


def fields(device: Device, line: str) -> dict[str, str]:
    """The fields of a reply that begins with OK."""
    reply = device.command(line)
    assert reply.startswith(f"OK {line}"), reply
    return dict(re.findall(r"(\S+)=(\S*)", reply))


@pytest.mark.verifies("RC-020", kind="effectiveness")
@pytest.mark.verifies("SRS-041")
def test_control_loop_that_hangs_ends_in_a_reset(device: Device, measure: Measure) -> None:
    """The loop stands still: reset by itself, and not before 0.9 s, then ready, idle at rate 0.

    An emulator that gets little of the processor loses ticks in real time and is late: the time is told, and judged from below.
    """
    resets = device.guest_resets()
    assert device.command("crash hang") == "OK crash"
    begin = time.monotonic()
    while device.guest_resets() == resets and time.monotonic() - begin < 30:
        time.sleep(0.02)
    measure("control loop stopped to reset, in real time", time.monotonic() - begin, "s", 0.9, 30)
    assert device.wait_started().startswith("app: ready ")
    assert device.guest_resets() == resets + 1
    status = device.command("status")
    assert " state=idle alarm=none " in status
    assert " rate=0 volume=0 " in status


@pytest.mark.virtual_time(at="plant_sent")
@pytest.mark.verifies("SRS-041")
def test_deadline_monitor_is_the_reason_of_that_reset(device: Device) -> None:
    """In virtual time, where no tick is lost: the reason is `deadline`, and the log tells of a boot with that reason (2)."""
    assert device.command("crash hang") == "OK crash"
    assert device.wait_started(timeout=60.0).startswith("app: ready ")
    boot = fields(device, "boot")
    assert (boot["reset"], boot["detail"]) == ("deadline", "0x00000000")
    newest = int(fields(device, "log")["newest"])
    assert device.command(f"log {newest}").endswith(" event=boot value=2")


@pytest.mark.verifies("SRS-041")
def test_control_loop_that_runs_is_left_alone(device: Device) -> None:
    """5 s without a word to the device, then questions without a pause: no reset, and its uptime goes on."""
    before, resets = int(fields(device, "status")["uptime"]), device.guest_resets()
    time.sleep(5)
    for _ in range(100):
        device.command("status")
    assert device.guest_resets() == resets
    assert int(fields(device, "status")["uptime"]) >= before + 4000


@pytest.mark.boards("microbit")
@pytest.mark.verifies("SRS-041")
def test_tick_comes_again_wherever_its_interrupt_is_late(device: Device) -> None:
    """At each instruction of the tick's interrupt once more than a tick of device time passes: the next tick comes all the same.

    Without it neither the control loop nor its monitor would run. Time passes in a jump to itself, put in the instruction's place.
    """
    debugger = device.debugger()
    tick = debugger.set_breakpoint("timer_interrupt")
    assert debugger.run(20) == tick
    stack, late = debugger.registers().sp, set[int]()
    while (registers := debugger.registers()).sp <= stack:  # the interrupt's end takes its frame from there
        if registers.pc not in late:
            late.add(registers.pc)
            at, instructions = registers.pc & ~3, debugger.read_memory(registers.pc & ~3, 4)
            debugger.write_memory(at, JUMP_TO_ITSELF)
            assert debugger.run(2 * TICK) in (None, tick)
            debugger.write_memory(at, instructions)
        debugger.step()
    assert len(late) > 20
    assert debugger.run(20) == tick
    debugger.release()
    assert fields(device, "status")["state"] == "idle"


@pytest.mark.verifies("SRS-041", "SRS-054")
@pytest.mark.parametrize("what", ["hang", "fault", "stack"])
def test_crashes_are_refused_while_programmed(device: Device, what: str) -> None:
    """The commands that crash the program on purpose are refused in any state but idle."""
    resets = device.guest_resets()
    assert device.command("program syringe=3 drug=2 rate=100 vtbi=1000").startswith("OK program ")
    assert device.command(f"crash {what}") == "ERR crash state=programmed"
    assert device.command("stop") == "OK stop"
    assert device.guest_resets() == resets


@pytest.mark.verifies("SRS-042")
def test_watchdog_is_proven_at_a_cold_power_up(device: Device) -> None:
    """RAM without what earlier runs left, as after power-up: one reset by the watchdog's test, then ready, and the test passes.

    After a further reset it is not repeated.
    """
    debugger = device.debugger()
    debugger.reset()
    debugger.write_memory(device.board.ram.base + device.board.ram.size - HANDOVER, bytes(HANDOVER))
    debugger.release()
    assert device.wait_started(timeout=20.0).startswith("app: ready ")
    assert fields(device, "boot")["reset"] == "watchdog-test"
    assert device.guest_resets() == 1
    assert " watchdog=pass" in device.command("selftest")
    device.reset()
    assert device.wait_started().startswith("app: ready ")
    assert device.guest_resets() == 0
    assert fields(device, "boot")["reset"] != "watchdog-test"


@pytest.mark.verifies("SRS-054")
@pytest.mark.parametrize("what", ["fault", "stack"])
def test_processor_fault_is_told_and_ends_in_the_safe_state(
    device: Device, dut: Dut, what: str, measure: Measure
) -> None:
    """A fault, and a stack that overflows: the line with exception and address within 1 s, then nothing until a reset.

    After it `boot` names the reason `fault` and the same address, and the device is idle. Where the hardware's watchdog
    ends the halt, that is the reset.
    """
    resets, begin = device.guest_resets(), time.monotonic()
    assert device.command(f"crash {what}") == "OK crash"
    found = dut.expect(rb"fault: exception=(\S+) pc=(0x[0-9a-f]{8}) lr=(0x[0-9a-f]{8})\r\n", timeout=5)
    # Of the bench's time, in which the device's is contained.
    measure("crash command to the fault's line", (time.monotonic() - begin) * 1000, "ms", 0, 1000, where=what)
    address = found[2].decode()
    if device.guest_resets() == resets:
        device.reset()
    assert device.wait_started(timeout=10.0).startswith("app: ready ")
    boot = fields(device, "boot")
    assert (boot["reset"], boot["detail"]) == ("fault", address)
    status = device.command("status")
    assert " state=idle alarm=none " in status
    assert " rate=0 volume=0 " in status
    newest = int(fields(device, "log")["newest"])
    assert device.command(f"log {newest}").endswith(" event=boot value=4")


@pytest.mark.verifies("RC-007", kind="effectiveness")
@pytest.mark.verifies("SRS-012")
def test_self_test_that_fails_is_a_fault_for_good(device: Device, dut: Dut) -> None:
    """A bit of the image changes in flash while the device runs: selftest fails, alarm fault, which cannot be silenced or cleared.

    Nothing can be programmed or started any more.
    """
    slot = device.board.regions["slot0"]
    # The header's padding, which the digest is over and nobody reads: a byte of the program would be executed.
    address = device.board.flash.base + slot.offset + HEADER_PADDING
    debugger = device.debugger()
    (byte,) = debugger.read_memory(address, 1)
    word = debugger.read_memory(address & ~3, 4)
    changed = bytearray(word)
    changed[address & 3] = byte ^ 0x10
    debugger.write_memory(address & ~3, bytes(changed))
    debugger.release()
    assert device.command("selftest") == "ERR selftest image"
    dut.expect_exact("event: alarm fault priority=high\r\n", timeout=2)
    assert " state=fault alarm=fault priority=high audio=on " in device.command("status")
    assert device.command("alarm silence") == "ERR alarm fault"
    assert device.command("alarm clear") == "ERR alarm fault"
    assert device.command("program syringe=3 drug=2 rate=100 vtbi=1000") == "ERR program state=fault"
    assert device.command("start") == "ERR start state=fault"
    device.altered = True
