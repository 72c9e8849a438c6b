"""`devicepipe analyse`: static analysis of the working tree, and what of it is new since the baseline."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import boards_option, json_option, open_project, print_json, project_option, tell
from devicepipe.cli.progress import make_progress
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.findings import Finding, StaticAnalysis
    from devicepipe.project.config import Project

_STYLE = {"error": "red", "warning": "yellow", "note": "white"}


@click.command()
@boards_option
@click.option(
    "--new", "only_new", is_flag=True, help="Show and judge only findings that are not in the baseline: for merges."
)
@click.option(
    "--write-baseline", "write", is_flag=True, help="Write all findings into the baseline; keeps what was decided."
)
@project_option
@json_option
def analyse(boards: tuple[str, ...], only_new: bool, write: bool, folder: Path, as_json: bool) -> int:
    """Build the working tree, analyse its own sources and the linked programs, and show the findings.

    What is known by the baseline ([analysis] baseline) or covered by a deviation is no news. Outputs lie in .devicepipe/dev.

    Exit codes: 0 fine; 1 a check of a program failed, a tool was off, or there is a new finding (--new) or an error that
    is not settled (without it).
    """
    from devicepipe.evidence.findings import StaticAnalysis
    from devicepipe.pipeline.development import develop
    from devicepipe.project.config import CONFIG_NAME

    project = open_project(folder)
    if write and project.analysis.baseline is None:
        raise UsageError(
            "names no baseline",
            file=project.root / CONFIG_NAME,
            key="analysis.baseline",
            remedy='name the file that is to be written in [analysis]: baseline = "firmware/analysis-baseline.toml"',
        )
    if write and boards:
        raise UsageError("a baseline is written of all boards", remedy="leave out --board")
    if write:
        path = project.root / str(project.analysis.baseline)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    made = develop(
        project, "analyse", boards=boards, progress=make_progress(quiet=as_json), cancel=threading.Event()
    )  # fmt: skip
    results = [made.bundle.predicate(StaticAnalysis, board) for board in made.boards]
    places = _merged(results)
    shown = {one: on for one, on in places.items() if not only_new or _is_new(one)}
    troubles = [trouble for result in results for trouble in _troubles(result)]
    if write:
        _write(project, list(places))
    if as_json:
        print_json({"findings": [one.to_json() | {"boards": on} for one, on in shown.items()], "troubles": troubles})
    else:
        _tell(shown, troubles, only_new=only_new)
    stopping = shown if only_new else [one for one in shown if one.level == "error" and not _settled(one)]
    return EXIT_PRODUCT_FAILED if troubles or (stopping and not write) else EXIT_OK


def _merged(results: list[StaticAnalysis]) -> dict[Finding, list[str]]:
    """Each finding once, with the boards that have it."""
    places: dict[Finding, list[str]] = {}
    for result in results:
        for one in result.findings:
            places.setdefault(one, []).append(result.board)
    return dict(sorted(places.items(), key=lambda item: (item[0].file, item[0].line, item[0].rule)))


def _is_new(finding: Finding) -> bool:
    return finding.disposition is None and not finding.deviated


def _settled(finding: Finding) -> bool:
    return finding.deviated or finding.disposition in ("false-positive", "accepted")


def _troubles(result: StaticAnalysis) -> list[str]:
    """What makes the findings say less than they should, and checks of the programs that do not hold."""
    ran = {tool.name for tool in result.tools}
    off = [f"{name} did not report its must-fail sample" for name in ran if name not in result.proven_on]
    off += [
        f"{name} did not run: {(result.absent or {}).get(name, 'no reason is known')}"
        for name in result.wanted or []
        if name not in ran
    ]
    failed = [f"{check.name}: {check.message}" for check in result.checks if not check.passed]
    return [f"{result.board}: {trouble}" for trouble in sorted(off) + failed]


def _write(project: Project, findings: list[Finding]) -> None:
    from devicepipe.analysis.baseline import lines_of, load_baseline, write_baseline

    path = project.root / str(project.analysis.baseline)
    lines = {file: lines_of(project.root / file) for file in {one.file for one in findings}}
    new = write_baseline(path, findings, load_baseline(path), lines)
    tell(f"{path}: {new} new findings are written as unreviewed", err=True)


def _tell(shown: dict[Finding, list[str]], troubles: list[str], *, only_new: bool) -> None:
    for one, on in shown.items():
        state = "deviated" if one.deviated else one.disposition or "new"
        tell(
            f"{one.file}:{one.line}: {one.level}: {one.message} [{one.tool} {one.rule}] ({state}; {', '.join(on)})",
            fg=_STYLE[one.level],
        )
    for trouble in troubles:
        tell(trouble, fg="red")
    tell(f"{len(shown)} {'new ' if only_new else ''}findings", bold=True)
