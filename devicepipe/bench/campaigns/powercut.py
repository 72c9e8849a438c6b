"""Power cuts over a whole update: what a device does with the flash that each cut leaves.

The update is recorded once. At each point the bootloader alone is started from what the cut leaves, and is judged by its decision
and the flash it leaves; then it is reset until nothing changes any more. States recur, so what follows from a flash is found
out once. Every so many points the application is started as well, on a second device, and must say that it is the image that was
expected: so the short way is itself checked.

What always holds: a point is judged from a run that ended; what was not tried is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from devicepipe.bench.campaigns.cuts import Point, states
from devicepipe.bench.campaigns.devices import Bootloader, Machines
from devicepipe.bench.campaigns.machine import Boot
from devicepipe.bench.campaigns.scenario import BootScenario, BrokenPromiseError, Phase
from devicepipe.bench.campaigns.verdict import Verdict
from devicepipe.bench.faults import DeviceFaultError
from devicepipe.bench.spec import SessionSpec


class Judge:
    """Starts a bootloader from what cuts leave, and judges what it does.

    Args:
        spec: The session: board and images.
        scenario: The product's.
        boot: Runs the bootloader once from a flash, after a loss of power.
    """

    def __init__(self, spec: SessionSpec, scenario: BootScenario, boot: Callable[[bytes], Boot]) -> None:
        self._loader = Bootloader(spec, scenario, boot)
        self._settled: dict[tuple[str, bytes], str] = {}

    @property
    def boots(self) -> int:
        """How often a bootloader ran."""
        return self._loader.boots

    def judge(self, phase: Phase, flash: bytes) -> tuple[str, str]:
        """What ran in the end ("old", "new" or "trial, then old"), and the digest of the image that ran first.

        Raises:
            BrokenPromiseError: What must not be.
        """
        boot, _, after = self._loader.run(flash)
        first = self._started(phase, boot, (phase.before, phase.after))
        if (phase.name, after) not in self._settled:
            self._settled[phase.name, after] = self._settle(phase, boot, after, first)
        return self._settled[phase.name, after], first

    def _settle(self, phase: Phase, boot: Boot, key: bytes, digest: str) -> str:
        """Reset until nothing changes any more."""
        new = digest == phase.after and phase.before is not None
        found = "new" if new else "old"
        if new and phase.trial:
            boot, _, key = self._loader.run(boot.flash)
            digest, found = self._started(phase, boot, (phase.before,)), "trial, then old"
        rest, _, after = self._loader.run(boot.flash)
        self._started(phase, rest, (digest,))
        if after != key:
            raise BrokenPromiseError("a device at rest changes its flash when it is reset")
        return found

    def _started(self, phase: Phase, boot: Boot, allowed: tuple[str | None, ...]) -> str:
        digest = self._loader.started(boot)
        said = self._loader.said(boot)
        if digest is None:
            raise BrokenPromiseError(f"the bootloader starts nothing: it came to '{boot.at}'{said}")
        if digest not in allowed:
            names = {phase.before: "the old image", phase.after: "the new image"}
            raise BrokenPromiseError(f"{names.get(digest, 'an unknown image')} starts, which must not be{said}")
        return digest


def try_points(
    spec: SessionSpec, scenario: BootScenario, chosen: list[tuple[Phase, list[Point]]], *, deep_every: int
) -> Verdict:
    """Try some points, in ascending order.

    Args:
        spec: The session; its `output` takes the logs.
        scenario: The product's.
        chosen: Recorded parts of the update, and points of each.
        deep_every: At every n-th point, by its number, the application is started as well; 0: never.

    Raises:
        BenchError: The bench failed; nothing is said of the points.
    """
    verdict = Verdict()
    with closing(Machines(spec, scenario)) as machines:
        judge = Judge(spec, scenario, machines.boot)
        for phase, point, flash in _states(chosen):
            verdict.tried += 1
            try:
                found, first = judge.judge(phase, flash)
                if deep_every and point.number % deep_every == 0:
                    verdict.deep += 1
                    machines.check(flash, first, point.number)
            except (BrokenPromiseError, DeviceFaultError) as failure:
                machines.retire()
                verdict.fail(phase.name, point.number, f"{point}: {failure}")
            else:
                verdict.outcomes[phase.name][found] += 1
        verdict.boots = judge.boots
    return verdict


def _states(chosen: list[tuple[Phase, list[Point]]]) -> Iterator[tuple[Phase, Point, bytes]]:
    for phase, points in chosen:
        for point, flash in states(phase.start, phase.operations, points):
            yield phase, point, flash
