"""What can be read of the plant: quantised, noisy, drifting, and faulty when told so.

The second flow channel sits at the syringe's outlet, before the line's compliance. So it shows what the plunger does (slip,
siphoning, a drive that stands still) and not what the line stores: that is the pressure sensor's task. Its gain is off by up to
1 % from device to device and drifts by up to 1 % within an hour; it adds noise to each reading that does not add up. It
counts, so it never goes back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

AIR, DOOR, SYRINGE = 0x01, 0x02, 0x04


@dataclass
class Battery:
    """A battery, in % of its charge.

    Attributes:
        charge: %, 0 to 100.
        mains: On mains the charge stays.
        per_hour: % an hour that the pump takes from it.
    """

    charge: float = 100.0
    mains: bool = True
    per_hour: float = 12.5

    def drain(self, seconds: float) -> None:
        """Let time pass."""
        if not self.mains:
            self.charge = max(0.0, self.charge - self.per_hour * seconds / 3600)


@dataclass
class Readings:
    """One reading of all sensors, in the plant link's units."""

    pressure: int
    position: int
    flags: int
    battery: int
    flow: int


@dataclass
class SensorFaults:
    """What is wrong with the sensors.

    Attributes:
        fixed: Field name of `Readings` to the value it shows whatever happens: a sensor that is stuck, or shows nonsense.
        frozen: All sensors show the last reading for ever.
        flow_gain: Factor on what the second channel measures.
    """

    fixed: dict[str, int] = field(default_factory=dict)
    frozen: bool = False
    flow_gain: float = 1.0


class FlowSensor:
    """The second channel: adds up what passes it, with an error of its own."""

    def __init__(self, noise: random.Random) -> None:
        self._noise = noise
        self._gain = 1 + noise.uniform(-0.01, 0.01)
        self._drift = noise.uniform(-0.01, 0.01) / 3600  # a second
        self._sum = 0.0  # nl
        self._shown = 0  # nl, the highest reading so far

    def pass_by(self, volume: float, seconds: float, gain: float) -> None:
        """µl pass within a time, seen through a further gain."""
        self._gain += self._drift * seconds
        self._sum += volume * 1000 * self._gain * gain

    def read(self) -> int:
        """All that has passed in nl, modulo 2^32, with the noise of one reading (standard deviation 20 nl)."""
        self._shown = max(self._shown, round(self._sum + self._noise.gauss(0, 20)))
        return self._shown % 2**32
