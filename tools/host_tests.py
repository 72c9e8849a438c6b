"""Unit tests of the firmware's portable code on this computer, and the gate on their branch coverage.

    .venv/bin/python tools/host_tests.py [--project firmware] [module ...]

Builds the PlatformIO environments host_tests (AddressSanitizer, UndefinedBehaviorSanitizer) and host_coverage (gcov), runs every
test module in both, and demands of each source file named in tests/coverage.toml that every line and every branch was taken.

What always holds: a test module that crashes, skips, runs no test or does not end in time is a failure. A file that the gate
names but that was not compiled is a failure, as is a pattern that names none. An exclusion is one line's
`LCOV_EXCL_BR_LINE: <reason>` or `LCOV_EXCL_LINE: <reason>` in a comment; without a reason, of another kind, or where nothing was
left untaken, it is a failure itself. gcovr only reads gcov's figures: it applies no exclusion of its own.

Named modules run alone, without the gate. Exit code 0: everything holds; 1: it does not; 3: it cannot be run here.
Results: .pio/host-tests/results.json and coverage.html in the project, and one line of JSON as the last line of output.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SANITIZERS, COVERAGE = "host_tests", "host_coverage"
BUILD_TIMEOUT = 900.0
MODULE_TIMEOUT = 900.0
GCOVR_TIMEOUT = 300.0
SHORTEST_REASON = 20  # characters: "see above" justifies nothing

_EXCLUSION = re.compile(r"(?:LCOV|GCOVR?)_EXCL_\w+")
_REASONED = re.compile(r"LCOV_EXCL_(?P<kind>BR_LINE|LINE): (?P<reason>.+?)\s*(?:\*/|$)")
_CASE = re.compile(r"^\[ +(?P<verdict>RUN|OK|FAILED|ERROR|SKIPPED) +\] (?P<name>\w+)", re.MULTILINE)


class CannotRunError(Exception):
    """The world is not as it must be: nothing is said about the code."""


@dataclass(frozen=True)
class ModuleRun:
    """One run of one test module.

    Attributes:
        module: Its name in tests/main.c.
        environment: The build it ran in.
        passed: Names of the tests that passed.
        problem: Why the run counts as failed; empty if it does not.
        output: What it printed.
    """

    module: str
    environment: str
    passed: tuple[str, ...]
    problem: str
    output: str


@dataclass
class FileCoverage:
    """What was taken of one source file.

    Attributes:
        file: Relative to the project.
        area: What the gate names it for; empty if it does not.
        lines: Executable lines.
        lines_taken: Those of them that ran.
        branches: Branches.
        branches_taken: Those of them that were taken.
        excluded: Reasons by line number of what was excluded.
        problems: What keeps the file from passing the gate.
    """

    file: str
    area: str = ""
    lines: int = 0
    lines_taken: int = 0
    branches: int = 0
    branches_taken: int = 0
    excluded: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def main() -> int:
    """Build, run, judge, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--project", type=Path, default=ROOT / "firmware", help="PlatformIO project (default: firmware)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers and test modules at once")
    parser.add_argument("modules", nargs="*", help="test modules to run alone, without the gate")
    arguments = parser.parse_args()
    project = arguments.project.resolve()
    try:
        return run(project, arguments.modules, arguments.jobs)
    except CannotRunError as error:
        print(f"host-tests: {error}", file=sys.stderr)
        return 3


def run(project: Path, modules: list[str], jobs: int) -> int:
    """Everything, for one project; returns the exit code."""
    results = project / ".pio" / "host-tests"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    environments = [SANITIZERS] if modules else [SANITIZERS, COVERAGE]
    problem = build(project, environments, jobs, results / "build.log")
    if problem:
        print(problem)
        return finish(results, [], [], [problem])
    runs = run_modules(project, environments, modules, jobs)
    problems = [f"{one.module} ({one.environment}): {one.problem}" for one in runs if one.problem]
    for one in runs:
        if one.problem:
            print(f"--- {one.module} in {one.environment}: {one.problem}\n{one.output.rstrip()}\n---")
    files: list[FileCoverage] = []
    if not modules:
        files, wrong = gate(project, measure(project, results))
        problems += wrong
        problems += [f"{one.file}: {text}" for one in files for text in one.problems]
        print_table(files)
    for text in problems:
        print(f"not as it must be: {text}")
    return finish(results, runs, files, problems)


