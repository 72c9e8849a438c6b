"""`devicepipe release`: the main job."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import (
    devices_option,
    json_option,
    open_project,
    print_json,
    project_option,
    tell,
    wanted_devices,
)
from devicepipe.cli.progress import make_progress
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED

if TYPE_CHECKING:
    from devicepipe.pipeline.release import Outcome


@click.command()
@click.argument("version")
@click.option(
    "--allow-dirty", is_flag=True, help="Take the working tree as it is; the bundle is marked NOT RELEASABLE."
)
@click.option(
    "--replace",
    "replace_existing",
    is_flag=True,
    help="Make a released version anew that nobody has signed. (One with development keys, or not releasable, always is.)",
)
@click.option(
    "--earlier",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The bundle of an earlier release, to tell what changed since (may be given several times).",
)
@devices_option
@project_option
@json_option
def release(
    version: str,
    allow_dirty: bool,
    replace_existing: bool,
    earlier: tuple[Path, ...],
    devices: tuple[str, ...],
    folder: Path,
    as_json: bool,
) -> int:
    """Make the release bundle dist/<product>-VERSION from the commit that is checked out.

    Builds every board twice, analyses, signs, tests the signed images on each board's device, traces, judges, documents
    and seals. A failed gate still makes the bundle and its report, marked NOT RELEASABLE.

    Exit codes: 0 releasable, 1 not releasable (or it does not build), 2 usage, 3 a bench or tool failed, 4 integrity.
    """
    from devicepipe.pipeline.release import make_release

    outcome = make_release(
        open_project(folder),
        version,
        allow_dirty=allow_dirty,
        replace_existing=replace_existing,
        devices=wanted_devices(folder, (), devices),
        earlier=earlier,
        progress=make_progress(quiet=as_json),
        cancel=threading.Event(),
    )
    if as_json:
        print_json(_document(outcome))
    else:
        _tell(outcome)
    return EXIT_OK if outcome.release.releasable else EXIT_PRODUCT_FAILED


def _document(outcome: Outcome) -> dict[str, Any]:
    return {
        "bundle": str(outcome.bundle),
        "releasable": outcome.release.releasable,
        "reasons": outcome.release.reasons,
        "waived": outcome.release.waived or [],
        "weakened": outcome.release.weakened or [],
        "waivers": [use.to_json() for use in outcome.decisions.waivers or ()],
        "developmentKeys": outcome.release.development_keys,
        "unshippable": outcome.unshippable,
        "verdicts": outcome.verdicts,
        "decisions": [decision.to_json() for decision in outcome.decisions.decisions],
        "seconds": round(outcome.seconds, 2),
        "peakBytes": outcome.peak_bytes,
        "steps": {
            name: {"start": round(timing.start, 3), "seconds": round(timing.seconds, 3)}
            for name, timing in outcome.steps.items()
        },
    }


def _tell(outcome: Outcome) -> None:
    release = outcome.release
    tell()
    for board, counts in outcome.verdicts.items():
        bad = sum(count for verdict, count in counts.items() if verdict != "passed")
        text = ", ".join(
            f"{count} {verdict.replace('_', ' ')}" for verdict, count in counts.items() if count or verdict == "passed"
        )
        tell(f"  {board:20} {text}", fg="red" if bad else "green")
    for decision in outcome.decisions.decisions:
        if not decision.passed:
            where = f" ({decision.board})" if decision.board else ""
            mark, colour = ("✗", "red") if decision.stops else ("!", "yellow")
            waived = "waived: " if decision.state == "waived" else ""
            tell(f"  {mark} {decision.rule}{where}: {waived}{decision.message}", fg=colour)
            tell(f"      {decision.remedy}", dim=True)
    told = [f"{one.rule}{f' on {one.board}' if one.board else ''}: " for one in outcome.decisions.decisions]
    for reason in release.reasons:  # those that are no rule's
        if not reason.startswith(tuple(told)):
            tell(f"  ✗ {reason}", fg="red")
    for weakened in release.weakened or ():
        tell(f"  ! rule changed: {weakened}", fg="yellow")
    for use in outcome.decisions.waivers or ():
        if not use.applied:
            tell(f"  ! waiver {use.file.rpartition('/')[2]} does nothing: {use.message}", fg="yellow")
    tell()
    status = "RELEASABLE" if release.releasable else "NOT RELEASABLE"
    status += f", {len(release.waived)} WAIVED" if release.waived else ""
    tell(f"{release.product} {release.version}: {status}", fg="green" if release.releasable else "red", bold=True)
    # What development keys signed does not ship anyway.
    if (
        warning := "signed with DEVELOPMENT keys: not for production"
        if release.development_keys
        else outcome.unshippable
    ):
        tell(warning, fg="yellow")
    tell(f"bundle: {outcome.bundle}")
    tell(f"time: {outcome.seconds:.1f} s, peak memory of one process: {outcome.peak_bytes / 2**20:.0f} MiB")
