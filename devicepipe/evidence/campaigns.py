"""What a fault-injection campaign found, as evidence."""

from __future__ import annotations

from pydantic import Field, model_validator

from devicepipe.evidence.model import Model, Sha256
from devicepipe.evidence.predicates import CampaignKind, CampaignWish, Tool

CAMPAIGNS = "urn:devicepipe:predicate:campaigns:v1"


class CampaignGroup(Model):
    """The points of one phase or target.

    Attributes:
        name: Which one.
        size: How many flash operations it has, or how many bits.
        points: How many of its points were tried.
        outcomes: How often what became of the device; points that failed are not in it.
    """

    name: str
    size: int = Field(ge=0)
    points: int = Field(ge=0)
    outcomes: dict[str, int]


class CampaignFailure(Model):
    """A point at which the device broke a promise.

    Attributes:
        point: Its group and number, e.g. "swap:17".
        message: What was done and what happened.
    """

    point: str
    message: str


class CampaignResult(Model):
    """What became of the points of one board's campaign.

    What always holds: every point was tried, and has an outcome or a failure.

    Attributes:
        kind: What was done to the device.
        board: The board.
        image_digest: The MCUboot digest of the image that was installed.
        groups: The phases or targets.
        points: How many were tried.
        points_possible: How many there are; None: as many as are asked for.
        seed: Of the draw.
        inside: Cuts inside each operation, of power cuts.
        deep: At how many points the application was started as well.
        boots: How often a bootloader ran; fewer than points times resets, since states recur.
        failures: One for each point at which the device broke a promise.
        processes: How many worked at a time.
        record_seconds: Of `seconds`, how long it took until the first point.
        seconds: Wall time.
    """

    kind: CampaignKind
    board: str
    image_digest: Sha256
    groups: list[CampaignGroup]
    points: int = Field(ge=1)
    points_possible: int | None = None
    seed: int
    inside: int
    deep: int
    boots: int
    failures: list[CampaignFailure]
    processes: int
    record_seconds: float
    seconds: float

    @model_validator(mode="after")
    def _complete(self) -> CampaignResult:
        failed = {failure.point for failure in self.failures}
        if len(failed) != len(self.failures):
            raise ValueError("a point failed twice")
        for group in self.groups:
            bad = sum(point.startswith(f"{group.name}:") for point in failed)
            if sum(group.outcomes.values()) + bad != group.points:
                raise ValueError(f"outcomes and failures of '{group.name}' are not those of all its points")
        if sum(group.points for group in self.groups) != self.points:
            raise ValueError("outcomes and failures are not those of all points")
        return self

    def again(self, failure: CampaignFailure) -> str:
        """The command that tries a point again."""
        inside = f" --inside {self.inside}" if self.kind == "powercut" and self.inside != 1 else ""
        seed = "" if self.kind == "powercut" else f" --seed {self.seed}"
        return f"devicepipe campaign {self.kind} --board {self.board} --point {failure.point}{seed}{inside}"


class Unprepared(Model):
    """A campaign that never came to its first point: the device does not do what it must even without a fault."""

    kind: CampaignKind
    message: str


class Campaigns(Model):
    """Predicate CAMPAIGNS: the campaigns of one board in a release.

    Attributes:
        board: The board.
        image_digest: The MCUboot digest of the image that was installed.
        results: What became of the points.
        unprepared: Campaigns that have no result.
        tools: The emulator.
    """

    board: str
    image_digest: Sha256
    results: list[CampaignResult]
    unprepared: list[Unprepared]
    tools: list[Tool]

    def result(self, kind: CampaignKind) -> CampaignResult | None:
        """The campaign of that kind, or None."""
        return next((result for result in self.results if result.kind == kind), None)


def as_wished(result: CampaignResult, wish: CampaignWish) -> bool:
    """Whether a result is that of what was wished for."""
    return (result.kind, result.points, result.seed) == (wish.kind, wish.points, wish.seed)
