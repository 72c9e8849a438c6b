"""How long `devicepipe --help` takes, as a whole process, against an empty Python: target under 150 ms.

Interleaved runs, medians. Prints last one JSON line: {"measure", "value", "unit", "target", "ok"}.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15
TARGET = 150.0  # milliseconds


def milliseconds(command: list[str]) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1e3


def main() -> int:
    """Measure and print."""
    beside = Path(sys.executable).with_name("devicepipe")
    command = str(beside) if beside.exists() else shutil.which("devicepipe")
    if command is None:
        sys.exit("devicepipe is not installed beside this Python: run `make setup` first")
    ours, empty = [], []
    for _ in range(RUNS):
        empty.append(milliseconds([sys.executable, "-c", "pass"]))
        ours.append(milliseconds([command, "--help"]))
    value = statistics.median(ours)
    print(f"devicepipe --help: median {value:.0f} ms, least {min(ours):.0f} ms of {RUNS} runs")
    print(f"empty Python: median {statistics.median(empty):.0f} ms")
    result = {
        "measure": "devicepipe --help",
        "value": round(value, 1),
        "unit": "ms",
        "target": TARGET,
        "ok": value < TARGET,
    }
    print(json.dumps(result))
    return 0 if value < TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
