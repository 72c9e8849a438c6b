"""How long a line to a device and its reply take: host → device → host, through the channel, the log and `device.command`.

Run it with the project's Python: `python benchmarks/bench_echo.py`. The device is an emulated one with the test firmware of
tests/bench, in real time; what its UART takes is in it. The last line is one JSON object: measure, value, unit, target, ok.
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

ROUNDS = 1000
TARGET_MILLISECONDS = 1.0


def main() -> int:
    """Measure and print."""
    times = []
    with tempfile.TemporaryDirectory(prefix="echo-") as folder, devices(Path(folder) / "devices") as (device,):
        for _ in range(ROUNDS):
            start = time.perf_counter()
            reply = device.command("e")
            times.append((time.perf_counter() - start) * 1e3)
            assert reply == "ERR unknown-command"
    times.sort()
    print(f"{ROUNDS} round trips: least {times[0]:.3f} ms, 99 % below {times[ROUNDS * 99 // 100]:.3f} ms")
    return report(
        "line to a device and its reply, median", round(statistics.median(times), 3), "ms", TARGET_MILLISECONDS
    )


if __name__ == "__main__":
    sys.exit(main())
