"""`devicepipe trace impact` and `baseline`: what a change touches and has to be run again, between two states of the product."""

from __future__ import annotations

import csv
import gc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.project.config import Project
    from devicepipe.traceability.impact import Impact

_FILE = click.Path(dir_okay=False, path_type=Path)
_SHOWN = 60


@click.command()
@click.argument("states", nargs=-1, required=True, metavar="A..B")
@click.option("--csv", "csv_file", type=_FILE, help="Write it as CSV.")
@project_option
@json_option
def impact(states: tuple[str, ...], csv_file: Path | None, folder: Path, as_json: bool) -> int:
    """Show what the change from A to B touches: items, risk controls, tests and documents, and which tests must be run again.

    A and B are commits (branches, tags, ids), bundles (folders), or baselines (files of `trace baseline`); without B, the working
    tree. Two names that hold ".." themselves can be given apart: `impact A B`.

    Exit codes: 0 shown, 2 no such state, or its items are wrong.
    """
    from devicepipe.stages.states import state_of
    from devicepipe.traceability.impact import impact as impact_of

    gc.disable()  # nothing that is made here is given up before the end, and looking for it takes a third of the time
    project = open_project(folder)
    before, after = _sides(states)
    found = impact_of(state_of(project, before), state_of(project, after))
    found = _with_documents(found, project)
    if csv_file is not None:
        with csv_file.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(found.lines())
    if as_json:
        print_json(found.to_json())
    else:
        _tell(found)
    return EXIT_OK


@click.command()
@click.argument("file", type=_FILE)
@click.option("--at", "name", default="", metavar="STATE", help="Of this commit or bundle (default: the working tree).")
@project_option
def baseline(file: Path, name: str, folder: Path) -> int:
    """Keep the items and tests as they stand in FILE, to compare with later: `devicepipe trace impact FILE..`.

    Exit codes: 0 written, 2 wrong items.
    """
    from devicepipe.stages.states import state_of, write_baseline

    state = state_of(open_project(folder), name)
    write_baseline(state, file)
    tell(
        f"{counted(len(state.items), 'item')} and {counted(len(state.tests or {}), 'test')} of {state.name} are in {file}"
    )
    return EXIT_OK


def _sides(states: tuple[str, ...]) -> tuple[str, str]:
    """A and B, B "" for the working tree."""
    if len(states) == 1:
        name = states[0]
        # A path such as ../old/bundle..new has more than one "..": the one that parts what exists counts.
        for place in (index for index in range(len(name)) if name.startswith("..", index)):
            before, after = name[:place], name[place + 2 :]
            if before and not before.endswith(("/", ".")) and not after.startswith(("/", ".")):
                return before, after
        return name, ""
    if len(states) == 2:  # noqa: PLR2004 - A and B
        return states[0], states[1]
    raise UsageError("name two states: A..B, or A and B")


def _with_documents(found: Impact, project: Project) -> Impact:
    import dataclasses

    from devicepipe.documents.touched import documents_showing
    from devicepipe.stages.states import own_definitions

    if found.nothing:
        return found
    return dataclasses.replace(found, documents=tuple(documents_showing(found.types(), own_definitions(project))))


def _tell(found: Impact) -> None:
    from devicepipe.traceability.impact import by_what

    tell(f"from {found.before} to {found.after}", bold=True)
    if found.nothing:
        tell("  no item and no test differs", fg="green")
        return
    counts = by_what(found.items)
    tell(f"items: {', '.join(f'{number} {what}' for what, number in counts.items())}", bold=True)
    for changed in found.items:
        tell(f"  {changed.what:8} {changed.item.id} {changed.item.title}  ({changed.item.file}:{changed.item.line})")
        for change in changed.changes:
            tell(f"           {change.attribute}: {_short(change.before)} → {_short(change.after)}", fg="yellow")
    _tell_touched(found)
    for document in found.documents:
        tell(f"document to be made anew: {document}")


def _tell_touched(found: Impact) -> None:
    if found.tests:
        tell(f"tests: {counted(len(found.tests), 'test')} changed", bold=True)
        for test in found.tests:
            tell(f"  {test.what:8} {test.test.id}{f': {test.why}' if test.why else ''}")
    if found.touched:
        tell(f"touched: {counted(len(found.touched), 'item')}", bold=True)
        for touched in found.touched:
            tell(f"  {touched.item.id} {touched.item.title}  ({_way(touched.way, touched.by)})")
    tell(f"to be run again: {counted(len(found.again), 'test')}", bold=True)
    for again in found.again:
        tell(f"  {again.test.id}  ({', '.join(again.why)})")


def _way(way: str, by: str) -> str:
    return f"rests on {by}" if way == "rests on it" else f"{by}, which it is verified by, changed or is touched"


def _short(text: str | None) -> str:
    if text is None:
        return "none"
    line = " ".join(text.split())
    return f'"{line}"' if len(line) <= _SHOWN else f'"{line[: _SHOWN - 1]}…"'
