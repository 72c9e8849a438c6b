"""`devicepipe trace check`: what is wrong with the items and links of the working tree, each with its file and line."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from devicepipe.cli.common import counted, json_option, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED

if TYPE_CHECKING:
    from devicepipe.evidence.trace import TraceFinding
    from devicepipe.traceability.findings import Found

F = TypeVar("F", bound=Callable[..., Any])
_COLOUR = {"error": "red", "warning": "yellow"}


def cache_option(function: F) -> F:
    """`--no-cache`: read every file anew."""
    return click.option(
        "--cache/--no-cache", "cached", default=True, help="Whether files that have not changed are not read again."
    )(function)


@click.command()
@click.option(
    "--commits", metavar="RANGE", default="", help="Commits whose trailers are read (default: since the last tag)."
)
@project_option
@cache_option
@json_option
def check(commits: str, folder: Path, cached: bool, as_json: bool) -> int:
    """Check items, links, tests and markers as they stand in the working tree; nothing is built, run or changed.

    Exit codes: 0 no error (warnings are told), 1 an error, 2 usage.
    """
    from devicepipe.stages.trace_check import check_working_tree
    from devicepipe.stages.trace_project import open_trace_project
    from devicepipe.traceability.check import ERROR, severity_of

    gc.disable()  # nothing that is made here is given up before the end, and looking for it takes a third of the time
    found = check_working_tree(open_trace_project(folder, cached=cached), commits, cached=cached)
    code, named = found.markers.code or (), found.markers.commits or ()
    errors = sum(severity_of(finding) == ERROR for finding in found.findings)
    if as_json:
        print_json(
            {
                "items": len(found.items),
                "tests": len(found.tests),
                "markers": len(code),
                "commits": len(named),
                "errors": errors,
                "findings": [{**one.to_json(), "severity": severity_of(one)} for one in found.findings],
            }
        )
    else:
        tell_findings(found.findings)
        counts = [(found.items, "item"), (found.tests, "test"), (code, "code marker"), (named, "commit with trailers")]
        said = ", ".join(counted(len(what), name) for what, name in counts if len(what) or name in ("item", "test"))
        tell(f"{said}: {counted(errors, 'error')}, {counted(len(found.findings) - errors, 'warning')}", bold=True)
        if found.findings:
            _tell_reviews(found.findings)
    return EXIT_PRODUCT_FAILED if errors else EXIT_OK


def _tell_reviews(findings: Iterable[Found | TraceFinding]) -> None:
    """How to see what has to be reviewed, where something has."""
    from devicepipe.evidence.words import REVIEW_FINDINGS

    items = {one.item for one in findings if one.kind in REVIEW_FINDINGS}
    if items:
        some = "ITEM" if len(items) > 1 else min(items)
        tell(f"  reviews: `devicepipe trace review {some} --dry-run` shows what changed; docs/reference/reviews.md")


def tell_findings(findings: Iterable[Found | TraceFinding], *, err: bool = False) -> bool:
    """Tell findings, a line each, on standard output or (`err`) on standard error; whether one of them is an error."""
    from devicepipe.traceability.check import ERROR, severity_of

    failed = False
    for one in findings:
        severity = severity_of(one)
        failed = failed or severity == ERROR
        click.secho(told(one), fg=_COLOUR[severity], err=err)
    return failed


def told(finding: Found | TraceFinding) -> str:
    """A finding in a line that editors can jump from: file, line, severity, item, message, kind."""
    from devicepipe.traceability.check import severity_of

    place = ":".join(str(part) for part in (finding.file, finding.line) if part)
    about = f"{finding.item}: " if finding.item else ""
    board = f" on {finding.board}" if finding.board else ""
    return f"{f'{place}: ' if place else ''}{severity_of(finding)}: {about}{finding.message}{board} [{finding.kind}]"
