"""`devicepipe trace matrix`: what leads to what, as CSV and HTML, of the working tree or of a bundle."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import counted, note, open_bundle, open_project, project_option, tell
from devicepipe.cli.trace_check import cache_option, tell_findings
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devicepipe.evidence.trace import Traceability
    from devicepipe.traceability.drafts import Traced
    from devicepipe.traceability.matrix import Row

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--csv", "csv_file", type=_FILE, help="Write it as CSV.")
@click.option("--html", "html_file", type=_FILE, help="Write it as one HTML page.")
@click.option(
    "--bundle", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Of this bundle, with its verdicts."
)
@click.option(
    "--evidence",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of the working tree, with what this older release still proves; the rest of it is stale.",
)
@project_option
@cache_option
def matrix(
    csv_file: Path | None,
    html_file: Path | None,
    bundle: Path | None,
    evidence: Path | None,
    folder: Path,
    cached: bool,
) -> int:
    """Write the matrix: hazard, risk control, user needs, requirement, design items, test, and the verdict on each board.

    Of the working tree it is checked as `trace check` does; no test has run there, so that every verdict is "not run", but for what
    --evidence still proves of it. With neither --csv nor --html it is printed as CSV.

    Exit codes: 0 written, and no error in the items; 1 written, with errors; 2 usage.
    """
    from devicepipe.documents.csv_table import safe_cell
    from devicepipe.documents.visible import visible
    from devicepipe.traceability.matrix_files import csv_lines, html_lines

    gc.disable()  # nothing that is made here is given up before the end, and looking for it takes a third of the time
    if bundle is not None and evidence is not None:
        raise UsageError("name either --bundle or --evidence", remedy="--bundle shows the release itself")
    if bundle is not None:
        rows, items, boards, title = _of_bundle(bundle)
        failed = False
    elif evidence is not None:
        from devicepipe.stages.proof import still_proven

        product = open_project(folder)
        proven = still_proven(product, open_bundle(evidence))
        rows, items = _rows(proven), {item.id: item for item in proven.items}
        boards = next((list(row.verdicts) for row in proven.matrix), [])
        title = f"{product.product.title}: what {evidence.name} proves"
        failed = tell_findings(proven.findings, err=True)
    else:
        from devicepipe.stages.trace_check import check_working_tree
        from devicepipe.stages.trace_project import open_trace_project

        project = open_trace_project(folder, cached=cached)
        found = check_working_tree(project, cached=cached)
        rows, boards, title = found.rows, project.boards, f"{project.title}: traceability matrix"
        items = {item.id: item for item in found.items}
        failed = tell_findings(found.findings, err=True)
    if csv_file is not None:
        _write(csv_file, csv_lines(rows, items, boards, safe_cell), newline="")
    if html_file is not None:
        _write(html_file, html_lines(rows, items, boards, title, visible))
    if csv_file is None and html_file is None:
        for line in csv_lines(rows, items, boards, safe_cell):
            tell(line.rstrip("\r\n"))
    else:
        names = " and ".join(str(name) for name in (csv_file, html_file) if name)
        note(f"{counted(len(items), 'item')}, {counted(len(rows), 'row')}: {names}")
    return EXIT_PRODUCT_FAILED if failed else EXIT_OK


def _of_bundle(folder: Path) -> tuple[Sequence[Row], Mapping[str, Traced], Sequence[str], str]:
    from devicepipe.evidence.predicates import SourceInfo
    from devicepipe.evidence.trace import Traceability

    bundle = open_bundle(folder)
    source, traced = bundle.predicate(SourceInfo), bundle.predicate(Traceability)
    items = {item.id: item for item in traced.items}
    return _rows(traced), items, source.boards, f"{source.title} {source.version}: traceability matrix"


def _rows(traced: Traceability) -> list[Row]:
    from devicepipe.traceability.matrix import Row

    return [Row(**row.model_dump()) for row in traced.matrix]


def _write(path: Path, lines: Iterable[str], newline: str = "\n") -> None:
    with path.open("w", encoding="utf-8", newline=newline) as file:
        file.writelines(lines)
