"""The plant: syringe, line and sensors together, in steps of 100 ms.

Everything in it can be set by a test at any time, between two exchanges: `occlude`, `add_air`, `door_open`, `remove_syringe`, …
The account of volumes (`delivered`, `expelled`, in µl) is the plant's own.
"""

from __future__ import annotations

import random

from hil.plant.line import Line, Tubing
from hil.plant.sensors import AIR, DOOR, SYRINGE, Battery, FlowSensor, Readings, SensorFaults
from hil.plant.syringe import SYRINGES, Drive, Mechanics

PERIOD = 0.1  # s between two exchanges


class Plant:
    """One pump's mechanics, line, patient and sensors.

    Attributes:
        drive: Lead screw and syringe.
        line: The line to the patient.
        battery: The battery.
        faults: What is wrong with the sensors.
        door_open: The door is open.
        syringe_in: The syringe is in place.
        siphon: ml/h that leave the syringe by gravity: free flow, a fault.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        syringe: int = 3,
        fill: float | None = None,
        mechanics: Mechanics | None = None,
        tubing: Tubing | None = None,
    ) -> None:
        """Make a plant.

        Args:
            seed: Of all that is random in it.
            syringe: Number of the syringe in it.
            fill: ml in that; None: it is full.
            mechanics: The drive's; None: with a random phase of the lead screw.
            tubing: The line's; None: as documented in `line`.
        """
        chance = random.Random(seed)
        geometry = SYRINGES[syringe]
        self.drive = Drive(
            geometry,
            mechanics or Mechanics(phase=chance.uniform(0, 6.283)),
            geometry.volume if fill is None else fill,
        )
        self.line = Line(tubing or Tubing())
        self.battery = Battery()
        self.faults = SensorFaults()
        self.door_open = False
        self.syringe_in = True
        self.siphon = 0.0
        self._flow = FlowSensor(chance)
        self._noise = chance
        self._steps: int | None = None
        self._last: Readings | None = None

    @property
    def delivered(self) -> float:
        """µl that have reached the patient."""
        return self.line.delivered

    @property
    def expelled(self) -> float:
        """µl that have left the syringe."""
        return self.line.expelled

    def occlude(self, *, closed: bool = True) -> None:
        """Close the line, or open it again."""
        self.line.occluded = closed

    def insert_syringe(self, syringe: int, fill: float) -> None:
        """Put in another syringe with so many ml."""
        self.drive.insert(SYRINGES[syringe], fill)
        self.syringe_in = True

    def advance(self, steps: int) -> None:
        """Let 100 ms pass, at the end of which the pump's counter of motor steps stands so.

        A counter that fell is that of a pump which was reset: it began again from 0.
        """
        made = self._made(steps)
        out = self.drive.turn(made if self.syringe_in else 0)
        if self.siphon:
            out += self.drive.siphon(self.siphon / 3.6 * PERIOD)
        self._flow.pass_by(out, PERIOD, self.faults.flow_gain)
        self.line.flow(out, PERIOD)
        self.battery.drain(PERIOD)

    def read(self) -> Readings:
        """What the sensors show now."""
        if self.faults.frozen and self._last is not None:
            return self._last
        shown = Readings(
            pressure=max(0, round(self.line.pressure + self._noise.gauss(0, 0.5))),
            position=max(0, round(self.drive.position + self._noise.gauss(0, 3))),
            flags=AIR * self.line.air | DOOR * self.door_open | SYRINGE * self.syringe_in,
            battery=int(self.battery.charge),
            flow=self._flow.read(),
        )
        for name, value in self.faults.fixed.items():
            setattr(shown, name, value)
        self._last = shown
        return shown

    def _made(self, steps: int) -> int:
        before, self._steps = self._steps, steps
        if before is None:
            return 0
        made = (steps - before) % 2**32
        # In 100 ms the fastest programme makes 2.5 steps a tick at most: more is a counter that began again.
        return made if made < 2**16 else steps
