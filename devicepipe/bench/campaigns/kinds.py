"""The kinds of campaigns: how each is prepared, what its points are, and how a process tries some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

from devicepipe.bench.campaigns.bitflip import try_flips
from devicepipe.bench.campaigns.cuts import Point
from devicepipe.bench.campaigns.devices import opened
from devicepipe.bench.campaigns.flips import Flip, Target, draw, flip
from devicepipe.bench.campaigns.fuzz import Shot, Stream, try_shots
from devicepipe.bench.campaigns.powercut import try_points
from devicepipe.bench.campaigns.scenario import Phase, load_scenario
from devicepipe.bench.campaigns.standing import Standing
from devicepipe.bench.campaigns.verdict import Verdict
from devicepipe.bench.faults import DeviceFaultError
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import ProductError, UsageError
from devicepipe.evidence.predicates import CampaignKind

G = TypeVar("G")
"""A group of points: a phase of an update, a target in flash."""
P = TypeVar("P")
"""A point of it; it has a number."""
Share = list[tuple[Any, list[Any]]]
"""Groups and points of each that a process tries."""


@dataclass(frozen=True)
class Plan:
    """What to try.

    Attributes:
        points: How many points, drawn with `seed`; None: all, or where they have no end the campaign's usual number.
        seed: Of the draw.
        inside: Power cuts inside each operation.
        deep_every: At every n-th point, by its number, the application is started as well; 0: never.
        only: One point again: group and number.
        processes: At a time; None: one a core.
    """

    points: int | None = None
    seed: int = 1
    inside: int = 1
    deep_every: int = 64
    only: tuple[str, int] | None = None
    processes: int | None = None


class Campaign(Protocol[G, P]):
    """A kind of campaign. All that is handed over is picklable."""

    kind: CampaignKind

    def record(self, spec: SessionSpec, module: Path) -> list[G]:
        """The groups of points, found out on a device."""

    def size(self, group: G) -> int:
        """Of a group: operations or bits."""

    def possible(self, groups: list[G], plan: Plan) -> int | None:
        """How many points there are; None: no end of them."""

    def choose(self, groups: list[G], plan: Plan) -> list[tuple[G, list[P]]]:
        """The points of a plan, in ascending order within each group."""

    def describe(self, group: G, point: P, plan: Plan) -> str:
        """What is done at a point, in words."""

    def attempt(self, spec: SessionSpec, module: Path, part: list[tuple[G, list[P]]], plan: Plan) -> Verdict:
        """Try some of them: what a process does."""


class PowerCut(Campaign[Phase, Point]):
    """Power cuts over an update."""

    kind: CampaignKind = "powercut"

    def record(self, spec: SessionSpec, module: Path) -> list[Phase]:
        """Record the product's update. Raises ProductError where it does not go as it must even without a cut."""
        return _on_device(spec, module, self.kind, "record")

    def size(self, group: Phase) -> int:
        """Its flash operations."""
        return len(group.operations)

    def possible(self, groups: list[Phase], plan: Plan) -> int:
        """Before, inside and after each operation."""
        return sum(len(phase.points(plan.inside)) for phase in groups)

    def choose(self, groups: list[Phase], plan: Plan) -> list[tuple[Phase, list[Point]]]:
        """All, one, or some without a repetition.

        Raises:
            UsageError: There is no such point, or there are not so many.
        """
        everything = [(phase, point) for phase in groups for point in phase.points(plan.inside)]
        if plan.only is not None:
            chosen = [one for one in everything if (one[0].name, one[1].number) == plan.only]
            if not chosen:
                ends = ", ".join(f"{phase.name}:0 to {len(phase.points(plan.inside)) - 1}" for phase in groups)
                raise UsageError(f"there is no point '{plan.only[0]}:{plan.only[1]}'", remedy=f"one of {ends}")
        elif plan.points is None:
            chosen = everything
        else:
            if plan.points > len(everything):
                raise UsageError(
                    f"{plan.points} points were asked for, but there are {len(everything)}",
                    remedy="ask for fewer, or for more cuts inside each operation (--inside)",
                )
            numbers = sorted(Random(plan.seed).sample(range(len(everything)), plan.points))  # noqa: S311 - repeatable
            chosen = [everything[number] for number in numbers]
        return [(phase, [point for other, point in chosen if other is phase]) for phase in groups]

    def describe(self, group: Phase, point: Point, plan: Plan) -> str:  # noqa: ARG002 - a cut needs no seed of the draw
        """Where the power is cut."""
        return f"{group.name}, {point} of {len(group.operations)}"

    def attempt(self, spec: SessionSpec, module: Path, part: list[tuple[Phase, list[Point]]], plan: Plan) -> Verdict:
        """See `try_points`."""
        return try_points(spec, load_scenario(module, self.kind), part, deep_every=plan.deep_every)


