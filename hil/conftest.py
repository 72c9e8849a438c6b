"""What the device tests of the demonstration pump share: its console, and the plant that answers it.

The tests run in virtual time, in lock-step: the device stands at each exchange of the plant link, every 100 ms of its time,
while the plant model takes its motor frame and answers. Expected results stand in the docstring of each test; times are the
device's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pytest
from pexpect import TIMEOUT
from pytest_embedded import Dut

from devicepipe.bench.device import Device
from hil.plant.frames import FrameError
from hil.plant.link import PERIOD, Exchange, PlantLink
from hil.plant.model import Plant

SALINE = 2  # drug of the library for tests: wide limits, lockout 5 s, 200 µl an hour
TICK = 10  # ms

_ANY_LINE = re.compile(rb"^[^\n]*\n", re.MULTILINE)
_STATUS = re.compile(
    r"OK status state=(\w+) alarm=([a-z-]+) priority=(none|low|medium|high) audio=(on|paused|off) rate=(\d+) volume=(\d+) "
    r"vtbi=(\d+) bolus=(\d+) pressure=(\d+) battery=(\d+) sensors=(waiting|fresh|stale) uptime=(\d+)"
)


class Measure(Protocol):
    """The bench's fixture `measure`: records a value with its limits, and fails the test where it is outside."""

    def __call__(
        self,
        name: str,
        value: float,
        unit: str,
        low: float | None = None,
        high: float | None = None,
        *,
        where: str = "",
    ) -> None:
        """Record one value."""


@dataclass(frozen=True)
class Status:
    """The device's report: rate in 0.1 ml/h, volumes in µl, pressure in mmHg, battery in %, uptime in ms."""

    state: str
    alarm: str
    priority: str
    audio: str
    rate: int
    volume: int
    vtbi: int
    bolus: int
    pressure: int
    battery: int
    sensors: str
    uptime: int


