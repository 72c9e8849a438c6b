"""Seeded defects: each known-bad variant of the firmware must be caught, by a device test or a campaign.

    .venv/bin/python tools/defects.py [--board microbit] [--parallel 2] [--all-tests] [defect ...]

firmware/defects/<name>.patch is one defect. Text before the patch says what it is:

    Defect:      one sentence
    Caught-by:   SRS-022            the requirement (or several, by comma) one of whose tests must fail
    Boards:      all                or the boards on which it shows
    Campaign:    powercut 200       optional: the fault-injection campaign that must catch it, and its points

For each one the working tree is copied, the flag custom_defect set in the copy's platformio.ini (firmware/platforms/defect.py
applies the patch when it builds), and the ordinary `devicepipe test --board …` run there: the tests that verify what the defect
breaks, or all of them. Where a campaign is named, `devicepipe campaign … --points …` is run instead. The product without a defect
comes first, with the same tests and campaigns, and must pass: what fails anyway catches nothing.

Caught is a defect only by a test with the verdict `failed` that verifies a requirement which its header names, or by a point of
its campaign at which a promise was broken. Errors of the bench do not count, nor does a campaign that cannot begin.

Exit code 0: all caught; 1: one survived, does not build or its patch does not apply; 3: the baseline does not pass, or the bench
failed. Results: build/defects/results.json, and one line of JSON as the last line of output.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DEFECTS = ROOT / "firmware" / "defects"
BOARDS = sorted(path.stem for path in (ROOT / "boards").glob("*.json"))
RUN_TIMEOUT = 1800.0
FLAG = "custom_defect ="
SHOWN = 8  # catchers of a defect in the table; results.json has all
LEFT_OUT = ("test_one_hour_of_infusion",)  # an hour of device time, whose requirements have quicker tests too

_HEADER = re.compile(r"^(?P<key>Defect|Caught-by|Boards|Campaign):\s+(?P<value>.+)$", re.MULTILINE)
_CAMPAIGN = re.compile(r"(powercut|bitflip|fuzz) [1-9][0-9]*")


class CannotRunError(Exception):
    """Nothing can be said of the defects."""


@dataclass(frozen=True)
class Defect:
    """A known-bad variant.

    Attributes:
        name: Its patch's name.
        what: What is wrong, in a sentence.
        caught_by: The requirements that must catch it.
        boards: The boards on which it shows; empty for all.
        campaign: Kind and points of the campaign that must catch it, e.g. "powercut 200"; empty: device tests must.
    """

    name: str
    what: str
    caught_by: tuple[str, ...]
    boards: tuple[str, ...]
    campaign: str = ""

    def command(self, *, everything: bool) -> list[str]:
        """What devicepipe is asked to run; everything: all device tests, not only those that verify what it breaks."""
        if self.campaign:
            kind, points = self.campaign.split()
            return ["campaign", kind, "--points", points]
        return ["test"] if everything else ["test", "-k", pick(self.caught_by)]


@dataclass(frozen=True)
class Outcome:
    """What the device tests, or the campaign, said of a variant.

    Attributes:
        defect: Its name; empty for the product as it is.
        board: Where it ran.
        seconds: How long build and tests took.
        failed: Per test that failed, the requirements it verifies; per point of a campaign, those that it is to catch.
        errors: Tests without a verdict about the product.
        cases: How many tests or points there were.
        problem: Why there is no outcome; empty if there is one.
    """

    defect: str
    board: str
    seconds: float
    failed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    cases: int = 0
    problem: str = ""

    def catchers(self, defect: Defect) -> list[str]:
        """The tests that failed and verify what the defect breaks, or the campaign's points at which that showed."""
        return [test for test, verified in self.failed.items() if set(verified) & set(defect.caught_by)]


