"""How long it takes until a test that waits for a device learns that the device was killed.

Run it with the project's Python: `python benchmarks/bench_loss.py`. The device is an emulated one; its process gets SIGKILL while
somebody waits for a line of it. Counted is the time until the wait has raised the error that says so. The last line is one JSON
object: measure, value, unit, target, ok; the value is the worst of all rounds.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

# Run as a script: the benchmarks' folder is in the path then, the product's is not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.devices import devices, report
from devicepipe.bench.emulated import EmulatedTarget
from devicepipe.errors import BenchError

ROUNDS = 9
TARGET_MILLISECONDS = 250.0
NEVER = re.compile(rb"^never\n", re.MULTILINE)


def loss(folder: Path) -> float:
    """Milliseconds from the kill to the error."""
    with devices(folder) as (device,):
        killed, target = 0.0, device.target
        assert isinstance(target, EmulatedTarget)

        def kill() -> None:
            nonlocal killed
            killed = time.perf_counter()
            os.kill(target.emulator.pid, signal.SIGKILL)

        timer = threading.Timer(0.2, kill)
        timer.start()
        try:
            device.channel.take_line(NEVER, 30.0)
        except BenchError as error:
            noticed = time.perf_counter()
            if "SIGKILL" not in str(error):
                raise
            return (noticed - killed) * 1e3
        finally:
            timer.join()
    raise AssertionError("the loss was not noticed")


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="loss-") as folder:
        times = sorted(loss(Path(folder) / str(number)) for number in range(ROUNDS))
    print(f"{ROUNDS} kills: median {times[ROUNDS // 2]:.1f} ms")
    return report("killed device noticed, worst", round(times[-1], 1), "ms", TARGET_MILLISECONDS)


if __name__ == "__main__":
    sys.exit(main())