class BitFlip(Campaign[Target, Flip]):
    """Bits that flip in flash."""

    kind: CampaignKind = "bitflip"
    USUAL = 1000

    def record(self, spec: SessionSpec, module: Path) -> list[Target]:
        """What lies in the flash of a device in use. Raises ProductError where it cannot be brought into use."""
        return _on_device(spec, module, self.kind, "targets")

    def size(self, group: Target) -> int:
        """Its bits."""
        return group.bits

    def possible(self, groups: list[Target], plan: Plan) -> None:
        """Any bits may flip together: there is no end of them."""

    def choose(self, groups: list[Target], plan: Plan) -> list[tuple[Target, list[Flip]]]:
        """So many, spread over the targets; or one.

        Raises:
            UsageError: There is no such target, or there are fewer points than targets.
        """
        if plan.only is None:
            share = _spread(plan.points or self.USUAL, len(groups), "targets")
            return [(target, draw(target, share(place), plan.seed)) for place, target in enumerate(groups)]
        return [(target, [flip(target, plan.only[1], plan.seed)]) for target in _named(groups, plan.only[0], "target")]

    def describe(self, group: Target, point: Flip, plan: Plan) -> str:
        """Which bits flip, and the seed where they follow from it."""
        seed = f", seed {plan.seed}" if point.number >= group.bits else ""
        return f"{group.name}, point {point.number}{seed}: {point.describe(group)}"

    def attempt(self, spec: SessionSpec, module: Path, part: list[tuple[Target, list[Flip]]], plan: Plan) -> Verdict:
        """See `try_flips`."""
        return try_flips(spec, load_scenario(module, self.kind), part, deep_every=plan.deep_every)


class Fuzz(Campaign[Stream, Shot]):
    """Inputs that nobody meant, to a device at work."""

    kind: CampaignKind = "fuzz"
    USUAL = 1000

    def record(self, spec: SessionSpec, module: Path) -> list[Stream]:
        """The streams. Raises ProductError where a device cannot be brought to work."""
        scenario = load_scenario(module, self.kind)
        try:
            with closing(Standing(spec, scenario)) as standing:
                standing.restore()
        except (AssertionError, DeviceFaultError) as error:
            raise ProductError(f"the device does not do what it must even without a fault: {error}") from error
        return [Stream(name) for name in scenario.streams]

    def size(self, group: Stream) -> int:  # noqa: ARG002 - a stream has no end
        """There is no end of inputs."""
        return 0

    def possible(self, groups: list[Stream], plan: Plan) -> None:
        """There is no end of them."""

    def choose(self, groups: list[Stream], plan: Plan) -> list[tuple[Stream, list[Shot]]]:
        """So many, spread over the streams; or one.

        Raises:
            UsageError: There is no such stream, or there are fewer points than streams.
        """
        if plan.only is None:
            points = _spread(plan.points or self.USUAL, len(groups), "streams")
            return [(group, [Shot(number) for number in range(points(place))]) for place, group in enumerate(groups)]
        return [(group, [Shot(plan.only[1])]) for group in _named(groups, plan.only[0], "stream")]

    def describe(self, group: Stream, point: Shot, plan: Plan) -> str:
        """What the inputs follow from."""
        return f"{group.name}, point {point.number}, seed {plan.seed}: what the product's module sends by that draw"

    def attempt(self, spec: SessionSpec, module: Path, part: list[tuple[Stream, list[Shot]]], plan: Plan) -> Verdict:
        """See `try_shots`."""
        return try_shots(spec, load_scenario(module, self.kind), part, seed=plan.seed)


CAMPAIGNS: dict[CampaignKind, Campaign[Any, Any]] = {"powercut": PowerCut(), "bitflip": BitFlip(), "fuzz": Fuzz()}


def _spread(points: int, groups: int, what: str) -> Callable[[int], int]:
    """How many of the points each group gets, by its place."""
    if points < groups:
        raise UsageError(f"{points} points cannot be spread over {groups} {what}", remedy="ask for more points")
    return lambda place: points // groups + (place < points % groups)


def _named(groups: list[G], name: str, what: str) -> list[G]:
    found = [group for group in groups if getattr(group, "name", "") == name]
    if not found:
        known = ", ".join(getattr(group, "name", "") for group in groups)
        raise UsageError(f"there is no {what} '{name}'", remedy=f"one of {known}")
    return found


def _on_device(spec: SessionSpec, module: Path, kind: CampaignKind, member: str) -> list[Any]:
    scenario = load_scenario(module, kind)
    try:
        with opened(spec) as device:
            found: Sequence[Any] = getattr(scenario, member)(device)
    except (AssertionError, DeviceFaultError) as error:
        raise ProductError(f"the device does not do what it must even without a fault: {error}") from error
    return list(found)
