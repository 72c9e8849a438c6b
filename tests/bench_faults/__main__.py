"""The table of the adversarial suite: `python -m tests.bench_faults [--write FILE] [--only devicepipe]`.

Poses each fault to devicepipe, to stock pytest-embedded and to `pio test`, one after the other, and prints what became of it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.samples import Firmware, build_firmware
from tests.bench_faults import peers, runner
from tests.bench_faults.fault import Fault
from tests.bench_faults.suite import FAULTS

_HEAD = """# Faults of a bench, and what becomes of them

Written by `python -m tests.bench_faults --write docs/reference/bench-faults.md`, from real runs of
{versions}. Each fault is a sample in `tests/bench_faults/`
(`devices.py`, `harness.py`): a small firmware that plays it, or a test that does it. `make test` poses all of them to
devicepipe; this table poses them to its peers, too.

How they are posed:

- **devicepipe**: a whole session of one test on an emulated micro:bit, and the verdict of that test. The reason must name the
  true cause, and neither a process nor a file outside of the output folder may be left: otherwise that is said, in bold.
  `refused`: the session raises an error and gives no verdict.
- **pytest-embedded**: the same test and the same conftest.py, on its service `serial` and the pseudo-terminal of a QEMU that a
  fixture starts with `subprocess.Popen` and kills when it is torn down. It has no time-out of its own for a test.
- **pio test**: the device tests itself and prints Unity's lines on the port; PlatformIO reads and counts them.

What is said of the peers: *right*: it failed, and its output names the true cause. *Wrong cause*: it failed, and its output does
not. *False green*: its exit status is 0. *Hang*: it had not ended after {bound:g} s. *No verdict*: it died. *Leaves n running*:
processes that were still there a second later (helpers of multiprocessing, QEMU). A dash: the fault cannot be posed to it, see
the last column.

| fault | what happens | devicepipe | pytest-embedded | pio test | not posed, because |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """A fault, and what became of it."""

    fault: Fault
    ours: str
    embedded: str
    pio: str

    def __str__(self) -> str:
        shown, why = [], []
        for tool, outcome in (("pytest-embedded", self.embedded), ("pio test", self.pio)):
            shown.append("-" if outcome.startswith("n/a: ") else outcome)
            if outcome.startswith("n/a: "):
                why.append(f"{tool}: {outcome.removeprefix('n/a: ')}")
        cells = [f"`{self.fault.name}`", self.fault.what.rstrip("."), self.ours, *shown, "; ".join(why)]
        return f"| {' | '.join(cells)} |"


def _ours(fault: Fault, firmware: Firmware, folder: Path) -> str:
    outcome = runner.pose(fault, firmware, folder)
    wrong = outcome.wrong(fault)
    return f"**{'; '.join(wrong)}**" if wrong else outcome.verdict


def _row(fault: Fault, firmware: Firmware, *, peers_too: bool) -> Row:
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as name:
        folders = [Path(name) / tool for tool in ("ours", "embedded", "pio")]
        for folder in folders:
            folder.mkdir()
        embedded = peers.pytest_embedded(fault, firmware, folders[1]) if peers_too else "n/a: not run"
        pio = peers.pio_test(fault, firmware, folders[2]) if peers_too else "n/a: not run"
        return Row(fault, _ours(fault, firmware, folders[0]), embedded, pio)


def _count(title: str, outcomes: list[str]) -> str:
    posed = [outcome for outcome in outcomes if not outcome.startswith("n/a")]
    kinds = {
        "right": [one for one in posed if one.startswith(("right", "failed", "error", "refused"))],
        "wrong cause": [one for one in posed if one.startswith("wrong cause")],
        "false green": [one for one in posed if one.startswith("false green")],
        "hang": [one for one in posed if one.startswith("hang")],
        "no verdict": [one for one in posed if one.startswith("no verdict")],
        "left processes": [one for one in posed if "leaves" in one or "left running" in one],
    }
    return f"| {title} | {len(posed)} | {' | '.join(str(len(kind)) for kind in kinds.values())} |"


def _document(rows: list[Row]) -> str:
    names = ("pytest-embedded", "platformio", "pytest")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    qemu = subprocess.run(["qemu-system-arm", "--version"], capture_output=True, text=True, check=True).stdout
    versions += f", QEMU {qemu.split('version ')[1].split()[0]}"
    sums = [
        "",
        "## In sum",
        "",
        "| | posed | right | wrong cause | false green | hang | no verdict | left processes |",
        "|---|---|---|---|---|---|---|---|",
        _count("devicepipe", [row.ours for row in rows]),
        _count("pytest-embedded", [row.embedded for row in rows]),
        _count("pio test", [row.pio for row in rows]),
    ]
    return "\n".join([_HEAD.format(versions=versions, bound=peers.BOUND) + "\n".join(map(str, rows)), *sums, _FOOT])


_FOOT = """
## What is not in it

- Every device here is emulated, also the one of `lease-lost-mid-test`, which devicepipe drives as it drives a real one; a port that
  cannot be opened is, for devicepipe, an emulator that does not start.
- A recording that answers each command as the device would, one reply to one command, cannot be told from the device: `id` is the
  firmware's own word, and there is no secret that only it knows. What is noticed is a reply too many.
- A test that stops the process which runs the session (`os.kill(os.getppid(), signal.SIGSTOP)`) stops what would notice it.
- A child that a test starts with an emptied environment in a session of its own is not found, and outlives the session.
"""


def main() -> int:
    """Print the table; 1 where devicepipe was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_faults", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the document, instead of printing it")
    parser.add_argument("--only", choices=("devicepipe",), help="leave the peers out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as folder:
        firmware = build_firmware("microbit", Path(folder))
        rows = []
        for fault in FAULTS:
            rows.append(_row(fault, firmware, peers_too=arguments.only is None))
            print(rows[-1], file=sys.stderr, flush=True)
    document = _document(rows)
    if arguments.write:
        arguments.write.write_text(document, encoding="utf-8")
    else:
        print(document)
    wrong = sum(row.ours.startswith("**") for row in rows)
    print(
        json.dumps(
            {"measure": "faults that devicepipe gets wrong", "value": wrong, "unit": "1", "target": 0, "ok": not wrong}
        )
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
