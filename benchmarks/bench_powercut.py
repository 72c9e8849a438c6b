"""Power-cut points per second and core, over a whole update on `microbit`, against the bound of a snapshot and one boot.

Run it with the project's Python: `python benchmarks/bench_powercut.py`. The working tree is built and signed first. Five rounds, in
each of which take turns: restoring a snapshot of the machine at its reset and booting the bootloader once; and points of the
campaign over the whole update, each with all its further resets, in parts of neighbours as a process of the campaign gets them.
Only the bootloader's part is timed: one point in 64 of a campaign starts the application as well.

The last line is one JSON object: measure, value, unit, target, ok.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from devicepipe.bench.campaigns.cuts import states
from devicepipe.bench.campaigns.kinds import CAMPAIGNS, Plan
from devicepipe.bench.campaigns.machine import BootMachine
from devicepipe.bench.campaigns.powercut import Judge
from devicepipe.bench.campaigns.run import CHUNK, parts
from devicepipe.bench.campaigns.scenario import load_scenario
from devicepipe.bench.symbols import symbols_of
from devicepipe.cli.progress import make_progress
from devicepipe.pipeline.development import develop
from devicepipe.project.config import load_project
from devicepipe.stages.campaign import campaign_spec

ROOT = Path(__file__).resolve().parent.parent
BOARD = "microbit"
ROUNDS = 5
BOOTS = 30
PARTS = 3
TARGET = 0.8


def main() -> int:
    """Measure and print."""
    project = load_project(ROOT / "devicepipe.toml")
    bundle = develop(
        project, "sign", boards=[BOARD], progress=make_progress(quiet=True), cancel=threading.Event()
    ).bundle
    module = project.campaign_module()
    scenario = load_scenario(module, "powercut")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        spec = campaign_spec(project, bundle, project.board(BOARD), folder / "recording")
        campaign = CAMPAIGNS["powercut"]
        phases = campaign.record(spec, module)
        assert spec.bootloader_elf is not None
        symbols = symbols_of(spec.bootloader_elf)
        stops = {name: symbols.address(name) for name in scenario.stops}
        ram = scenario.lost_ram(spec)
        start = phases[0].start
        rates: list[float] = []
        bounds: list[float] = []
        with (
            closing(BootMachine(spec.board, folder / "bound", stops)) as snapshots,
            closing(BootMachine(spec.board, folder / "points", stops)) as machine,
        ):
            snapshots.save(start, ram)
            # Spread over the update: each round has others.
            shares = parts(campaign.choose(phases, Plan()), CHUNK)
            step = len(shares) // (ROUNDS * PARTS)
            for number in range(ROUNDS):
                began = time.perf_counter()
                for _ in range(BOOTS):
                    assert snapshots.boot_saved()
                bounds.append(BOOTS / (time.perf_counter() - began))
                points = boots = 0
                began = time.perf_counter()
                for share in shares[number * step :: ROUNDS * step][:PARTS]:
                    judge = Judge(spec, scenario, lambda flash: machine.boot(flash, ram))
                    for phase, chosen in share:
                        for _, flash in states(phase.start, phase.operations, chosen):
                            judge.judge(phase, flash)
                            points += 1
                    boots += judge.boots
                rates.append(points / (time.perf_counter() - began))
                print(
                    f"round {number + 1}: bound {bounds[-1]:.1f}/s, {rates[-1]:.1f} points/s, {boots / points:.2f} boots a point",
                    flush=True,
                )
    value = statistics.median(rate / bound for rate, bound in zip(rates, bounds, strict=True))
    print(f"{statistics.median(rates):.1f} points a second and core (bound {statistics.median(bounds):.1f})")
    print(
        json.dumps(
            {
                "measure": "power-cut points a second and core, against snapshot and one boot",
                "value": round(value, 2),
                "unit": "ratio",
                "target": TARGET,
                "ok": value >= TARGET,
            }
        )
    )
    return 0 if value >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
