"""Flow accuracy over observation windows, and one hour of infusion. Requirements: requirements/delivery.md."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.conftest import Measure, Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")

WINDOWS = {1: 10.0, 2: 6.0, 5: 4.0, 10: 3.0, 15: 2.0, 30: 2.0}
"""Minutes of an observation window: the deviation that is allowed in it, %."""

SETTLED = 5  # minutes after which windows begin


@pytest.mark.verifies("RC-002", "RC-028", kind="effectiveness")
@pytest.mark.verifies("SRS-002", "SRS-030")
def test_one_hour_of_infusion(pump: Pump, measure: Measure) -> None:
    """5.0 ml/h, 20 ml syringe, one hour: the account within 5 % of the plant's own, the flow of each window within its limits.

    The limits of SRS-030: 10 % over 1 min, 6 % over 2, 4 % over 5, 3 % over 10, 2 % over 15 and 30 min, from the fifth
    minute on. No alarm is raised in the hour.
    """
    began = time.monotonic()
    pump.infuse(rate=50, vtbi=20_000)
    first, before = pump.link.record[-1], pump.status()
    pump.run(3_600_000)
    after, last = pump.status(), pump.link.record[-1]
    wall = time.monotonic() - began
    assert (after.state, after.alarm, after.rate) == ("infusing", "none", 50)

    delivered = last.delivered - first.delivered
    account = after.volume - before.volume
    measure("delivered in one hour by the plant's account", delivered, "µl", 4750, 5250)
    measure("account against the plant's", (account / delivered - 1) * 100, "%", -5, 5)
    # A property of the bench, recorded and not judged.
    measure("our time that one hour of the device took", wall, "s")

    record = [seen for seen in pump.link.record if seen.time >= first.time + SETTLED * 60_000]
    for minutes, limit in WINDOWS.items():
        length, expected = minutes * 600, 5000 / 60 * minutes
        flows = [record[end].delivered - record[end - length].delivered for end in range(length, len(record), 10)]
        for extreme, flow in (("least", min(flows)), ("most", max(flows))):
            measure(
                "flow deviation over a window",
                (flow / expected - 1) * 100,
                "%",
                -limit,
                limit,
                where=f"{minutes} min, {extreme}",
            )
