"""The plant's end of the plant link: answers each motor frame, and spoils its answers when told so.

What always holds: every motor frame is judged (its form, its CRC, its sequence); every exchange is kept in `record`, with
the device's time, which is the number of exchanges times 100 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hil.plant.frames import MotorFrame, SensorFrame
from hil.plant.model import Plant

PERIOD = 100  # ms between two exchanges


@dataclass(frozen=True)
class Exchange:
    """One exchange.

    Attributes:
        time: ms of the device's time since the link's first exchange.
        motor: What the pump said.
        sent: What went back, whole or spoiled; empty if nothing.
        delivered: µl that have reached the patient.
        expelled: µl that have left the syringe.
    """

    time: int
    motor: MotorFrame
    sent: bytes
    delivered: float
    expelled: float


Spoiler = Callable[[SensorFrame], bytes]
"""Makes of a good frame what goes onto the wire."""


def lost(_frame: SensorFrame) -> bytes:
    """The frame does not arrive; its sequence number is used up."""
    return b""


def corrupt(frame: SensorFrame) -> bytes:
    """One bit of the pressure is turned over on the way: the CRC is wrong."""
    line = bytearray(frame.encode())
    line[7] = ord("0") + ((line[7] - ord("0")) ^ 1) if line[7] <= ord("9") else line[7] ^ 1
    return bytes(line)


def garbled(_frame: SensorFrame) -> bytes:
    """Something else arrives that begins like a frame."""
    return b"\x02S0zz not a frame\n"


def cut(frame: SensorFrame) -> bytes:
    """The frame ends after its battery field."""
    return frame.encode()[:18] + b"\n"


class PlantLink:
    """Answers the pump's motor frames for a plant.

    Attributes:
        plant: The plant.
        record: All exchanges, in order.
        resets: How often the pump's sequence numbers began anew.
    """

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.record: list[Exchange] = []
        self.resets = 0
        self._seq = 0
        self._last: SensorFrame | None = None
        self._spoilers: list[Spoiler] = []
        self._silent = False
        self._stale = False

    @property
    def time(self) -> int:
        """The device's time at the last exchange, in ms."""
        return self.record[-1].time

    @property
    def motor(self) -> MotorFrame:
        """The pump's last frame."""
        return self.record[-1].motor

    # --- what a test does to the wire -----------------------------------------------------------------------------

    def spoil(self, spoiler: Spoiler, count: int = 1) -> None:
        """Let the next answers be spoiled."""
        self._spoilers += [spoiler] * count

    def set_silent(self, *, silent: bool = True) -> None:
        """Stop answering: the cable is cut. Sequence numbers stand still meanwhile."""
        self._silent = silent

    def set_stale(self, *, stale: bool = True) -> None:
        """Send the last frame again and again, with the sequence number it had: the plant's processor has hung."""
        self._stale = stale

    def skip(self, count: int) -> None:
        """Leave out sequence numbers, as if so many frames had been lost before the next one."""
        self._seq = (self._seq + count) % 256

    # --- the bench's side -----------------------------------------------------------------------------------------

    def exchange(self, line: bytes) -> bytes:
        """Take one motor frame, let 100 ms pass in the plant, and answer; b"" for no answer.

        Raises:
            FrameError: The line is no motor frame.
            AssertionError: Its sequence number is not the next one.
        """
        motor = MotorFrame.decode(line)
        if self.record:
            expected = (self.motor.seq + 1) % 256
            if motor.seq != expected:
                # A device that was reset begins anew; its counter of steps does too.
                assert motor.steps < 64, f"sequence number {motor.seq}, expected {expected}: {line!r}"
                self.resets += 1
        self.plant.advance(motor.steps)
        sent = self._answer()
        time = self.record[-1].time + PERIOD if self.record else 0
        self.record.append(Exchange(time, motor, sent, self.plant.delivered, self.plant.expelled))
        return sent

    def _answer(self) -> bytes:
        readings = self.plant.read()
        if self._silent:
            return b""
        if self._stale and self._last is not None:
            return self._last.encode()
        frame = SensorFrame(
            self._seq, readings.pressure, readings.position, readings.flags, readings.battery, readings.flow
        )
        self._seq = (self._seq + 1) % 256
        self._last = frame
        return self._spoilers.pop(0)(frame) if self._spoilers else frame.encode()