def finish(results: Path, runs: list[ModuleRun], files: list[FileCoverage], problems: list[str]) -> int:
    """Write the results and their last line; returns the exit code."""
    gated = [one for one in files if one.area]
    summary: dict[str, Any] = {
        "modules": len({one.module for one in runs}),
        "tests": sum(len(one.passed) for one in runs if one.environment == SANITIZERS),
        "gated_files": len(gated),
        "branches": sum(one.branches for one in gated),
        "branches_taken": sum(one.branches_taken for one in gated),
        "exclusions": sum(len(one.excluded) for one in gated),
        "problems": len(problems),
        "passed": not problems,
    }
    details = {"runs": [asdict(one) for one in runs], "files": [asdict(one) for one in files], "problems": problems}
    (results / "results.json").write_text(json.dumps(summary | details, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary))
    return 0 if summary["passed"] else 1


# --- building and running -------------------------------------------------------------------------------------------


def build(project: Path, environments: list[str], jobs: int, log: Path) -> str:
    """Build with PlatformIO; what the compiler complains of, or nothing."""
    if not (project / "platformio.ini").is_file():
        raise CannotRunError(f"{project} is no PlatformIO project")
    dropped = re.compile(
        r"PLATFORMIO_.*|DEVICEPIPE_.*|GIT_.*|CPATH|C_INCLUDE_PATH|LIBRARY_PATH|CFLAGS|LDFLAGS|GCC_.*|GCOV_.*"
    )
    environment = {key: value for key, value in os.environ.items() if not dropped.fullmatch(key)} | {
        "PLATFORMIO_CORE_DIR": str(project / ".pio" / "core"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_NO_ANSI": "true",
        "LC_ALL": "C.UTF-8",
    }
    command = [sys.executable, "-P", "-m", "platformio", "run", "--project-dir", str(project), "--jobs", str(jobs)]
    for name in environments:
        command += ["--environment", name]
    code, output = call(command, project, BUILD_TIMEOUT, environment)
    log.write_text(output, encoding="utf-8")
    if code == 0:
        return ""
    if "cannot find -lcmocka" in output or "cmocka.h: No such file" in output:
        raise CannotRunError("cmocka is not installed (Debian: libcmocka-dev)")
    found = re.findall(
        r"^.*(?:error:|undefined reference|multiple definition|Error:).*$", output, re.MULTILINE | re.IGNORECASE
    )
    return "does not build: " + "\n".join(found[:20] or output.splitlines()[-20:])


def run_modules(project: Path, environments: list[str], modules: list[str], jobs: int) -> list[ModuleRun]:
    """Run the modules, each in a process of its own."""
    programs = {name: project / ".pio" / "build" / name / "host_tests" for name in environments}
    for stale in (project / ".pio" / "build" / COVERAGE).rglob("*.gcda"):
        stale.unlink()
    code, listed = call([str(programs[SANITIZERS]), "--list"], project, MODULE_TIMEOUT)
    known = listed.split()
    if code != 0 or not known:
        raise CannotRunError(f"the test program does not list its modules: {listed.strip()}")
    if unknown := sorted(set(modules) - set(known)):
        raise CannotRunError(f"no such test module: {', '.join(unknown)}; known: {', '.join(known)}")
    # The slow build first, so that the last worker is not left alone with it.
    wanted = [(name, module) for name in environments for module in (modules or known)]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(lambda pair: run_module(programs[pair[0]], *pair), wanted))


