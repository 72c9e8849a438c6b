"""`devicepipe trace show`: one item with everything above and below it, as a tree in the terminal."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import json_option, open_bundle, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.trace import Traceability
    from devicepipe.traceability.drafts import Traced
    from devicepipe.traceability.show import Node, Surroundings

_GOOD = "passed"


@click.command()
@click.argument("item")
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The item as this release has it, with the verdicts of its tests.",
)
@click.option(
    "--evidence",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The working tree's item, with what this release still proves of it.",
)
@project_option
@json_option
def show(item: str, bundle: Path | None, evidence: Path | None, folder: Path, as_json: bool) -> int:
    """Show ITEM: its attributes, what it rests on, and what rests on it, down to code, tests and verdicts.

    Exit codes: 0 shown, 2 no such item.
    """
    if bundle is not None and evidence is not None:
        raise UsageError("name either --bundle or --evidence", remedy="--bundle shows the release itself")
    if bundle is not None:
        from devicepipe.evidence.trace import Traceability

        found = _of_trace(open_bundle(bundle).predicate(Traceability))
    elif evidence is not None:
        from devicepipe.stages.proof import still_proven

        found = _of_trace(still_proven(open_project(folder), open_bundle(evidence)))
    else:
        found = _of_tree(folder)
    if item not in found.items:
        close = difflib.get_close_matches(item.upper(), found.items, n=3)
        raise UsageError(
            f"there is no item {item}",
            remedy=f"did you mean {' or '.join(close)}?" if close else "see `devicepipe trace check`",
        )
    shown, above, below = found.items[item], found.above(item), found.below(item)
    if as_json:
        print_json(
            {
                "id": shown.id,
                "type": shown.type,
                "title": shown.title,
                "text": shown.text,
                "fields": shown.fields,
                "links": shown.links,
                "boards": shown.boards,
                "place": f"{shown.file}:{shown.line}",
                "fingerprint": shown.fingerprint,
                "above": [node.to_json() for node in above],
                "below": [node.to_json() for node in below],
            }
        )
    else:
        _tell(shown, above, below)
    return EXIT_OK


def _of_tree(folder: Path) -> Surroundings:
    """The working tree, in which no test has run."""
    from devicepipe.stages.trace_check import check_working_tree
    from devicepipe.stages.trace_project import open_trace_project
    from devicepipe.traceability.show import ShownTest, Surroundings

    found = check_working_tree(open_trace_project(folder, cached=True))
    tests = [ShownTest(one.id, one.verifies, f"{one.file}:{one.line}", {}) for one in found.tests]
    return Surroundings(found.items, tests, found.markers.code or ())


def _of_trace(trace: Traceability) -> Surroundings:
    """A trace, whose matrix has the verdicts."""
    from devicepipe.traceability.show import ShownTest, Surroundings

    names = {item.id for item in trace.items}
    tests: dict[str, dict[str, Mapping[str, str]]] = {}
    for row in trace.matrix:
        about = (
            row.requirement
            or row.risk_control
            or row.hazard
            or next(iter([*(row.designs or []), *(row.user_needs or [])]), "")
        )
        if row.test and row.test not in names and about:
            tests.setdefault(row.test, {})[about] = {board: said for board, said in row.verdicts.items() if said}
    shown = [ShownTest(test, tuple(by_item), "", by_item) for test, by_item in tests.items()]
    return Surroundings(trace.items, shown, trace.code or ())


def _tell(item: Traced, above: Sequence[Node], below: Sequence[Node]) -> None:
    from devicepipe.evidence.items import attributes

    tell(f"{item.id} {item.title}", bold=True)
    tell(f"  {item.type}, {item.file}:{item.line}", dim=True)
    for name, value in attributes(item).items():
        if name in ("Title", "Type", "Statement") or name in item.links:
            continue
        lines = value.splitlines() or [""]
        tell(f"  {name}: {lines[0]}{' …' if len(lines) > 1 else ''}")
    for line in item.text.splitlines():
        tell(f"  {line}")
    tell("rests on" if above else "rests on nothing", bold=True)
    _tell_nodes(above, "", up=True)
    tell("below it" if below else "nothing rests on it", bold=True)
    _tell_nodes(below, "", up=False)


def _tell_nodes(nodes: Sequence[Node], indent: str, *, up: bool) -> None:
    for index, node in enumerate(nodes):
        last = index == len(nodes) - 1
        where = f"  ({node.place})" if node.place else ""
        what = node.link if up or node.link in ("code", "verified by") else f"{node.link} it"
        more = "  …" if node.again else ""
        verdicts = node.verdicts or {}
        said = f": {', '.join(f'{board} {verdict}' for board, verdict in verdicts.items())}" if verdicts else ""
        colour = None
        if verdicts:
            colour = "green" if {*verdicts.values()} == {_GOOD} else "red"
        title = f" {node.title}" if node.title else ""
        tell(f"{indent}{'└─' if last else '├─'} {what} {node.id}{title}{said}{where}{more}", fg=colour)
        _tell_nodes(node.below, f"{indent}{'   ' if last else '│  '}", up=up)
