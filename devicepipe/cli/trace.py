"""`devicepipe trace`: the group of the commands about items, links and what proves them. Each command has a module of its own."""

from __future__ import annotations

import click

from devicepipe.cli.lazy import LazyGroup

_COMMANDS = {
    "check": (
        "devicepipe.cli.trace_check",
        "Check items, links, code markers and tests; tell every finding with file and line.",
    ),
    "matrix": (
        "devicepipe.cli.trace_matrix",
        "Write what leads to what, from hazard to verdict, as CSV and HTML.",
    ),
    "coverage": (
        "devicepipe.cli.trace_coverage",
        "Show how many items of each type are covered as the rules ask, and which are not.",
    ),
    "import": ("devicepipe.cli.trace_exchange", "Write the items of other tools' files as Markdown."),
    "export": ("devicepipe.cli.trace_exchange", "Write the product's items into another tool's files."),
    "show": (
        "devicepipe.cli.trace_show",
        "Show an item with everything above and below it, down to code and verdicts.",
    ),
    "impact": (
        "devicepipe.cli.trace_impact",
        "Show what changed between two commits, bundles or baselines, and what has to be run again.",
    ),
    "baseline": ("devicepipe.cli.trace_impact", "Keep items and tests as they stand in a file, to compare with later."),
    "review": (
        "devicepipe.cli.trace_review",
        "Record that you reviewed items as they stand, after showing what changed since the last review.",
    ),
}


@click.group(cls=LazyGroup, commands_of=_COMMANDS)
def trace() -> None:
    """Check the product's items and links, and show what they lead to."""
