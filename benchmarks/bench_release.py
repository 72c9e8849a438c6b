"""A cold release of both boards against the same steps by hand, one after another, with the same tools.

By hand: two clones, `pio run` in each, cmp; imgtool sign and verify, hexmerge; boot and pytest on one board after the other.
A release does that and the evidence: analysis, SBOM, attestations, trace, gate, documents, seal. Both find the locked C library
in the cache, and neither finds any build output. Runs are interleaved; the value is the median of the ratios of wall
times, target at most 1.0. A second line compares with a single build by hand, which proves no reproducibility.

Prints last one JSON line: {"measure", "value", "unit", "target", "ok"}.
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
from pathlib import Path

from devicepipe.bench.session import run_session
from devicepipe.bench.spec import SessionSpec
from devicepipe.build.source import read_commit
from devicepipe.evidence.results import Identity, Verdict
from devicepipe.project.config import Project, load_project
from devicepipe.signing.image import verify_image
from devicepipe.signing.keys import ensure_development_keys

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TARGET = 1.0
VERSION = "0.1.0"


class ByHand:
    """The steps that a release replaces, timed one by one."""

    def __init__(self, product: Path, folder: Path) -> None:
        self.product = product
        self.folder = folder
        self.keys = ensure_development_keys(product / ".devicepipe/keys")
        self.steps: dict[str, float] = {}

    def run(self) -> float:
        """All steps; returns the wall time in seconds."""
        start = time.perf_counter()
        first, second = self.folder / "first", self.folder / "second-elsewhere"
        for copy in (first, second):
            self._step("clone", lambda copy=copy: self._clone(copy))
            self._step("pio run", lambda copy=copy: self._build(copy))
        self._step("cmp", lambda: self._compare(first, second))
        project = load_project(first / "devicepipe.toml")
        for board in project.boards:
            self._step("imgtool", lambda name=board.name: self._sign(project, name))
            self._step("boot, pytest", lambda name=board.name: self._test(project, name))
        return time.perf_counter() - start

    def _step(self, name: str, body: object) -> None:
        assert callable(body)
        start = time.perf_counter()
        body()
        self.steps[name] = self.steps.get(name, 0.0) + time.perf_counter() - start

    def _clone(self, copy: Path) -> None:
        call("git", "clone", "-q", self.product, copy)
        shutil.copytree(self.product / "firmware/lib", copy / "firmware/lib")

    def _build(self, copy: Path) -> None:
        commit = read_commit(self.product)
        environment = {
            "DEVICEPIPE_VERSION": VERSION,
            "DEVICEPIPE_COMMIT": commit.id,
            "DEVICEPIPE_IMAGE_KEY": str(self.keys.image.public_path),
            "SOURCE_DATE_EPOCH": str(commit.epoch),
            "PLATFORMIO_CORE_DIR": str(copy / ".core"),
            "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
            "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        }
        call(sys.executable, "-m", "platformio", "run", "-s", "-d", copy / "firmware", environment=environment)

    def _compare(self, first: Path, second: Path) -> None:
        for file in (first / "firmware/.pio/build").glob("*/*"):
            if file.suffix in {".elf", ".bin", ".hex"}:
                call("cmp", file, second / file.relative_to(first))

    def _sign(self, project: Project, name: str) -> None:
        board = project.board(name)
        layout, build = board.board, project.firmware_path / ".pio/build"
        image = self.folder / f"{name}.signed.bin"
        call(
            BIN / "imgtool", "sign", "-k", self.keys.image.private_path, "--version", VERSION,
            "--header-size", hex(layout.image.header_size), "--pad-header", "--slot-size", hex(layout.slot0.size),
            "--align", layout.image.align, "--security-counter", project.image.security_counter,
            one(build / board.entry.application, "*.bin"), image,
        )  # fmt: skip
        call(BIN / "imgtool", "verify", "-k", self.keys.image.public_path, image)
        placed = self.folder / f"{name}.slot0.hex"
        call(BIN / "bin2hex.py", f"--offset={layout.address('slot0')}", image, placed)
        bootloader = one(build / board.entry.bootloader, "*.hex")
        call(BIN / "hexmerge.py", "-o", self.folder / f"{name}.factory.hex", bootloader, placed)

    def _test(self, project: Project, name: str) -> None:
        board = project.board(name).board
        signed = self.folder / f"{name}.signed.bin"
        image = verify_image(signed, self.keys.image.public)
        run = run_session(
            SessionSpec(
                board=board,
                factory=self.folder / f"{name}.factory.hex",
                signed_image=signed,
                public_key=self.keys.image.public_path,
                expected=Identity(
                    board=name, version=image.version, commit=read_commit(self.product).id, digest=image.image_digest
                ),
                payload_digest=image.payload_digest,
                tests=project.root / project.tests.path,
                boards=tuple(each.name for each in project.boards),
                output=self.folder / f"{name}.session",
                serial_log="serial.log",
                tester="benchmark",
            )
        )
        assert all(case.verdict is Verdict.PASSED for case in run.cases), name


def call(*command: object, environment: dict[str, str] | None = None) -> None:
    """Run a tool; its failure ends the benchmark."""
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | (environment or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(str(part) for part in command)}\n{done.stdout}")


def one(folder: Path, pattern: str) -> Path:
    """The one file of a folder that fits."""
    (found,) = folder.glob(pattern)
    return found


def release(product: Path) -> tuple[float, dict[str, float]]:
    """A release: wall time of the command, and what each step took."""
    start = time.perf_counter()
    done = subprocess.run(
        [BIN / "devicepipe", "release", VERSION, "--json"], cwd=product, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"devicepipe release: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds, {name: step["seconds"] for name, step in json.loads(done.stdout)["steps"].items()}


def table(title: str, total: float, steps: dict[str, float]) -> None:
    """One run, step by step."""
    print(f"{title}: {total:.1f} s")
    for name, seconds in steps.items():
        print(f"    {name:24} {seconds:6.2f} s")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="interleaved pairs (default 5)")
    runs = parser.parse_args().runs
    ratios: list[float] = []
    single: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-release-") as name:
        folder = Path(name)
        product = folder / "product"
        call("git", "clone", "-q", ROOT, product)
        shutil.copytree(ROOT / ".devicepipe/cache", product / ".devicepipe/cache")
        call(BIN / "devicepipe", "soup", "fetch", "--project", product)
        call(BIN / "devicepipe", "keys", "--project", product)
        for number in range(runs):
            work = folder / f"hand-{number}"
            work.mkdir()
            by_hand = ByHand(product, work)
            hand = by_hand.run()
            shutil.rmtree(work)
            ours, steps = release(product)
            ratios.append(ours / hand)
            single.append(
                ours / (hand - (by_hand.steps["pio run"] + by_hand.steps["clone"]) / 2 - by_hand.steps["cmp"])
            )
            print(f"pair {number + 1}: release {ours:.1f} s, by hand {hand:.1f} s, ratio {ratios[-1]:.2f}")
        table("by hand, last run", hand, by_hand.steps)
        table("devicepipe release, last run (steps overlap)", ours, steps)
    value = statistics.median(ratios)
    print(
        f"against a single build by hand, without proof of reproducibility: median ratio {statistics.median(single):.2f}"
    )
    print(json.dumps({"measure": "cold release / same steps by hand", "value": round(value, 2), "unit": "ratio", "target": TARGET,
                      "ok": value <= TARGET}))  # fmt: skip
    return 0 if value <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