def run_module(program: Path, environment: str, module: str) -> ModuleRun:
    """Run one module and judge the run by its exit code and by what it says of each test."""
    settings = os.environ | {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    code, output = call([str(program), module], program.parent, MODULE_TIMEOUT, settings)
    cases: dict[str, list[str]] = {}
    for case in _CASE.finditer(output):
        cases.setdefault(case["name"], []).append(case["verdict"])
    passed = tuple(name for name, verdicts in cases.items() if verdicts.count("RUN") == verdicts.count("OK") > 0)
    others = [name for name in cases if name not in passed]
    problem = ""
    if code is None:
        problem = f"was not done within {MODULE_TIMEOUT:.0f} s"
    elif report := re.search(r"runtime error: .*|ERROR: \w+Sanitizer: .*|^flash: .*", output, re.MULTILINE):
        problem = report[0]
    elif others:
        problem = "did not pass: " + ", ".join(others)
    elif code != 0:
        problem = f"exit code {code}"
    elif not passed:
        problem = "ran no test"
    return ModuleRun(module, environment, passed, problem, output)


def call(
    command: list[str], folder: Path, timeout: float, environment: dict[str, str] | None = None
) -> tuple[int | None, str]:
    """Run a program: its exit code (None if it was not done in time) and its output."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return None, (late.output or b"").decode(errors="replace") if isinstance(late.output, bytes) else str(
            late.output or ""
        )
    except OSError as error:
        raise CannotRunError(f"{command[0]} does not run: {error}") from error
    return done.returncode, done.stdout


# --- coverage -------------------------------------------------------------------------------------------------------


def measure(project: Path, results: Path) -> dict[str, list[dict[str, Any]]]:
    """Read gcov's figures: per source file, relative to the project, its lines."""
    if shutil.which("gcov") is None:
        raise CannotRunError("gcov is not on PATH: it comes with gcc")
    data = results / "gcovr.json"
    base = [sys.executable, "-m", "gcovr", "--root", str(project), "--no-markers"]
    commands = [
        [*base, "--filter", "src/", "--json", str(data), str(project / ".pio" / "build" / COVERAGE)],
        [*base, "--add-tracefile", str(data), "--html-details", str(results / "coverage.html")],
    ]
    for command in commands:
        code, output = call(command, project, GCOVR_TIMEOUT)
        if code != 0:
            raise CannotRunError(f"gcovr failed: {output.strip()}")
    content = json.loads(data.read_text(encoding="utf-8"))
    return {one["file"]: one["lines"] for one in content["files"]}


def gate(project: Path, measured: dict[str, list[dict[str, Any]]]) -> tuple[list[FileCoverage], list[str]]:
    """Every measured file judged, and what is wrong with the gate's own list."""
    configuration = project / "tests" / "coverage.toml"
    if not configuration.is_file():
        raise CannotRunError(f"{configuration} does not exist: it names the files that the gate is for")
    areas: dict[str, str] = {}
    wrong: list[str] = []
    for module in tomllib.loads(configuration.read_text(encoding="utf-8"))["module"]:
        for pattern in module["files"]:
            found = sorted(path.relative_to(project).as_posix() for path in project.glob(pattern))
            if not found:
                wrong.append(f"{configuration.name}: {pattern} names no file")
            areas = dict.fromkeys(found, module["area"]) | areas
    files = [judge(project, file, areas.get(file, ""), lines) for file, lines in sorted(measured.items())]
    wrong += [f"{file}: named by the gate, but not compiled" for file in sorted(set(areas) - set(measured))]
    return files, wrong


def judge(project: Path, file: str, area: str, lines: list[dict[str, Any]]) -> FileCoverage:
    """Count what was taken, and find what was not and is not excluded."""
    found = FileCoverage(file, area)
    untaken: dict[int, int] = {}
    unrun: set[int] = set()
    for line in lines:
        number, branches = line["line_number"], [branch["count"] for branch in line.get("branches", [])]
        found.lines += 1
        found.lines_taken += line["count"] > 0
        found.branches += len(branches)
        found.branches_taken += sum(count > 0 for count in branches)
        if branches.count(0):
            untaken[number] = branches.count(0)
        if line["count"] == 0:
            unrun.add(number)
    for number, whole, reason in exclusions(project / file, found.problems):
        if number not in untaken and not (whole and number in unrun):
            found.problems.append(f"line {number}: an exclusion where nothing was left untaken")
        found.branches -= untaken.pop(number, 0)
        if whole and number in unrun:
            unrun.remove(number)
            found.lines -= 1
        found.excluded[number] = reason
    if area and unrun:
        found.problems.append("never ran: line " + ", ".join(map(str, sorted(unrun))))
    if area and untaken:
        listed = ", ".join(f"{number} ({count})" for number, count in sorted(untaken.items()))
        found.problems.append(f"branches never taken: line {listed}")
    if area and found.lines == 0:
        found.problems.append("nothing in it was measured")
    return found


def exclusions(file: Path, problems: list[str]) -> Iterator[tuple[int, bool, str]]:
    """A file's exclusions: line, whether the whole line is meant, reason. Malformed ones are added to the problems."""
    for number, source in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not _EXCLUSION.search(source):
            continue
        reasoned = _REASONED.search(source)
        if reasoned is None or len(reasoned["reason"]) < SHORTEST_REASON:
            form = "`LCOV_EXCL_BR_LINE: <reason>` or `LCOV_EXCL_LINE: <reason>`"
            problems.append(f"line {number}: an exclusion must be {form}, the reason in a sentence")
        else:
            yield number, reasoned["kind"] == "LINE", reasoned["reason"]


def print_table(files: list[FileCoverage]) -> None:
    """One line a file, the gated areas first."""
    print(f"{'area':16} {'file':48} {'lines':>11} {'branches':>11} {'branch %':>8}  excluded")
    for one in sorted(files, key=lambda one: (not one.area, one.area, one.file)):
        percent = 100.0 * one.branches_taken / one.branches if one.branches else 100.0
        lines, branches = f"{one.lines_taken}/{one.lines}", f"{one.branches_taken}/{one.branches}"
        print(
            f"{one.area or '-':16} {one.file:48} {lines:>11} {branches:>11} {percent:>8.1f}  {len(one.excluded) or ''}"
        )


if __name__ == "__main__":
    sys.exit(main())
