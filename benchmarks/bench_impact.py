"""How long `devicepipe trace impact` takes between two baselines of 10,000 items, as a whole process.

The items are those of bench_trace.py; every hundredth differs. The last line is one JSON object: measure, value (median of 5),
unit, target, ok. Run it with the project's Python: `python benchmarks/bench_impact.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import bench_trace

RUNS = 5
TARGET_SECONDS = 1.0


def command(folder: Path, *arguments: str) -> bytes:
    """A command of devicepipe trace in a project; its standard output."""
    environment = {**os.environ, "PYTHONPATH": str(bench_trace.REPOSITORY)}
    command = [sys.executable, "-m", "devicepipe", "trace", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True).stdout


def children() -> float:
    """The processor time that processes of ours have taken so far, in seconds."""
    times = os.times()
    return times.children_user + times.children_system


def change_some(folder: Path) -> int:
    """Change the first item of each file; how many."""
    files = sorted((folder / "requirements").glob("*.md"))
    for file in files:
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("Item number", "Another item number", 1), encoding="utf-8")
    return len(files)


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench_trace.write(folder, bench_trace.ITEMS)
        command(folder, "baseline", "a.json")
        changed = change_some(folder)
        command(folder, "baseline", "b.json")
        seconds, processor = [], []
        for _ in range(RUNS):
            start, used = time.perf_counter(), children()
            found = json.loads(command(folder, "impact", "a.json..b.json", "--json"))
            seconds.append(time.perf_counter() - start)
            processor.append(children() - used)
        if len(found["items"]) != changed:
            raise AssertionError(f"{len(found['items'])} items differ, not {changed}")
        print(f"{changed} of {bench_trace.ITEMS} items changed, {len(found['touched'])} more are touched")
    value = statistics.median(seconds)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"best {min(seconds):.3f} s, median {value:.3f} s; of the processor {statistics.median(processor):.3f} s")
    print(f"the machine's load was {load:.1f} a core")
    print(
        json.dumps(
            {
                "measure": f"impact between two baselines of {bench_trace.ITEMS} items",
                "value": round(value, 3),
                "unit": "s",
                "target": TARGET_SECONDS,
                "ok": value <= TARGET_SECONDS,
            }
        )
    )
    return 0 if value <= TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
