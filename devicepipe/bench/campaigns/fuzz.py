"""Inputs that nobody meant, to the signed image on an emulated device at work, in virtual time.

Each point brings the device back to the same moment, lets the product's module send what follows from the point's own draw, and
judge what the device does of it: it must answer afterwards, keep its limits, and not reset itself unasked.

A device that stands at its exchanges and takes no more of what it is sent is deaf, whatever the load of the machine: it fails too.

What always holds: a point follows from the seed, its stream and its number alone; what was not tried is not counted.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from random import Random

from devicepipe.bench.campaigns.scenario import LiveScenario
from devicepipe.bench.campaigns.standing import Standing
from devicepipe.bench.campaigns.verdict import Verdict
from devicepipe.bench.channel import NotTakenError
from devicepipe.bench.faults import DeviceFaultError
from devicepipe.bench.spec import SessionSpec


@dataclass(frozen=True)
class Stream:
    """A group of points: where their inputs go, as the product names it."""

    name: str


@dataclass(frozen=True)
class Shot:
    """One point."""

    number: int


def try_shots(
    spec: SessionSpec, scenario: LiveScenario, chosen: list[tuple[Stream, list[Shot]]], *, seed: int
) -> Verdict:
    """Try some points.

    Args:
        spec: The session; its `output` takes the logs.
        scenario: The product's.
        chosen: Streams, and points of each.
        seed: Of all draws.

    Raises:
        BenchError: The bench failed; nothing is said of the points.
    """
    verdict = Verdict()
    with closing(Standing(spec, scenario)) as standing:
        for stream, shot in ((stream, shot) for stream, shots in chosen for shot in shots):
            draw = Random(f"{seed}:{stream.name}:{shot.number}")  # noqa: S311 - a point must be repeatable
            verdict.tried += 1
            verdict.deep += 1
            live = standing.restore()
            try:
                found, answered = live.disturb(stream.name, draw)
            except (AssertionError, DeviceFaultError, NotTakenError) as failure:
                verdict.fail(stream.name, shot.number, str(failure))
            else:
                if answered:
                    standing.settled()
                verdict.outcomes[stream.name][found] += 1
    return verdict
