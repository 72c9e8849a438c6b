"""What became of some points of a campaign."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from devicepipe.evidence.campaigns import CampaignFailure


@dataclass
class Verdict:
    """What became of some points.

    Attributes:
        tried: How many there were.
        deep: At how many of them the application was started as well.
        boots: How often a bootloader ran.
        failures: What the device did wrong.
        outcomes: In each group, how often what became of the device.
    """

    tried: int = 0
    deep: int = 0
    boots: int = 0
    failures: list[CampaignFailure] = field(default_factory=list)
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, other: Verdict) -> None:
        """Take another one in."""
        self.tried += other.tried
        self.deep += other.deep
        self.boots += other.boots
        self.failures += other.failures
        for group, counts in other.outcomes.items():
            self.outcomes[group] += counts

    def fail(self, group: str, number: int, message: str) -> None:
        """Note a broken promise."""
        self.failures.append(CampaignFailure(point=f"{group}:{number}", message=message))
