"""Inputs that nobody meant, to the pump while it infuses: on its console, its plant link, its SMP server, and on all at once.

After each point: the pump answers and runs the same image; it has not reset itself unless a line or frame asked for it; the drive
never delivers faster than the limits of syringe and drug allow, stands in an alarm, and the account is what the plant received;
only what came on the plant link can raise an alarm. Requirements: firmware/PROTOCOL.md; SRS-052 (malformed frames change nothing).
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from random import Random
from typing import cast

from pytest_embedded import Dut
from smp.packet import encode

from devicepipe.bench.campaigns.mutate import mutated, noise
from devicepipe.bench.campaigns.scenario import BrokenPromiseError
from devicepipe.bench.device import Device
from devicepipe.bench.faults import NoReplyError
from devicepipe.bench.lockstep import NoExchangeError
from hil.conftest import Pump
from hil.plant.frames import LEAD, SensorFrame
from hil.plant.link import PERIOD, PlantLink

STREAMS = ("console", "plant", "smp", "all")
MOMENT = "plant_take"

_CORPUS = Path(__file__).resolve().parent.parent / "firmware/fuzz/corpus"
_COMMANDS = tuple(
    line.encode()
    for line in (
        "id", "status", "program syringe=3 drug=2 rate=100 vtbi=5000", "confirm token=1234 override", "start", "stop",
        "bolus volume=20", "alarm", "alarm silence", "alarm clear", "config", "config kvo=15", "config occlusion=300",
        "log", "log 1", "boot", "library", "library 2", "selftest", "stack", "crash fault", "reset",
    )
)  # fmt: skip
_ASKED = re.compile(rb"^OK reset\r$", re.MULTILINE)  # a reset over SMP is refused while it infuses
_CRASH = re.compile(rb"^OK crash\r$", re.MULTILINE)
_OBEYED = re.compile(rb"^OK (?:program|start|stop)\b", re.MULTILINE)
_MOST = 12  # pieces of a point
_BURST = 1000  # bytes that are sent in one exchange: a line of 115200 baud carries 1152, and the sensors share it on some boards
_RATE, _SLACK = 100.0, 3.0  # ml/h: the highest; µl: a step, and what is under way
_SECOND = 1000
_ATTEMPTS = 3


class WildPump:
    """The pump while it infuses, with its plant."""

    def __init__(self, device: Device) -> None:
        self._device = device
        # The pump's own end of the bench does not read what the device says by itself.
        self._pump = Pump(device, cast("Dut", None))
        self._pump.infuse(rate=500, vtbi=5000)
        self._pump.run(_SECOND)
        self._ahead = self._pump.status().volume - self._pump.link.record[-1].expelled
        self._resets = 0
        self._shared = device.board.links["plant"].uart == device.board.console.uart
        self._console = [*_COMMANDS, *(line for line in _kept("lines") if LEAD not in line)]
        self._packets = _kept("smp")

    def keep(self) -> object:
        """The plant and its link."""
        return copy.deepcopy(self._pump.link)

    def put_back(self, kept: object) -> None:
        """Put a copy of them in place."""
        self._pump.link = copy.deepcopy(cast("PlantLink", kept))
        self._pump.plant = self._pump.link.plant

    def disturb(self, stream: str, draw: Random) -> tuple[str, bool]:
        """Send one to twelve pieces, over some exchanges; what became of the pump, and whether it has answered since."""
        begin, said = len(self._pump.link.record), self._device.channel.log.offset
        # Its start may have had a reset too, which proved the watchdog.
        self._resets = self._device.guest_resets()
        sent, frames, waiting = bytearray(), 0, 0
        try:
            for _ in range(draw.randint(1, _MOST)):
                kind = draw.choice(STREAMS[:-1]) if stream == "all" else stream
                for data in _bursts(self._piece(kind, draw)):
                    if waiting + len(data) > _BURST:
                        self._pump.run(PERIOD)
                        waiting = 0
                    waiting += len(data)
                    if kind == "plant":
                        frames += 1
                        self._device.link("plant").write(data)
                    else:
                        sent += data
                        self._device.channel.write(data)
                if draw.randrange(2):
                    self._pump.run(PERIOD * draw.randint(1, 3))
                    waiting = 0
            self._device.channel.write(b"\r\n")
            self._device.link("plant").write(b"\n")
            self._pump.run(_SECOND)
        except NoExchangeError:
            if not _CRASH.search(self._device.channel.log.read(said)):
                raise
            return "crashed as asked", False
        text = self._device.channel.log.read(said)
        plant = frames > 0 or (self._shared and LEAD in sent)
        return self._judge(begin, text, asked=bool(_ASKED.search(text)), plant=plant), True

    def _piece(self, kind: str, draw: Random) -> bytes:
        way = draw.randrange(4)
        if way == 0:
            return noise(draw) + b"\n"
        if kind == "plant":
            frame = SensorFrame(
                draw.randrange(256), draw.randrange(1 << 16), draw.randrange(1 << 24), draw.randrange(256),
                draw.randrange(256), draw.randrange(1 << 32),
            )  # fmt: skip
            return frame.encode() if way == 1 else mutated(draw, [frame.encode()]) + b"\n"
        if kind == "smp":
            packet = mutated(draw, self._packets)
            return b"".join(encode(packet)) if way < 3 else mutated(draw, [b"".join(encode(packet))]) + b"\n"
        return mutated(draw, self._console) + b"\n"

    def _judge(self, begin: int, text: bytes, *, asked: bool, plant: bool) -> str:
        resets = self._device.guest_resets() - self._resets
        if resets and not asked:
            raise BrokenPromiseError(f"the pump reset itself {resets} times, which nothing asked for: {text[-400:]!r}")
        if asked:
            self._pump.run(5 * _SECOND)  # to the start, and the reset that proves the watchdog
        status = self._answer()
        self._check_drive(begin)
        state, alarm = status["state"], status["alarm"]
        if asked and self._pump.link.motor.drive:
            raise BrokenPromiseError("the drive is on after a reset")
        if state == "fault":
            raise BrokenPromiseError(f"the pump is in 'fault': {text[-400:]!r}")
        if asked:
            return "reset as asked"
        if alarm != "none" and not plant:
            raise BrokenPromiseError(f"alarm '{alarm}', though nothing was sent on the plant link: {text[-400:]!r}")
        if not _OBEYED.search(text):
            given = self._pump.link.record[-1].expelled + self._ahead
            if abs(int(status["volume"]) - given) > _SLACK:
                raise BrokenPromiseError(f"the account says {status['volume']} µl, the plant received {given:.2f} µl")
        return f"alarm {alarm}" if alarm != "none" else "goes on" if state in {"infusing", "bolus"} else "obeyed"

    def _answer(self) -> dict[str, str]:
        """The identity is that of the image, then the status; a first line may end one that was begun."""
        self._device.channel.discard()
        for attempt in range(_ATTEMPTS):
            try:
                reply = self._device.command("id")
            except NoReplyError:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            if f" digest={self._device.images.digest} " in reply:
                return dict(re.findall(r"(\S+)=(\S*)", self._device.command("status")))
        raise BrokenPromiseError(f"the pump does not say that it runs the image under test: {reply!r}")

    def _check_drive(self, begin: int) -> None:
        """Between two exchanges no more than the highest rate gives, nothing in the safe state."""
        record = self._pump.link.record
        most = _RATE * PERIOD / 3600 + _SLACK
        for before, after in zip(record[begin - 1 :], record[begin:], strict=False):
            given = after.expelled - before.expelled
            if given > most:
                raise BrokenPromiseError(f"{given:.2f} µl were delivered in {PERIOD} ms")
            if before.motor.safe and after.motor.safe and after.motor.steps != before.motor.steps:
                raise BrokenPromiseError("the motor makes steps in the safe state")


def _bursts(data: bytes) -> list[bytes]:
    """Whole lines, of which what the sensors say must not become a part where they share the UART; of a longer one its end."""
    found = [b""]
    for line in data.splitlines(keepends=True):
        if len(found[-1]) + len(line) > _BURST:
            found.append(b"")
        found[-1] += line[-_BURST:]
    return found


def _kept(name: str) -> list[bytes]:
    """The corpus that the fuzzers of the sources keep, but for ticks and losses, which are no bytes of a line."""
    inputs = [
        path.read_bytes().replace(b"\xff", b"").replace(b"\xfe", b"") for path in sorted((_CORPUS / name).iterdir())
    ]
    return [one for one in inputs if one]