class Pump:
    """The pump with its surroundings.

    Attributes:
        device: The device.
        dut: What it says by itself.
        link: The plant's end of the plant link: faults of the wire, the record of all exchanges.
        plant: The plant: line, syringe, sensors.
    """

    def __init__(self, device: Device, dut: Dut) -> None:
        self.device = device
        self.dut = dut
        self.plant = Plant()
        self.link = PlantLink(self.plant)
        self._answering = True
        self._wire = device.link("plant")
        self._wire.discard()
        device.on_exchange(self._exchange)
        self.run(3 * PERIOD)  # until the sensors are fresh

    # --- console --------------------------------------------------------------------------------------------------

    def command(self, line: str) -> str:
        """Send a line; its reply."""
        return self.device.command(line)

    def ask(self, line: str) -> dict[str, str]:
        """Send a line that must be answered with OK; the fields of the reply."""
        reply = self.command(line)
        assert reply.startswith(f"OK {line.split(maxsplit=1)[0]}"), f"{line!r} was answered with {reply!r}"
        return dict(re.findall(r"(\S+)=(\S*)", reply))

    def status(self) -> Status:
        """The status, which must have exactly the agreed form."""
        reply = self.command("status")
        found = _STATUS.fullmatch(reply)
        assert found, f"not a status: {reply!r}"
        state, alarm, priority, audio, *numbers, sensors, uptime = found.groups()
        rate, volume, vtbi, bolus, pressure, battery = map(int, numbers)
        return Status(state, alarm, priority, audio, rate, volume, vtbi, bolus, pressure, battery, sensors, int(uptime))

    def alarms(self) -> list[str]:
        """The alarms that stand, in the order in which the device names them."""
        active = self.ask("alarm")["active"]
        return [] if active == "none" else active.split(",")

    def expect_alarm(self, name: str, priority: str, within: int = 300) -> None:
        """The device must say within so many ms that it raises an alarm."""
        self.dut.expect_exact(f"event: alarm {name} priority={priority}\r\n", timeout=within / 1000)

    def expect_ended(self, name: str, within: int = 300) -> None:
        """The device must say within so many ms that an alarm ended."""
        self.dut.expect_exact(f"event: alarm {name} ended\r\n", timeout=within / 1000)

    def assert_silent(self, milliseconds: int) -> None:
        """Let time pass, in which the device must say nothing by itself."""
        with pytest.raises(TIMEOUT):
            self.dut.expect("[^\n]*\n", timeout=milliseconds / 1000)

    # --- delivery -------------------------------------------------------------------------------------------------

    def program(self, *, rate: int = 100, vtbi: int = 5000, syringe: int = 3, drug: int = SALINE) -> str:
        """Enter a programme, which must be taken; its token."""
        return self.ask(f"program syringe={syringe} drug={drug} rate={rate} vtbi={vtbi}")["token"]

    def prepare(self, *, rate: int = 100, vtbi: int = 5000, syringe: int = 3, drug: int = SALINE) -> None:
        """Enter a programme and confirm it, over a soft limit too."""
        token = self.program(rate=rate, vtbi=vtbi, syringe=syringe, drug=drug)
        assert self.command(f"confirm token={token} override") == "OK confirm"

    def infuse(self, *, rate: int = 100, vtbi: int = 5000, syringe: int = 3, drug: int = SALINE) -> None:
        """Program, confirm and start a delivery."""
        self.prepare(rate=rate, vtbi=vtbi, syringe=syringe, drug=drug)
        assert self.command("start") == f"OK start rate={rate}"

    # --- time -----------------------------------------------------------------------------------------------------

    def run(self, milliseconds: int) -> None:
        """Let the device's time pass."""
        self.device.run_for(milliseconds)

    def wait(self, until: Callable[[Exchange], bool], within: int) -> Exchange:
        """Run from exchange to exchange until one fulfils a condition; that exchange."""
        end = self.link.time + within
        while not until(self.link.record[-1]):
            assert self.link.time < end, f"not within {within} ms; last: {self.link.record[-1]}"
            self.run(PERIOD)
        return self.link.record[-1]

    def drive_stops(self, within: int = 2000) -> int:
        """The ms from the next sensor frame, which shows what the test has just done, to the drive disabled."""
        begin = self.link.time + PERIOD
        return self.wait(lambda seen: not seen.motor.drive, within + PERIOD).time - begin

    def assert_stands(self, milliseconds: int = 1000) -> None:
        """The drive is disabled and makes no step for a while."""
        steps = self.link.motor.steps
        self.run(milliseconds)
        assert not self.link.motor.drive
        assert self.link.motor.steps == steps

    def assert_delivers(self, milliseconds: int = 1000) -> None:
        """The drive is enabled and makes steps."""
        steps = self.link.motor.steps
        self.run(milliseconds)
        assert self.link.motor.drive
        assert self.link.motor.steps > steps

    # --- reset ----------------------------------------------------------------------------------------------------

    def quiet(self) -> None:
        """Let the device take all that the plant has sent to it, and stop the plant's answers until the next start.

        On a board with one UART the rest of a frame that a reset cut in two would be read as a console line.
        """
        self._answering = False
        self.run(PERIOD)

    def reset(self) -> None:
        """Reset the device by its pin, and wait until it is ready and its sensors are fresh."""
        self.quiet()
        self.device.reset()
        self.restarted()

    def restarted(self) -> None:
        """Wait until the device is ready after a reset, and its sensors are fresh."""
        assert self.device.wait_started().startswith("app: ready ")
        self._answering = True
        self.run(3 * PERIOD)

    def write_flash(self, offset: int, data: bytes) -> None:
        """Set bytes of the flash; the device stays stopped until `reset`."""
        self.quiet()
        self.device.write_flash(offset, data)

    def _exchange(self) -> None:
        """Called at each exchange, while the device stands."""
        lines = self._motor_lines()
        if not self.link.record:
            lines = lines[-1:]  # what came before the test began is not for it
        for line in lines:
            try:
                answer = self.link.exchange(line)
            except FrameError as error:
                raise AssertionError(f"the pump sent no motor frame on its plant link: {error}") from error
            if answer and self._answering:
                self._wire.write(answer)
        assert len(lines) == 1, f"{len(lines)} motor frames in one exchange: {lines}"

    def _motor_lines(self) -> list[bytes]:
        """What the pump has sent since the last exchange; its emulator may need a moment to pass it on."""
        lines: list[bytes] = []
        end = time.monotonic() + 2
        while not lines and time.monotonic() < end:
            while line := self._wire.take_line(_ANY_LINE, 0):
                lines.append(line)
            if not lines:
                time.sleep(0.001)
        return lines


@pytest.fixture
def pump(device: Device, dut: Dut) -> Pump:
    """The pump, ready and with fresh sensors, in virtual time (`pytestmark` of the module)."""
    return Pump(device, dut)
