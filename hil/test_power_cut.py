"""Power cuts over a whole update on the device: a sample, each with the application. Requirements: requirements/update.md.

All points are tried by `devicepipe campaign powercut`, and by the host test firmware/tests/test_power_cut.c on simulated flash.
"""

from __future__ import annotations

import pytest

from devicepipe.bench.campaigns.cuts import states
from devicepipe.bench.campaigns.scenario import Phase
from devicepipe.bench.device import Device
from hil.campaigns import UNPROVEN, record_update
from hil.updates import UpdateError, power_cycle, wait_image

SAMPLE = 40


def sample(phases: list[Phase], wanted: int) -> list[tuple[Phase, slice]]:
    """About so many points, spread evenly over the phases' operations, before and inside them in turn; of a short phase, all."""
    every = max(1, sum(len(phase.points(1)) for phase in phases) // wanted) | 1
    return [(phase, slice(None, None, every if len(phase.points(1)) > every else 1)) for phase in phases]


def settled(device: Device, phase: Phase) -> str:
    """What runs in the end, after further resets: "old", "new" or "trial, then old"."""
    digest = started(device, (phase.before, phase.after))
    new = digest == phase.after and phase.before is not None
    found = "new" if new else "old"
    if new and phase.trial:
        device.reset()
        digest, found = started(device, (phase.before,)), "trial, then old"
    seen = slots(device)
    device.reset()
    started(device, (digest,))
    if slots(device) != seen:
        raise UpdateError("a device at rest changes its slots when it is reset")
    return found


def started(device: Device, allowed: tuple[str | None, ...]) -> str:
    """The image that runs, which must be one of these."""
    image = wait_image(device)
    if image.digest not in allowed:
        raise UpdateError("an image runs that must not:\n" + "\n".join(image.lines))
    return image.digest


def slots(device: Device) -> bytes:
    """What decides about the next boot."""
    regions = device.board.regions
    return b"".join(device.read_flash(regions[name].offset, regions[name].size) for name in ("slot0", "slot1", "state"))


@pytest.mark.verifies("RC-024", kind="effectiveness")
@pytest.mark.verifies("SRS-048")
def test_power_cuts_over_an_update(device: Device) -> None:
    """A trial, its confirmation and a revert, cut at and inside about 40 of their flash operations.

    After each cut the device starts a validly signed image, the old or the new one; never the old one where the new one ran for
    good or was the only one left; and two further resets later nothing changes any more.
    """
    phases = record_update(device)
    assert [phase.name for phase in phases] == ["swap", "confirm", "revert"]
    failures, tried, ran = [], 0, set()
    for phase, chosen in sample(phases, SAMPLE):
        for point, flash in states(phase.start, phase.operations, phase.points(1)[chosen]):
            tried += 1
            device.write_flash(0, flash)
            power_cycle(device, proven=point.number % UNPROVEN != 0)
            try:
                ran.add(settled(device, phase))
            except AssertionError as failure:
                failures.append(f"{phase.name}:{point.number} ({point}): {failure}")
    assert not failures, "\n".join(failures)
    assert tried >= SAMPLE - len(phases)
    assert ran == {"old", "new", "trial, then old"}
