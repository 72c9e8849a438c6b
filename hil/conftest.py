"""What the device tests of the demonstration pump share. Expected results stand in the docstring of each test."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from pexpect import TIMEOUT
from pytest_embedded import Dut

from devicepipe.bench.device import Device

_STATUS = re.compile(
    r"OK status state=(idle|infusing|alarm) alarm=(none|occlusion) rate=(\d+) volume=(\d+) pressure=(\d+) uptime=(\d+)"
)


@dataclass(frozen=True)
class Status:
    """The device's report: rate in 0.1 ml/h, volume in microlitres, pressure in mmHg, uptime in milliseconds."""

    state: str
    alarm: str
    rate: int
    volume: int
    pressure: int
    uptime: int


class Pump:
    """The pump's console."""

    def __init__(self, device: Device, dut: Dut) -> None:
        self._device = device
        self._dut = dut

    def command(self, line: str) -> str:
        """Send a line; its reply."""
        return self._device.command(line)

    def status(self) -> Status:
        """The status, which must have exactly the agreed form."""
        reply = self.command("status")
        found = _STATUS.fullmatch(reply)
        assert found, f"not a status: {reply!r}"
        state, alarm, *numbers = found.groups()
        return Status(state, alarm, *map(int, numbers))

    def wait(self, until: Callable[[Status], bool], within: int, every: int = 20) -> Status:
        """Ask for the status until a condition holds; that status. Meanwhile the device must say nothing by itself.

        The bound is `within` milliseconds of the device's own time. A clock that stands still is caught by our own, which allows
        ten times as much and 5 s. Between two questions we listen to the device for `every` milliseconds.
        """
        end = time.monotonic() + 5 + within / 100
        first = seen = self.status()
        while not until(seen):
            assert seen.uptime - first.uptime <= within, f"not within {within} ms of device time; last: {seen}"
            assert time.monotonic() < end, f"the device's clock stands at {seen.uptime} ms"
            if every:
                self.assert_silent(every / 1000)
            seen = self.status()
        return seen

    def pass_time(self, milliseconds: int) -> Status:
        """Let the device's own time pass, in which it must say nothing by itself; the status after it."""
        start = self.status().uptime
        return self.wait(lambda seen: seen.uptime - start >= milliseconds, within=milliseconds + 2000)

    def assert_silent(self, seconds: float) -> None:
        """Listen to the device: it must send no line."""
        with pytest.raises(TIMEOUT):
            self._dut.expect("[^\n]*\n", timeout=seconds)


@pytest.fixture
def pump(device: Device, dut: Dut) -> Pump:
    """The pump's console, on a device that has just become ready."""
    return Pump(device, dut)
