"""All faults."""

from __future__ import annotations

from tests.bench_faults.devices import DEVICES
from tests.bench_faults.harness import HARNESS

FAULTS = [*DEVICES, *HARNESS]
