"""How much processor time the harness takes while 16 devices say nothing: that of this process, the emulators' not counted.

Run it with the project's Python: `python benchmarks/bench_idle.py`. The devices are emulated ones with the test firmware of
tests/bench, all received by one loop. The last line is one JSON object: measure, value, unit, target, ok.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

# Run as a script: the benchmarks' folder is in the path then, the product's is not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.devices import devices, report

DEVICES = 16
ROUNDS = 5
SECONDS = 2.0
TARGET_PERCENT = 2.0


def main() -> int:
    """Measure and print."""
    shares = []
    with tempfile.TemporaryDirectory(prefix="idle-") as folder, devices(Path(folder) / "devices", DEVICES) as idle:
        for _ in range(ROUNDS):
            began, used = time.perf_counter(), time.process_time()
            time.sleep(SECONDS)
            shares.append((time.process_time() - used) / (time.perf_counter() - began) * 100)
        assert all(device.command("status").startswith("OK") for device in idle)
    print(f"{DEVICES} devices, {ROUNDS} times {SECONDS:g} s: at most {max(shares):.3f} %")
    value = round(statistics.median(shares), 3)
    return report(f"processor time of the harness, {DEVICES} idle devices", value, "% of a core", TARGET_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
