"""What analysis costs a release: the whole release of all boards, against the same release in which it costs nothing.

Analysis is what says what is in the images, how they were made and whether that is known to be bad: static analysis with its
proofs, hardening, the second build and its comparison, both SBOMs, vulnerabilities and secrets. The other release takes these
attestations, and the files they are about, from the bundle of the first one; all else (builds, tests, campaigns, coverage, gate,
documents, seal) is done in both. Runs are interleaved; the value is the median of the ratios of wall times. The processor time
of both stands beside it: it tells whether other work on the machine is in the ratio. A pair takes two releases: about 20 minutes on
two cores.

Prints last one JSON line: {"measure", "value", "unit", "target", "ok"}.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TARGET = 1.3
VERSION = "0.1.0"
KINDS = {
    "analyse": ("analysis", "sbom"),
    "rebuild": ("reproducibility",),
    "build_bill_of_materials": ("build-sbom",),
    "check_vulnerabilities": ("vulnerabilities",),
    "find_secrets": ("secrets",),
}
"""By stage of devicepipe.pipeline.release: the attestations that it makes."""


def release_without(bundle: Path) -> NoReturn:
    """The command `devicepipe release`, its analysis taken from a bundle."""
    from devicepipe.cli.main import main as devicepipe
    from devicepipe.pipeline import release

    for stage, kinds in KINDS.items():
        setattr(release, stage, taken(bundle, kinds))
    sys.argv = ["devicepipe", "release", VERSION, "--json", "--replace"]
    devicepipe()


def taken(bundle: Path, kinds: tuple[str, ...]) -> Callable[..., None]:
    """A stage that copies attestations and their subjects."""
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.project.config import ProjectBoard
    from devicepipe.stages.context import Context

    earlier = Bundle(bundle)

    def stage(context: Context, board: ProjectBoard | None = None, *_: object) -> None:
        here = {*context.writer.names()}
        for attestation in earlier.attestations():
            if attestation.kind.name in kinds and (board is None or attestation.board == board.name):
                subjects = [subject.name for subject in attestation.statement.subjects]
                for name in (*subjects, attestation.path):
                    if name not in here:
                        context.writer.add_bytes(earlier.read(name), name)

    return stage


def release(product: Path, bundle: Path | None) -> tuple[float, float, dict[str, float]]:
    """A release, with its own analysis or with a bundle's: wall and processor time of the command, and what each step took."""
    command = [BIN / "devicepipe", "release", VERSION, "--json", "--replace"]
    if bundle is not None:
        command = [Path(sys.executable), Path(__file__), "--without", bundle]
    start, worked = time.perf_counter(), processor()
    done = subprocess.run(list(map(str, command)), cwd=product, capture_output=True, text=True, check=False)
    seconds, worked = time.perf_counter() - start, processor() - worked
    if done.returncode not in (0, 1):
        sys.exit(f"devicepipe release: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds, worked, {name: step["seconds"] for name, step in json.loads(done.stdout)["steps"].items()}


def processor() -> float:
    """Seconds of a processor that all processes took which this one has waited for, and those that they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def keep_only(product: Path, pattern: str) -> None:
    """Commit a product with fewer device tests."""
    for file in {*product.glob("hil/test_*.py")} - {*product.glob(f"hil/{pattern}")}:
        file.unlink()
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run(["git", *identity, "commit", "-qam", "fewer tests"], cwd=product, check=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="interleaved pairs (default 1)")
    parser.add_argument("--tests", metavar="GLOB", help="keep only these files of device tests, to try this script out")
    parser.add_argument("--without", type=Path, metavar="BUNDLE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.without:
        release_without(arguments.without)
    ratios: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-evidence-") as name:
        product, kept = Path(name) / "product", Path(name) / "earlier"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(product)], check=True)
        shutil.copytree(ROOT / ".devicepipe/cache", product / ".devicepipe/cache")
        if arguments.tests:
            keep_only(product, arguments.tests)
        for number in range(arguments.runs):
            whole, worked, steps = release(product, None)
            if not kept.exists():
                (bundle,) = (product / "dist").iterdir()
                shutil.copytree(bundle, kept)
            bare, bare_worked, bare_steps = release(product, kept)
            ratios.append(whole / bare)
            print(
                f"pair {number + 1}: {whole:.1f} s ({worked:.1f} s of a processor), without analysis {bare:.1f} s "
                f"({bare_worked:.1f} s), ratio {ratios[-1]:.2f}"
            )
        print("steps of the last pair (they overlap), with and without:")
        for step, seconds in steps.items():
            print(f"    {step:24} {seconds:7.2f} s {bare_steps[step]:7.2f} s")
    value = statistics.median(ratios)
    print(json.dumps({"measure": "release with all analysis / without", "value": round(value, 2), "unit": "ratio", "target": TARGET,
                      "ok": value <= TARGET}))  # fmt: skip
    return 0 if value <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
