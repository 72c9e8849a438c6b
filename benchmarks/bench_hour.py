"""One hour of infusion in virtual time: how long it takes on our clock, and whether two hours give the same log.

Run it with the project's Python: `python benchmarks/bench_hour.py`, with `--board NAME` (may be repeated) on other boards than
microbit, with `--minutes N` for a shorter time. The working tree is built. Each hour runs on a device of its own with the plant
model around it; compared are the raw log of each UART, byte for byte, and the record of all exchanges.
The last line is one JSON object: measure, value, unit, target, ok.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

# Run as a script: the benchmarks' folder is in the path then, the product's is not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pump import EXCHANGE, built, connect, opened
from devicepipe.bench.spec import SessionSpec
from devicepipe.project.config import load_project
from devicepipe.stages.campaign import campaign_spec

TARGET_SECONDS = 30.0


def hour(spec: SessionSpec, minutes: int) -> tuple[float, str]:
    """Seconds on our clock, and the SHA-256 of all that was said."""
    with opened(spec, EXCHANGE) as device:
        link = connect(device)
        asked = "program syringe=3 drug=2 rate=50 vtbi=20000"
        token = device.command(asked).split("token=")[1].split()[0]
        assert device.command(f"confirm token={token} override") == "OK confirm"
        assert device.command("start") == "OK start rate=50"
        began = time.perf_counter()
        device.run_for(minutes * 60_000)
        seconds = time.perf_counter() - began
        print(f"  {device.command('status')}")
    said = hashlib.sha256(repr(link.record).encode())
    for uart in spec.board.uarts:
        said.update((spec.output / Path(spec.log_name(uart)).name).read_bytes())
    return seconds, said.hexdigest()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One hour of infusion in virtual time, twice.")
    parser.add_argument("--board", action="append", help="may be repeated (default: microbit)")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--runs", type=int, default=2, help="at least 2 (default 2)")
    arguments = parser.parse_args()
    boards = arguments.board or ["microbit"]
    bundle = built(boards)
    slowest, same = 0.0, True
    with tempfile.TemporaryDirectory(prefix="hour-") as folder:
        project = load_project(Path(__file__).resolve().parent.parent / "devicepipe.toml")
        for board in boards:
            runs = []
            for number in range(max(2, arguments.runs)):
                spec = campaign_spec(project, bundle, project.board(board), Path(folder) / f"{board}-{number}")
                runs.append(hour(spec, arguments.minutes))
                print(f"{board}: {runs[-1][0]:.1f} s, log {runs[-1][1][:16]}")
            slowest = max(slowest, sorted(seconds for seconds, _ in runs)[len(runs) // 2])
            same = same and len({log for _, log in runs}) == 1
    target = TARGET_SECONDS * arguments.minutes / 60
    print("every hour gave the same log" if same else "the logs of one board DIFFER")
    print(
        json.dumps(
            {
                "measure": f"{arguments.minutes} min of infusion in virtual time, twice the same log, on {', '.join(boards)}",
                "value": round(slowest, 1),
                "unit": "s",
                "target": target,
                "ok": slowest <= target and same,
            }
        )
    )
    return 0 if slowest <= target and same else 1


if __name__ == "__main__":
    sys.exit(main())
