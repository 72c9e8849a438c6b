"""`devicepipe trace check`: what is wrong with the items and links of the working tree, each with its file and line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED

if TYPE_CHECKING:
    from devicepipe.evidence.predicates import TraceFinding

_COLOUR = {"error": "red", "warning": "yellow"}


@click.command()
@click.option(
    "--commits", metavar="RANGE", default="", help="Commits whose trailers are read (default: since the last tag)."
)
@project_option
@json_option
def check(commits: str, folder: Path, as_json: bool) -> int:
    """Check items, links, tests and markers as they stand in the working tree; nothing is built, run or written.

    Exit codes: 0 no error (warnings are told), 1 an error, 2 usage.
    """
    from devicepipe.stages.trace_check import check_working_tree
    from devicepipe.traceability.check import ERROR, severity_of

    found = check_working_tree(open_project(folder), commits)
    errors = sum(severity_of(finding) == ERROR for finding in found.findings)
    code, named = found.markers.code or (), found.markers.commits or ()
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
        for one in found.findings:
            tell(told(one), fg=_COLOUR[severity_of(one)])
        counts = [(found.items, "item"), (found.tests, "test"), (code, "code marker"), (named, "commit with trailers")]
        said = ", ".join(counted(len(what), name) for what, name in counts if len(what) or name in ("item", "test"))
        tell(f"{said}: {counted(errors, 'error')}, {counted(len(found.findings) - errors, 'warning')}", bold=True)
    return EXIT_PRODUCT_FAILED if errors else EXIT_OK


def told(finding: TraceFinding) -> str:
    """A finding in a line that editors can jump from: file, line, severity, item, message, kind."""
    from devicepipe.traceability.check import severity_of

    place = ":".join(str(part) for part in (finding.file, finding.line) if part)
    about = f"{finding.item}: " if finding.item else ""
    board = f" on {finding.board}" if finding.board else ""
    return f"{f'{place}: ' if place else ''}{severity_of(finding)}: {about}{finding.message}{board} [{finding.kind}]"
