"""What counting coverage costs an emulated device: the same work with the plugin and without it, in turns.

Two workloads of the reference product, both bound by the processor: a start in real time (the bootloader verifies the image's
signature), and exchanges in virtual time. Everything else a device test does waits for something. The value is the larger of the
two medians of ratios of wall times.

Run it with the project's Python: `python benchmarks/bench_coverage.py --board microbit`. It needs what `devicepipe sign` makes.
Prints last one JSON line: {"measure", "value", "unit", "target", "ok"}.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.coverage_map import CoverageMap
from devicepipe.bench.factory import flash_contents, load_factory
from devicepipe.bench.lockstep import LockStep, VirtualTime
from devicepipe.bench.protocol import STARTED
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.symbols import symbols_of
from devicepipe.project.board import Board
from devicepipe.project.config import load_project

ROOT = Path(__file__).parents[1]
TARGET = 1.5
EXCHANGE = "plant_sent"
EXCHANGES = 200
STARTS = 3


class Workload:
    """A device with the reference product on it."""

    def __init__(self, board: Board, folder: Path, *, images: Path, coverage: bool, virtual: bool) -> None:
        self._stack = ExitStack()
        elves = {name: images / f"{name}.elf" for name in ("application", "bootloader")}
        covered = self._stack.enter_context(closing(CoverageMap(elves, board.flash))) if coverage else None
        folder.mkdir()
        logs = {
            uart: self._stack.enter_context(closing(SerialLog(folder / f"serial-{uart}.log"))) for uart in board.uarts
        }
        loop = None if virtual else self._stack.enter_context(closing(SerialLoop()))
        halt_at = symbols_of(elves["application"]).address(EXCHANGE) if virtual else None
        self._qemu = Qemu(board, folder / "emulator.log", logs, loop, halt_at=halt_at, coverage=covered)
        self._stack.callback(self._qemu.close)
        self._steps = LockStep(self._qemu, VirtualTime(EXCHANGE), hex) if virtual else None
        factory = images / "factory.hex"
        self._qemu.write_flash(flash_contents(board, load_factory(factory), file=factory))
        self.start()

    def start(self) -> None:
        """One start, to the ready line."""
        self._qemu.reset(run=self._steps is None)
        if self._steps is not None:
            self._steps.begin()
        line = self._qemu.channel.take_line(STARTED, 60.0)
        assert line is not None
        assert line.startswith(b"app: ready")
        if self._steps is not None:
            self._steps.settle(60.0)

    def starts(self) -> None:
        """Several starts."""
        for _ in range(STARTS):
            self.start()

    def exchange(self) -> None:
        """Many exchanges."""
        assert self._steps is not None
        self._steps.advance(EXCHANGES)
        self._qemu.discard()

    def close(self) -> None:
        """End it."""
        self._stack.close()


def timed(work: Callable[[], None]) -> float:
    """Its wall time in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(board: Board, images: Path, rounds: int, *, virtual: bool) -> float:
    """The median of the ratios with and without the plugin."""
    what = f"{EXCHANGES} exchanges in virtual time" if virtual else f"{STARTS} starts"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bare, covered = (
            stack.enter_context(
                closing(
                    Workload(board, Path(folder) / name, images=images, coverage=name == "covered", virtual=virtual)
                )
            )
            for name in ("bare", "covered")
        )
        ratios = []
        for _ in range(rounds):
            times = [timed(one.exchange if virtual else one.starts) for one in (bare, covered)]
            ratios.append(times[1] / times[0])
            print(f"{board.name}, {what}: {times[0] * 1e3:.0f} ms, with coverage {times[1] * 1e3:.0f} ms")
    return statistics.median(ratios)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="microbit")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    board = load_project(ROOT / "devicepipe.toml").board(arguments.board).board
    images = ROOT / ".devicepipe/dev/images" / board.name
    if not (images / "factory.hex").is_file():
        parser.exit(3, f"there is no {images / 'factory.hex'}: run `devicepipe sign --board {board.name}` first\n")
    ratios = [compare(board, images, arguments.rounds, virtual=virtual) for virtual in (False, True)]
    print(f"starts {ratios[0]:.2f}, exchanges {ratios[1]:.2f}")
    value = max(ratios)
    print(
        json.dumps(
            {
                "measure": f"coverage plugin slowdown, {board.name}",
                "value": round(value, 2),
                "unit": "ratio",
                "target": TARGET,
                "ok": value <= TARGET,
            }
        )
    )
    return 0 if value <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
