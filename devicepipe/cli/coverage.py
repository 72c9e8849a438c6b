"""`devicepipe coverage`: what the device tests of a bundle executed of the programs that ship."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import json_option, open_bundle, print_json, tell
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.coverage import CoverageResult, FunctionShare, MergedCoverage, Share

_LEAST = 10


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--function", "function", help="The requirements whose tests executed this function.")
@click.option("--requirement", "requirement", help="The functions that the tests of this requirement executed.")
@json_option
def coverage(bundle: Path, function: str | None, requirement: str | None, as_json: bool) -> int:
    """Show what the device tests executed, as the bundle in the folder BUNDLE has it; `verify` tells whether it is intact.

    BUNDLE is a release, or .devicepipe/dev after `devicepipe test --coverage`. FUNCTION is a name, or "file:name".
    Exit codes: 0 shown, 2 the bundle has no coverage, or not that function or requirement.
    """
    from devicepipe.evidence.coverage import COVERAGE, MERGED_COVERAGE, CoverageResult, MergedCoverage

    if function is not None and requirement is not None:
        raise UsageError("--function and --requirement ask for two things", remedy="give one of them")
    source = open_bundle(bundle)
    results = [made.read(CoverageResult) for made in source.statements(COVERAGE)]
    merged = next((made.read(MergedCoverage) for made in source.statements(MERGED_COVERAGE)), None)
    if not results:
        remedy = "set release = true in [coverage] of devicepipe.toml, or run `devicepipe test --coverage`"
        raise UsageError("holds no coverage", file=bundle, remedy=remedy)
    if function is not None:
        document = _function(results, function)
    elif requirement is not None:
        document = _requirement(results, requirement)
    else:
        document = {"boards": [result.to_json() for result in results], "merged": merged.to_json() if merged else None}
    if as_json:
        print_json(document)
    elif function is not None:
        _tell_function(document)
    elif requirement is not None:
        _tell_requirement(document)
    else:
        _tell(results, merged)
    return EXIT_OK


def _function(results: list[CoverageResult], name: str) -> dict[str, Any]:
    known: dict[str, None] = {}
    found = []
    for result in results:
        for place, one in enumerate(result.functions):
            known |= {one.function: None, one.name: None}
            if name in (one.function, one.name):
                items = [item for item, places in result.requirements.items() if place in places]
                found.append({"board": result.board, **one.to_json(), "requirements": items})
    if not found:
        raise _unknown(f"no program has a function '{name}'", name, known)
    return {"function": name, "found": found}


def _requirement(results: list[CoverageResult], name: str) -> dict[str, Any]:
    known = dict.fromkeys(item for result in results for item in result.requirements)
    if name not in known:
        raise _unknown(f"no test verifies '{name}'", name, known)

    def listed(result: CoverageResult) -> list[FunctionShare]:
        return [result.functions[place] for place in result.requirements.get(name, [])]

    boards = [{"board": result.board, "functions": [one.name for one in listed(result)]} for result in results]
    return {"requirement": name, "boards": boards}


def _unknown(message: str, name: str, known: dict[str, None]) -> UsageError:
    near = difflib.get_close_matches(name, known, 5)
    return UsageError(
        message, remedy=f"is it {' or '.join(near)}?" if near else "`devicepipe coverage BUNDLE --json` has all"
    )


def _tell(results: list[CoverageResult], merged: MergedCoverage | None) -> None:
    from devicepipe.evidence.coverage import METRICS

    for result in results:
        figures = ", ".join(f"{metric} {result.total.share(metric).percent}" for metric in METRICS)
        tell(f"{result.board:16} {figures}  ({result.tests} tests)", bold=True)
        for metric in result.short:
            tell(f"  {metric}: {result.minimum.percent(metric)} % are wanted", fg="red")
    files = [file for result in results for file in result.files if file.file and file.lines.executed < file.lines.all]
    least: dict[str, Share] = {}
    for file in files:
        if (
            file.file not in least
            or file.lines.executed * least[file.file].all < least[file.file].executed * file.lines.all
        ):
            least[file.file] = file.lines
    if least:
        tell("lines, least executed files (on the board where it is least):")
    for name, share in sorted(least.items(), key=lambda item: (item[1].executed / item[1].all, item[0]))[:_LEAST]:
        tell(f"  {share.percent:>7}  {name}")
    _tell_never(results, merged)


def _tell_never(results: list[CoverageResult], merged: MergedCoverage | None) -> None:
    if merged is None:
        never = {one.name: None for result in results for one in result.functions if not one.hits}
        tell(f"{len(never)} functions never executed")
        for name in never:
            tell(f"  {name}")
        return
    tell(f"{len(merged.never_executed)} functions never executed")
    for one in merged.never_executed:
        bad = merged.reasons and not one.reason
        tell(f"  {one.file}:{one.line} {one.function}  on {', '.join(one.boards)}", fg="red" if bad else None)
        if one.reason or bad:
            tell(f"    {one.reason or 'NO REASON'}", dim=not bad)
    for sentence in merged.stale:
        tell(f"a reason that does not hold: {sentence}", fg="red")


def _tell_function(document: dict[str, Any]) -> None:
    for one in document["found"]:
        share = one["instructions"]
        tell(f"{one['board']}: {one['file']}:{one['line']} {one['function']}", bold=True)
        tell(
            f"  {share['executed']} of {share['all']} instructions, {one['hits']} hits",
            fg=None if one["hits"] else "red",
        )
        tell(f"  for {', '.join(one['requirements']) or 'no requirement'}")


def _tell_requirement(document: dict[str, Any]) -> None:
    for board in document["boards"]:
        tell(
            f"{board['board']}: {len(board['functions'])} functions executed by the tests of {document['requirement']}",
            bold=True,
        )
        files: dict[str, list[str]] = {}
        for name in board["functions"]:
            file, _, function = name.rpartition(":")
            files.setdefault(file, []).append(function)
        for file, functions in files.items():
            tell(f"  {file}: {', '.join(functions)}")
