"""Bits that flip in flash: what a device does with them.

At each point the bootloader alone is started from the damaged flash, and reset until nothing changes any more. It may start an
image that is, byte for byte, a signed one, or refuse; each target says which of the two, and which image. Where the damage lies in
what an application reads, that is started at each point and asked what it was asked before.

What always holds: a point is judged from runs that ended; what was not tried is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from devicepipe.bench.campaigns.devices import Bootloader, Machines
from devicepipe.bench.campaigns.flips import Flip, Target, flipped
from devicepipe.bench.campaigns.machine import Boot
from devicepipe.bench.campaigns.scenario import BrokenPromiseError, FlashScenario
from devicepipe.bench.campaigns.verdict import Verdict
from devicepipe.bench.faults import DeviceFaultError
from devicepipe.bench.spec import SessionSpec

REFUSED, OLD, NEW = "refused", "old image", "new image"
RESETS = 3
"""After so many further resets a device must have come to rest."""


class FlashJudge:
    """Starts a bootloader from a damaged flash, and judges what it does.

    Args:
        spec: The session: board and images.
        scenario: The product's.
        boot: Runs the bootloader once from a flash, after a loss of power.
    """

    def __init__(self, spec: SessionSpec, scenario: FlashScenario, boot: Callable[[bytes], Boot]) -> None:
        self._spec = spec
        self._loader = Bootloader(spec, scenario, boot)

    @property
    def boots(self) -> int:
        """How often a bootloader ran."""
        return self._loader.boots

    def judge(self, target: Target, flash: bytes) -> tuple[str, str | None]:
        """What became of the device, e.g. "new image, old image", and the digest of the image that ran first.

        Raises:
            BrokenPromiseError: What must not be.
        """
        digests: list[str | None] = []
        for _ in range(1 + RESETS):
            boot, before, after = self._loader.run(flash)
            digests.append(self._loader.started(boot))
            if before == after:
                break
            flash = boot.flash
        else:
            raise BrokenPromiseError(f"it does not come to rest within {RESETS} resets{self._loader.said(boot)}")
        names = [self._name(digest) for digest in digests]
        found = ", ".join(name for place, name in enumerate(names) if place == 0 or names[place - 1] != name)
        if found not in target.allowed:
            allowed = " or ".join(f"'{name}'" for name in sorted(target.allowed))
            raise BrokenPromiseError(f"'{found}' instead of {allowed}{self._loader.said(boot)}")
        return found, digests[0]

    def _name(self, digest: str | None) -> str:
        if digest is None:
            return REFUSED
        return OLD if digest == self._spec.expected.digest else NEW


def try_flips(
    spec: SessionSpec, scenario: FlashScenario, chosen: list[tuple[Target, list[Flip]]], *, deep_every: int
) -> Verdict:
    """Try some points.

    Args:
        spec: The session; its `output` takes the logs.
        scenario: The product's.
        chosen: What is damaged, and points of each.
        deep_every: At every n-th point, by its number, the application is started where the bootloader starts one; 0: never. Where
            the target has questions for it, it is started at each.

    Raises:
        BenchError: The bench failed; nothing is said of the points.
    """
    verdict = Verdict()
    with closing(Machines(spec, scenario)) as machines:
        judge = FlashJudge(spec, scenario, machines.boot)
        for target, point in ((target, point) for target, points in chosen for point in points):
            flash = flipped(target, point)
            verdict.tried += 1
            try:
                found, first = judge.judge(target, flash)
                if target.answers:
                    verdict.deep += 1
                    found = scenario.examine(machines.device(flash), target, point.number)
                elif first is not None and deep_every and point.number % deep_every == 0:
                    verdict.deep += 1
                    machines.check(flash, first, point.number)
            except (BrokenPromiseError, DeviceFaultError) as failure:
                machines.retire()
                verdict.fail(target.name, point.number, f"{point.describe(target)}: {failure}")
            else:
                verdict.outcomes[target.name][found] += 1
        verdict.boots = judge.boots
    return verdict