def main() -> int:
    """Copy, run, judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--board",
        default="microbit",
        choices=BOARDS,
        help="where a defect that shows on all boards is run (default: microbit)",
    )
    parser.add_argument("--parallel", type=int, default=2, help="runs at once (default: 2)")
    parser.add_argument("--all-tests", action="store_true", help="not only those that verify what the defect breaks")
    parser.add_argument("defects", nargs="*", help="names (default: all)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that what runs is ended first
    try:
        return run(arguments.defects, arguments.board, arguments.parallel, everything=arguments.all_tests)
    except CannotRunError as error:
        print(f"defects: {error}", file=sys.stderr)
        return 3


_running: set[subprocess.Popen[str]] = set()


def run(names: list[str], board: str, parallel: int, *, everything: bool) -> int:
    """Everything; returns the exit code."""
    started = time.monotonic()
    defects = read_defects(names)
    folder = ROOT / "build" / "defects"
    shutil.rmtree(folder, ignore_errors=True)
    copies: queue.Queue[Path] = queue.Queue()
    for number in range(max(1, min(parallel, len(defects)))):
        copies.put(copy_product(folder / f"copy{number}"))

    places = {one.name: board if not one.boards or board in one.boards else one.boards[0] for one in defects}
    for place, campaign in sorted({(places[one.name], one.campaign) for one in defects}):
        these = [one for one in defects if (places[one.name], one.campaign) == (place, campaign)]
        wanted = sorted({requirement for one in these for requirement in one.caught_by})
        outcome = measure(copies, Defect("", "", tuple(wanted), (), campaign), place, everything=everything)
        if outcome.problem or outcome.failed or outcome.errors or not outcome.cases:
            bad = outcome.problem or ", ".join([*outcome.failed, *outcome.errors]) or "there are no tests"
            raise CannotRunError(f"the product without a defect does not pass on {place}: {bad}")
        passed = f"{campaign} points held" if campaign else f"{outcome.cases} tests passed"
        print(f"without a defect, {place}: {passed} in {outcome.seconds:.0f} s", flush=True)

    def one(defect: Defect) -> Outcome:
        outcome = measure(copies, defect, places[defect.name], everything=everything)
        verdict = "caught" if outcome.catchers(defect) else outcome.problem or "NOT CAUGHT"
        print(f"{defect.name}: {verdict} ({outcome.seconds:.0f} s)", flush=True)
        return outcome

    with ThreadPoolExecutor(max_workers=copies.qsize()) as pool:
        try:
            outcomes = list(pool.map(one, defects))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(_running):
                os.killpg(process.pid, signal.SIGTERM)
            raise
    return finish(folder, defects, outcomes, time.monotonic() - started)


def finish(folder: Path, defects: list[Defect], outcomes: list[Outcome], seconds: float) -> int:
    """Print the table and write the results; returns the exit code."""
    print(f"\n{'defect':34} {'requirement':16} {'board':12} {'s':>4}  caught by")
    for defect, outcome in zip(defects, outcomes, strict=True):
        caught = outcome.catchers(defect)
        others = [test for test in outcome.failed if test not in caught]
        more = [f"and {len(caught) - SHOWN} more"] if len(caught) > SHOWN else []
        lines = [*caught[:SHOWN], *more] or [f"NOT CAUGHT {outcome.problem}".rstrip()]
        lines += [f"({test}: {', '.join(outcome.failed[test]) or 'verifies nothing'})" for test in others]
        lines += [f"(error: {test})" for test in outcome.errors]
        head = f"{defect.name:34} {','.join(defect.caught_by):16} {outcome.board:12} {outcome.seconds:4.0f}"
        for number, line in enumerate(lines):
            print(f"{head if number == 0 else '':{len(head)}}  {line}")
    survivors = [defect.name for defect, outcome in zip(defects, outcomes, strict=True) if not outcome.catchers(defect)]
    summary: dict[str, Any] = {
        "defects": len(defects),
        "caught": len(defects) - len(survivors),
        "survived": survivors,
        "seconds": round(seconds),
        "passed": not survivors,
    }
    table = [asdict(defect) | asdict(outcome) for defect, outcome in zip(defects, outcomes, strict=True)]
    (folder / "results.json").write_text(json.dumps(summary | {"table": table}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary))
    return 1 if survivors else 0


def read_defects(names: list[str]) -> list[Defect]:
    """The defects of those names, or all; each with a whole header."""
    known = {path.stem: path for path in sorted(DEFECTS.glob("*.patch"))}
    if unknown := [name for name in names if name not in known]:
        raise CannotRunError(f"no such defect: {', '.join(unknown)}; known: {', '.join(known)}")
    defects = []
    for name in names or known:
        text, mark, _ = known[name].read_text(encoding="utf-8").partition("\n--- ")
        fields = {found["key"]: found["value"].strip() for found in _HEADER.finditer(text)}
        campaign = fields.pop("Campaign", "")
        if not mark or set(fields) != {"Defect", "Caught-by", "Boards"}:
            raise CannotRunError(f"{known[name].name}: expected Defect:, Caught-by:, Boards: and then a patch")
        if campaign and not _CAMPAIGN.fullmatch(campaign):
            raise CannotRunError(f"{known[name].name}: expected Campaign: and a kind and its points, e.g. powercut 200")
        boards = () if fields["Boards"] == "all" else tuple(re.split(r",\s*", fields["Boards"]))
        defects.append(Defect(name, fields["Defect"], tuple(re.split(r",\s*", fields["Caught-by"])), boards, campaign))
    return defects


# --- running one variant --------------------------------------------------------------------------------------------


def copy_product(target: Path) -> Path:
    """The working tree as a repository of its own, with the keys and the cache of this one."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    for name in ("keys", "cache"):
        if (ROOT / ".devicepipe" / name).is_dir():
            shutil.copytree(ROOT / ".devicepipe" / name, target / ".devicepipe" / name)
    identity = ["-c", "user.name=defects", "-c", "user.email=defects@localhost", "-c", "commit.gpgsign=false"]
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        [*identity, "commit", "-q", "--no-verify", "-m", "The working tree"],
    ):
        subprocess.run(["git", *command], cwd=target, check=True, capture_output=True)
    return target


