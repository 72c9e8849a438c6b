"""`devicepipe trace coverage`: how many items of each type are covered as the schema's rules ask, and which are not."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import json_option, open_bundle, open_project, print_json, project_option, tell
from devicepipe.cli.trace_check import cache_option

if TYPE_CHECKING:
    from devicepipe.traceability.coverage import Share

_NAMED = 8


@click.command()
@click.option(
    "--bundle", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Of this bundle, with its verdicts."
)
@project_option
@cache_option
@json_option
def coverage(bundle: Path | None, folder: Path, cached: bool, as_json: bool) -> None:
    """Show for each item type and rule how many items are covered, and which are not.

    Of the working tree, a requirement is verified where each board has a test that names it, or a record is given; of a
    bundle, where a test has passed on the board. The rules are those of the product in --project.

    Exit codes: 0 shown, 2 usage.
    """
    gc.disable()  # see trace_matrix
    shares = _of_bundle(bundle, folder) if bundle is not None else _of_tree(folder, cached=cached)
    if as_json:
        print_json([share.to_json() for share in shares])
        return
    for share in shares:
        missing = share.missing
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        left = f"  not: {', '.join(missing[:_NAMED])}{more}" if missing else ""
        what = f"{share.of}: {share.what}"
        tell(f"{what:56} {share.total - len(missing):>5} of {share.total}{left}", fg="yellow" if missing else "green")


def _of_tree(folder: Path, *, cached: bool) -> list[Share]:
    from devicepipe.stages.trace_check import check_working_tree
    from devicepipe.stages.trace_project import open_trace_project
    from devicepipe.traceability.coverage import RuleCheck, rule_shares, tested_share

    project = open_trace_project(folder, cached=cached)
    found = check_working_tree(project, cached=cached)
    rules = project.rules
    check = RuleCheck(found.items, rules.schema, rules.safety_class, found.markers.places())
    return [*rule_shares(check, found.items, rules.schema), tested_share(found.items, found.rows)]


def _of_bundle(folder: Path, product: Path) -> list[Share]:
    from devicepipe.evidence.predicates import SourceInfo
    from devicepipe.evidence.trace import Traceability
    from devicepipe.traceability.coverage import RuleCheck, passed_shares, rule_shares
    from devicepipe.traceability.markers import Markers
    from devicepipe.traceability.schema import project_schema

    bundle = open_bundle(folder)
    source, traced = bundle.predicate(SourceInfo), bundle.predicate(Traceability)
    schema = project_schema(open_project(product))
    check = RuleCheck(traced.items, schema, source.safety_class, Markers(traced.code).places())
    return [*rule_shares(check, traced.items, schema), *passed_shares(traced.items, traced.matrix, source.boards)]
