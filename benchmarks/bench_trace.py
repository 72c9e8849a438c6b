"""How long the trace of 10,000 and of 100,000 items takes, as whole processes: full check and the matrix as CSV and HTML.

A third of the items are requirements, a third design items, a third written tests; each fifth has two parents. The generator is
part of the benchmark: `python benchmarks/bench_trace.py --write FOLDER [--items N]` makes the project and measures nothing, so
that other tools can be given the same items. Each measure is a JSON line {"measure", "value", "unit", "target", "ok"}, the median
of 5 runs (of 3 with 100,000 items): time and peak memory without a cache, time after touching one file, and the time of ten times
as many items, which must grow in line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ITEMS = 10_000
LARGE = 100_000
PER_FILE = 100
RUNS = 5
TARGETS = {"fresh": 2.0, "memory": 150.0, "touched": 0.5, "large": 20.0, "growth": 13.0}
SENTENCE = (
    "The pump shall hold the delivered rate within five per cent of the commanded rate over any hour of delivery."
)
CONFIG = """[product]
name = "bench"
title = "Benchmark"
manufacturer = "devicepipe"
safety-class = "C"

[firmware]
project = "firmware"

[[board]]
name = "microbit"
manifest = "boards/microbit.json"
application = "app"
bootloader = "boot"
"""


@dataclass(frozen=True)
class Used:
    """What a process took: wall time and processor time in seconds, peak memory in megabytes (of 10^6 bytes)."""

    seconds: float
    processor: float
    megabytes: float


def items(count: int) -> Iterator[tuple[str, str]]:
    """The items in the order of their files: kind and text."""
    third = count // 3
    for kind, prefix, link in (
        ("requirements", "SRS", ""),
        ("designs", "DSG", "realises"),
        ("tests", "TST", "verifies"),
    ):
        for number in range(third if kind != "tests" else count - 2 * third):
            parents = [f"SRS-{number % third:06}"] if link else []
            if link and number % 5 == 0:
                parents.append(f"SRS-{(number + 1) % third:06}")
            fields = f"- {link}: {', '.join(parents)}\n" if link else "- source: GIP 1.2.1\n"
            text = f"{SENTENCE} {SENTENCE}\n\n### Rationale\n\n{SENTENCE}\n"
            yield kind, f"## {prefix}-{number:06} Item number {number} of {kind}\n{fields}\n{text}\n"


def write(folder: Path, count: int) -> int:
    """Make a project with so many items; the size of the items in bytes."""
    for name in ("firmware/src", "boards", "hil", "requirements"):
        (folder / name).mkdir(parents=True)
    shutil.copy(REPOSITORY / "boards/microbit.json", folder / "boards")
    (folder / "devicepipe.toml").write_text(CONFIG, encoding="utf-8")
    files: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for kind, text in items(count):
        name = f"{kind}-{counts.get(kind, 0) // PER_FILE:04}.md"
        counts[kind] = counts.get(kind, 0) + 1
        files.setdefault(name, [f"# {kind.capitalize()}\n\n"]).append(text)
    size = 0
    for name, parts in files.items():
        size += (folder / "requirements" / name).write_text("".join(parts), encoding="utf-8")
    return size


def run(folder: Path) -> Used:
    """The whole command in a process of its own."""
    command = [sys.executable, "-m", "devicepipe", "trace", "matrix", "--csv", "matrix.csv", "--html", "matrix.html"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} in {folder} ended with {process.returncode}: run it to see why")
    return Used(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def fresh(folder: Path) -> Used:
    """A run that finds no cache."""
    shutil.rmtree(folder / ".devicepipe", ignore_errors=True)
    return run(folder)


def touched(folder: Path, number: int) -> Used:
    """A run after one item was changed."""
    file = folder / "requirements/requirements-0003.md"
    file.write_text(
        file.read_text(encoding="utf-8").replace("Rationale\n\nThe", f"Rationale\n\n{number} The", 1), encoding="utf-8"
    )
    return run(folder)


def checked(folder: Path, count: int) -> None:
    """Fail where the matrix is not that of the items."""
    rows = (folder / "matrix.csv").read_bytes().count(b"\r\n") - 1
    tests = count - 2 * (count // 3)
    # Each test has a row for each of its parents.
    if rows != tests + -(-tests // 5):
        sys.exit(f"{rows} rows of {count} items")


def busy(what: str, runs: list[Used]) -> None:
    """How much of the time the process had a processor: on a busy machine it waits for the rest."""
    wall, processor = (
        statistics.median(values) for values in zip(*((one.seconds, one.processor) for one in runs), strict=True)
    )
    print(f"{what}: {processor:.2f} s of a processor in {wall:.2f} s")


def tell(measure: str, value: float, unit: str, target: float) -> bool:
    """One JSON line."""
    fine = value <= target
    print(
        json.dumps({"measure": measure, "value": round(value, 3), "unit": unit, "target": target, "ok": fine}),
        flush=True,
    )
    return fine


def measure() -> bool:
    """All measures."""
    with tempfile.TemporaryDirectory() as name:
        small, large = Path(name, "small"), Path(name, "large")
        size = write(small, ITEMS)
        first = [fresh(small) for _ in range(RUNS)]
        checked(small, ITEMS)
        again = [touched(small, number) for number in range(RUNS)]
        checked(small, ITEMS)
        what = f"trace of {ITEMS} items ({size / 1e6:.1f} MB): check, matrix as CSV and HTML"
        busy("fresh", first)
        busy("one file touched", again)
        seconds = statistics.median(used.seconds for used in first)
        fine = [tell(what, seconds, "s", TARGETS["fresh"])]
        fine.append(tell(f"{what}, peak memory", max(used.megabytes for used in first), "MB", TARGETS["memory"]))
        fine.append(
            tell(
                f"{what}, one file touched", statistics.median(used.seconds for used in again), "s", TARGETS["touched"]
            )
        )
        write(large, LARGE)
        longest = [fresh(large) for _ in range(3)]
        checked(large, LARGE)
        long = statistics.median(used.seconds for used in longest)
        busy(f"{LARGE} items", longest)
        print(f"peak memory of {LARGE} items: {max(used.megabytes for used in longest):.0f} MB")
        fine.append(tell(f"trace of {LARGE} items", long, "s", TARGETS["large"]))
        fine.append(tell(f"{LARGE} items against {ITEMS}, as a multiple", long / seconds, "", TARGETS["growth"]))
    return all(fine)


def main() -> int:
    """Measure, or write the items only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="only make the project in this folder")
    parser.add_argument("--items", type=int, default=ITEMS)
    given = parser.parse_args()
    if given.write:
        print(f"{write(given.write, given.items)} bytes")
        return 0
    return 0 if measure() else 1


if __name__ == "__main__":
    sys.exit(main())
