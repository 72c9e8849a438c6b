"""What the harness costs: 60 tests that boot the device and assert one thing, against 60 starts of the bare emulator.

Run it with the project's Python: `python benchmarks/bench_boot.py`. Bare: QEMU is started with the image, a socket is read until
the ready line is there, the line is asserted, QEMU is killed. Harness: a whole session as `devicepipe test` runs it (pytest's
start and end; for each test factory image, reset, identity before and after, the record); it keeps one emulator for all its
tests and resets that, as it would a board. The two take turns; the value is the median of the rounds' ratios. The last line is
one JSON object: measure, value, unit, target, ok.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Run as a script: the benchmarks' folder is in the path then, the product's is not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.devices import BOARD, report
from devicepipe.bench.emulator import emulator_of, emulator_program
from devicepipe.bench.session import run_session
from devicepipe.evidence.results import Verdict
from tests.bench.samples import SLOT0, Firmware, build_firmware, spec_for

BOOTS = 60
ROUNDS = 5
TARGET_RATIO = 1.2
MODULE = f"""
@pytest.mark.parametrize("number", range({BOOTS}))
def test_boot(device, number):
    assert b"app: ready " in device.boot_output
"""


def bare(firmware: Firmware, image: Path) -> float:
    """Seconds for the boots without a harness."""
    program, machine = emulator_program(firmware.board), emulator_of(firmware.board).machine
    began = time.perf_counter()
    for _ in range(BOOTS):
        ours, theirs = socket.socketpair()
        command = [str(program), "-machine", machine, "-display", "none", "-nodefaults", "-monitor", "none"]
        command += ["-device", f"loader,file={image},addr={firmware.board.flash.base:#x}"]
        command += ["-chardev", f"socket,id=uart0,fd={theirs.fileno()}", "-serial", "chardev:uart0"]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL) as process, ours:
            theirs.close()
            ours.settimeout(20)
            said = b""
            while b"app: ready " not in said or not said.endswith(b"\n"):
                said += ours.recv(65536)
            assert b"app: ready " in said
            process.kill()
    return time.perf_counter() - began


def harness(firmware: Firmware, folder: Path) -> float:
    """Seconds for the same through the whole harness."""
    folder.mkdir()
    spec = spec_for(folder, firmware, {"test_boot.py": MODULE}, timeout=300.0)
    began = time.perf_counter()
    run = run_session(spec)
    seconds = time.perf_counter() - began
    assert [case.verdict for case in run.cases] == [Verdict.PASSED] * BOOTS
    return seconds


def main() -> int:
    """Measure and print."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="boot-") as name:
        folder = Path(name)
        firmware = build_firmware(BOARD, folder)
        image = folder / "image.bin"
        image.write_bytes(firmware.code.ljust(SLOT0, b"\xff") + firmware.image())
        for number in range(ROUNDS):
            without, within = bare(firmware, image), harness(firmware, folder / str(number))
            ratios.append(within / without)
            print(f"bare emulator {without:.2f} s, harness {within:.2f} s: {ratios[-1]:.2f}")
    value = round(statistics.median(ratios), 2)
    return report(f"{BOOTS} boots with one assertion each, against the bare emulator", value, "1", TARGET_RATIO)


if __name__ == "__main__":
    sys.exit(main())
