"""The line from the syringe to the patient: compliance, flow resistance, occlusion, air.

Tubing, stopper and syringe give way under pressure. What flows in and cannot flow out is stored, and the pressure rises by stored
volume over compliance; when an occlusion opens, the stored volume reaches the patient at once: the bolus that nobody ordered.

Compliance is 0.8 µl/mmHg. Snijder et al. (doi 10.1515/bmt-2014-0148) report 9.0e-9 to 2.1e-8 l/Pa, that is 1.2 to 2.8 µl/mmHg, for
syringes alone, most of them of 50 ml; a 20 ml syringe is stiffer, and the value here keeps the volume stored at the default limit
of 517 mmHg (414 µl) below the 0.5 ml of GIP 1.10.7. Resistance gives 20 mmHg at 100 ml/h, a usual order for a cannula; vein 8 mmHg.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tubing:
    """The line's properties: µl/mmHg, mmHg for each µl/s, mmHg."""

    compliance: float = 0.8
    resistance: float = 0.72
    vein: float = 8.0


class Line:
    """The line of one patient.

    What always holds: all that flowed in was delivered or is stored.

    Attributes:
        occluded: Nothing leaves the line.
        expelled: µl that have left the syringe.
        delivered: µl that have reached the patient.
    """

    def __init__(self, tubing: Tubing) -> None:
        self.occluded = False
        self.expelled = 0.0
        self.delivered = 0.0
        self._tubing = tubing
        self._bubbles: list[tuple[float, float]] = []  # begin and end of each, in µl expelled

    @property
    def stored(self) -> float:
        """µl that the line holds beyond its volume at rest."""
        return self.expelled - self.delivered

    @property
    def pressure(self) -> float:
        """MmHg at the pump's sensor."""
        return self._tubing.vein + self.stored / self._tubing.compliance

    @property
    def air(self) -> bool:
        """There is air in front of the detector."""
        return any(begin <= self.expelled < end for begin, end in self._bubbles)

    def add_air(self, volume: float, distance: float = 0.0) -> None:
        """Put an air bubble of µl into the line, so many µl before the detector."""
        begin = self.expelled + distance
        self._bubbles.append((begin, begin + volume))

    def prime(self) -> None:
        """Take all air out of the line, as a nurse does with the line disconnected."""
        self._bubbles.clear()

    def flow(self, volume: float, seconds: float) -> None:
        """Let µl in from the syringe, and time pass."""
        self.expelled += volume
        if not self.occluded:
            time_constant = self._tubing.resistance * self._tubing.compliance
            self.delivered += self.stored * -math.expm1(-seconds / time_constant)
