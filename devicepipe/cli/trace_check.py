"""`devicepipe trace check`: what is wrong with the items and links of the working tree, each with its file and line."""

from __future__ import annotations

from pathlib import Path

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED


@click.command()
@project_option
@json_option
def check(folder: Path, as_json: bool) -> int:
    """Check items, links and tests as they stand in the working tree; nothing is built, run or written.

    Exit codes: 0 nothing that would stop a release, 1 something would, 2 usage.
    """
    from devicepipe.stages.items import read_product_items
    from devicepipe.traceability.check import ERROR, check_items, severity_of
    from devicepipe.traceability.device_tests import read_tests
    from devicepipe.traceability.matrix import TraceRules
    from devicepipe.traceability.reviews import read_reviews

    project = open_project(folder)
    items, unlisted = read_product_items(project)
    tests = read_tests(project.root / project.tests.path, project.root)
    boards = [board.name for board in project.boards]
    findings = check_items(items, tests, boards, rules=TraceRules.of(project), unlisted=unlisted)
    findings += read_reviews(project).findings(items)
    errors = sum(severity_of(finding) == ERROR for finding in findings)
    if as_json:
        print_json(
            {
                "items": len(items),
                "tests": len(tests),
                "errors": errors,
                "findings": [{"severity": severity_of(one), **one.to_json()} for one in findings],
            }
        )
    else:
        for one in findings:
            severity = severity_of(one)
            tell(f"{one.file}:{one.line}: {severity}: {one.item}: {one.message} [{one.kind}]", fg=_COLOUR[severity])
        told = f"{counted(len(items), 'item')}, {counted(len(tests), 'test')}: {counted(errors, 'error')}"
        tell(f"{told}, {counted(len(findings) - errors, 'warning')}", bold=True)
    return EXIT_PRODUCT_FAILED if errors else EXIT_OK


_COLOUR = {"error": "red", "warning": "yellow"}
