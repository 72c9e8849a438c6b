"""Syringes and the drive: from motor steps to the volume that leaves the syringe.

The drive turns a lead screw; a nut pushes the plunger. Four things part the plunger's way from steps times 2.5 µm:

- *periodic error* of the lead screw: a sine over one turn. It averages out over whole turns, which is why flow is judged over
  windows and why a trumpet curve narrows (IEC 60601-2-24, tests of flow accuracy);
- *backlash*: after a new syringe was put in, the nut first closes a gap;
- *stiction*: the rubber stopper sticks until the push is ahead of it by a break-away distance, and then slips up to a smaller one;
- *slip*: a fault, in which the nut loses a share of its way.

The sizes are assumptions of this model, chosen in the order of magnitude that syringe pumps show; their effect on flow (start-up
delay, pulsation at low rates) is described in Snijder et al., "Flow variability and its physical causes in infusion technology",
Biomed. Eng. 60 (2015), doi 10.1515/bmt-2014-0148.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

STEP = 2.5  # µm of the nut for each motor step


@dataclass(frozen=True)
class Geometry:
    """A syringe type.

    Attributes:
        id: Its number on the console.
        volume: ml when full.
        bore: Inner diameter, mm.
    """

    id: int
    volume: float
    bore: float

    @property
    def area(self) -> float:
        """mm², which is also nl for each µm of the plunger's way."""
        return math.pi * self.bore**2 / 4

    @property
    def stroke(self) -> float:
        """µm of the plunger from full to empty."""
        return self.volume * 1e6 / self.area

    @property
    def step(self) -> float:
        """µl that one ideal motor step delivers."""
        return STEP * self.area / 1000


SYRINGES = {
    one.id: one
    for one in (Geometry(1, 5, 12.06), Geometry(2, 10, 14.50), Geometry(3, 20, 19.13), Geometry(4, 50, 26.72))
}


@dataclass(frozen=True)
class Mechanics:
    """The drive's imperfections, all in µm of the plunger's way but the phase (radians)."""

    pitch: float = 1000.0
    periodic: float = 4.0
    phase: float = 0.0
    backlash: float = 12.0
    break_away: float = 5.0
    slip_to: float = 2.0


class Drive:
    """A drive with a syringe in it.

    What always holds: the plunger never moves back, and never beyond empty.

    Attributes:
        geometry: The syringe's.
        position: Of the plunger above empty, µm.
        slip: Share of the nut's way that is lost, 0 to 1: a fault.
    """

    def __init__(self, geometry: Geometry, mechanics: Mechanics, fill: float) -> None:
        self.slip = 0.0
        self._mechanics = mechanics
        self._screw = 0.0  # µm that the lead screw has turned in all
        self._nut = 0.0  # µm that the nut has gone, errors included
        self.insert(geometry, fill)

    def insert(self, geometry: Geometry, fill: float) -> None:
        """Put in a syringe with so many ml. The nut is driven back to it by hand: the gap is open again.

        Raises:
            ValueError: The syringe does not hold so much.
        """
        if not 0 <= fill <= geometry.volume:
            raise ValueError(f"{fill} ml do not fit into a syringe of {geometry.volume} ml")
        self.geometry = geometry
        self.position = fill * 1e6 / geometry.area
        self._gap = self._mechanics.backlash
        self._ahead = 0.0  # µm that the nut has pushed and the stopper has not followed yet

    def turn(self, steps: int) -> float:
        """Turn the lead screw by motor steps; the µl that leave the syringe."""
        if steps:
            before = self._error()
            self._screw += steps * STEP
            self._push((steps * STEP + self._error() - before) * (1 - self.slip))
        return self._follow()

    def siphon(self, volume: float) -> float:
        """Let µl leave by gravity, the plunger being held by nobody: a fault; the µl that leave."""
        way = min(volume * 1000 / self.geometry.area, self.position)
        self.position -= way
        return way * self.geometry.area / 1000

    def _push(self, way: float) -> None:
        closed = min(max(way, 0.0), self._gap)
        self._gap -= closed
        self._ahead += way - closed

    def _follow(self) -> float:
        if self._ahead < self._mechanics.break_away:
            return 0.0
        way = min(self._ahead - self._mechanics.slip_to, self.position)
        self._ahead -= way
        self.position -= way
        return way * self.geometry.area / 1000

    def _error(self) -> float:
        turns = self._screw / self._mechanics.pitch
        return self._mechanics.periodic * math.sin(2 * math.pi * turns + self._mechanics.phase)
