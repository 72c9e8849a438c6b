"""`devicepipe campaign`: fault injection on emulated devices, by the thousand."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import boards_option, json_option, note, open_project, print_json, project_option, tell
from devicepipe.cli.progress import make_progress
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.campaigns import CampaignResult
    from devicepipe.evidence.predicates import CampaignKind

_STEP = 10
_FAILURES_SHOWN = 20


@click.group()
def campaign() -> None:
    """Inject faults into emulated devices, at thousands of points, each repeatable by its number.

    What the product promises is in its own module: [campaigns] module of devicepipe.toml.
    """


def _options(usual: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """What all campaigns take."""

    def add(command: Callable[..., int]) -> Callable[..., int]:
        for option in (
            json_option,
            project_option,
            click.option(
                "--bundle",
                "bundle_folder",
                type=click.Path(exists=True, file_okay=False, path_type=Path),
                help="The images of this bundle, which is not verified here (default: the working tree is built and signed).",
            ),
            click.option(
                "--deep",
                type=click.IntRange(min=0),
                default=64,
                show_default=True,
                help="Start the application as well at every n-th point; 0: never.",
            ),
            click.option("--jobs", type=click.IntRange(min=1), help="Processes at a time (default: one a core)."),
            click.option("--point", help="One point again, by group and number, e.g. swap:17."),
            click.option("--seed", type=int, default=1, show_default=True, help="Of the draw."),
            click.option(
                "--points", type=click.IntRange(min=1), help=f"So many points, drawn with --seed (default: {usual})."
            ),
            boards_option,
        ):
            command = option(command)
        return command

    return add


@campaign.command()
@click.option(
    "--inside", type=click.IntRange(min=0), default=1, show_default=True, help="Cuts inside each flash operation."
)
@_options("all")
def powercut(**options: Any) -> int:
    r"""Cut the power at and inside each flash operation of a whole update.

    \b
    Exit codes: 0 every point held, 1 the device broke a promise at some point, 2 usage,
    3 the bench erred (nothing is said of the product).
    """
    return _run("powercut", **options)


@campaign.command()
@_options("1000")
def bitflip(**options: Any) -> int:
    r"""Flip bits in what the product keeps in flash: images, their trailers, counters, settings, data, logs.

    A point whose number is below a target's number of bits flips that bit alone; a higher one flips 2 to 8 bits, drawn with --seed.

    \b
    Exit codes: 0 every point held, 1 the device broke a promise at some point, 2 usage,
    3 the bench erred (nothing is said of the product).
    """
    return _run("bitflip", **options)


@campaign.command()
@_options("1000")
def fuzz(**options: Any) -> int:
    r"""Send inputs that nobody meant to a device at work, in virtual time: drawn by chance, or good ones changed a little.

    \b
    Exit codes: 0 every point held, 1 the device broke a promise at some point, 2 usage,
    3 the bench erred (nothing is said of the product).
    """
    return _run("fuzz", **options)


def _run(
    kind: CampaignKind,
    *,
    boards: tuple[str, ...],
    points: int | None,
    seed: int,
    point: str | None,
    jobs: int | None,
    deep: int,
    bundle_folder: Path | None,
    folder: Path,
    as_json: bool,
    inside: int = 1,
) -> int:
    from devicepipe.bench.campaigns.kinds import Plan
    from devicepipe.bench.campaigns.run import run_campaign
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.pipeline.development import develop
    from devicepipe.stages.campaign import campaign_spec

    project, cancel = open_project(folder), threading.Event()
    module = project.campaign_module()
    plan = Plan(points, seed, inside, deep if point is None else 1, _point(point), jobs)
    if bundle_folder is not None:
        bundle = Bundle(bundle_folder)
        names = boards or tuple(board.name for board in project.boards)
    else:
        made = develop(project, "sign", boards=boards, progress=make_progress(quiet=as_json), cancel=cancel)
        bundle, names = made.bundle, made.boards
    results = []
    with tempfile.TemporaryDirectory(prefix="devicepipe-campaign-") as logs:
        for name in names:
            spec = campaign_spec(project, bundle, project.board(name), Path(logs) / name)
            results.append(run_campaign(kind, spec, module, plan, _Teller(name, quiet=as_json), cancel))
            if not as_json:
                _tell_result(results[-1])
    if as_json:
        print_json([result.to_json() for result in results])
    return EXIT_PRODUCT_FAILED if any(result.failures for result in results) else EXIT_OK


def _point(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    name, colon, number = text.partition(":")
    if not colon or not number.isascii() or not number.isdigit():
        raise UsageError(f"--point {text}: expected a group and a number", remedy="e.g. --point swap:17")
    return name, int(number)


class _Teller:
    """A line of progress at each tenth of the points, and whatever is not a count."""

    def __init__(self, board: str, *, quiet: bool) -> None:
        self._board = board
        self._quiet = quiet
        self._told = -1

    def __call__(self, text: str) -> None:
        count, of, rest = text.partition(" of ")
        part = _STEP * int(count) // int(rest.split()[0]) if of else self._told - 1
        if part != self._told and not self._quiet:
            note(f"{self._board}: {text}")
        self._told = part if of else self._told


def _tell_result(result: CampaignResult) -> None:
    held = not result.failures
    rate = result.points / max(result.seconds - result.record_seconds, 0.1)
    units = {"powercut": "flash operations", "bitflip": "bits"}
    size = sum(group.size for group in result.groups)
    over = f" over {size} {units[result.kind]}" if result.kind in units else ""
    possible = "" if result.points_possible is None else f" of {result.points_possible}"
    tell(
        f"{result.board}: {result.points}{possible} points{over}, {len(result.failures)} failed",
        fg="green" if held else "red",
        bold=True,
    )
    for group in result.groups:
        if group.points:
            counts = ", ".join(f"{what}: {count}" for what, count in group.outcomes.items())
            tell(f"  {group.name} ({group.points} points): {counts or 'none held'}")
    tell(
        f"  {result.deep} with the application; {rate:.0f} points a second on {result.processes} processes; "
        f"prepared in {result.record_seconds:.0f} s",
        dim=True,
    )
    for failure in result.failures[:_FAILURES_SHOWN]:
        tell(f"  {failure.point} ({failure.message})", fg="red")
        tell(f"    again: {result.again(failure)}", dim=True)
    if len(result.failures) > _FAILURES_SHOWN:
        tell(f"  and {len(result.failures) - _FAILURES_SHOWN} more; --json has them all", fg="red")