def set_flag(copy: Path, name: str) -> None:
    """Make the copy build that defect; the product as it is for an empty name."""
    configuration = copy / "firmware" / "platformio.ini"
    text, count = re.subn(
        rf"^{FLAG}.*$", f"{FLAG} {name}".rstrip(), configuration.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    if count != 1:
        raise CannotRunError(f"{configuration.name}: expected one line `{FLAG} …`, found {count}")
    configuration.write_text(text, encoding="utf-8")


def measure(copies: queue.Queue[Path], defect: Defect, board: str, *, everything: bool) -> Outcome:
    """Build a variant and run the device tests on it, or its campaign, in the next copy that is free."""
    copy = copies.get()
    started = time.monotonic()
    log = copy.parent / f"{defect.name or '-'.join(['baseline', board, *defect.campaign.split()])}.log"
    try:
        set_flag(copy, defect.name)
        command = [
            sys.executable,
            "-m",
            "devicepipe",
            *defect.command(everything=everything),
            "--board",
            board,
            "--json",
        ]
        with log.open("w", encoding="utf-8") as errors:
            code, output = call(command, copy, errors)
    finally:
        copies.put(copy)
    seconds = time.monotonic() - started
    try:
        (result,) = json.loads(output)
    except ValueError:
        said = " ".join((log.read_text(encoding="utf-8").strip() or output).split()[:60])
        return Outcome(defect.name, board, seconds, problem=f"no result (exit code {code}): {said}")
    log.with_suffix(".json").write_text(output, encoding="utf-8")
    return judge(defect, board, seconds, result)


def judge(defect: Defect, board: str, seconds: float, result: dict[str, Any]) -> Outcome:
    """The outcome in the JSON of one board's device tests or campaign."""
    if defect.campaign:
        points = {f"{result['kind']} {failure['point']}": defect.caught_by for failure in result["failures"]}
        return Outcome(defect.name, board, seconds, points, (), result["points"])
    failed = {case["id"]: tuple(case["verifies"]) for case in result["cases"] if case["verdict"] == "failed"}
    errors = tuple(case["id"] for case in result["cases"] if case["verdict"] not in ("failed", "passed"))
    return Outcome(defect.name, board, seconds, failed, errors, len(result["cases"]))


def call(command: list[str], folder: Path, errors: Any) -> tuple[int | None, str]:
    """Run devicepipe in a process group of its own, so that nothing outlives it; its exit code and standard output."""
    environment = os.environ | {"PYTHONPATH": str(folder)}  # the copy's devicepipe, whatever happens here meanwhile
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
    )
    _running.add(process)
    try:
        output, _ = process.communicate(timeout=RUN_TIMEOUT)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        return None, ""
    finally:
        _running.discard(process)
    return process.returncode, output


def pick(requirements: Sequence[str]) -> str:
    """The pytest expression of the tests that verify a requirement, read off their marks."""
    names = set()
    for file in sorted((ROOT / "hil").glob("test_*.py")):
        for function in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(function, ast.FunctionDef):
                marks = "\n".join(ast.unparse(mark) for mark in function.decorator_list)
                verifies = any(f"'{requirement}'" in marks for requirement in requirements)
                if verifies and function.name not in LEFT_OUT:
                    names.add(function.name)
    if not names:
        raise CannotRunError(f"no test verifies {', '.join(requirements)}")
    return " or ".join(sorted(names))


if __name__ == "__main__":
    sys.exit(main())
