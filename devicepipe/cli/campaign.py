"""`devicepipe campaign`: fault injection on emulated devices, by the thousand."""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import (
    boards_option,
    counted,
    json_option,
    note,
    open_bundle,
    open_project,
    print_json,
    project_option,
    tell,
)
from devicepipe.cli.progress import make_progress
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.campaigns import CampaignResult
    from devicepipe.evidence.predicates import CampaignKind
    from devicepipe.project.config import Project

_STEP = 10
_FAILURES_SHOWN = 20
_USUAL_DEEP = 64
_SLOW = 10  # points a second
_EXAMPLES = {"powercut": "swap:17", "bitflip": "header:17", "fuzz": "console:17"}
_COUNT = re.compile(r"(\d+) of (\d+) points")


@click.group()
def campaign() -> None:
    """Inject faults into emulated devices, at thousands of points, each repeatable by its number.

    What the product promises is in its own module: [campaigns] module of devicepipe.toml.
    """


_deep_option = click.option(
    "--deep",
    type=click.IntRange(min=0),
    help=f"Start the application as well at every n-th point; 0: never (default: {_USUAL_DEEP}; with --point at that one).",
)


def _options(kind: CampaignKind, usual: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
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
            click.option("--jobs", type=click.IntRange(min=1), help="Processes at a time (default: one a core)."),
            click.option(
                "--point",
                help=f"One point again, by group and number, e.g. {_EXAMPLES[kind]}; its logs are kept in .devicepipe/campaign.",
            ),
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
@_deep_option
@_options("powercut", "all")
def powercut(**options: Any) -> int:
    """Cut the power at and inside each flash operation of a whole update.

    Exit codes: 0 every point held, 1 the device broke a promise at some point, 2 usage,
    3 the bench erred (nothing is said of the product), 130 interrupted (no process is left).
    """
    return _run("powercut", **options)


@campaign.command()
@_deep_option
@_options("bitflip", "1000")
def bitflip(**options: Any) -> int:
    """Flip bits in what the product keeps in flash: images, their trailers, counters, settings, data, logs.

    A point whose number is below a target's number of bits flips that bit alone; a higher one flips 2 to 8 bits, drawn with --seed.

    Exit codes: 0 every point held, 1 the device broke a promise at some point, 2 usage,
    3 the bench erred (nothing is said of the product), 130 interrupted (no process is left).
    """
    return _run("bitflip", **options)


@campaign.command()
@_options("fuzz", "1000")
def fuzz(**options: Any) -> int:
    """Send inputs that nobody meant to a device at work, in virtual time: drawn by chance, or good ones changed a little.

    The application runs at every point.

    Exit codes: 0 every point held, 1 the device broke a promise at some point, 2 usage,
    3 the bench erred (nothing is said of the product), 130 interrupted (no process is left).
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
    bundle_folder: Path | None,
    folder: Path,
    as_json: bool,
    inside: int = 1,
    deep: int | None = None,
) -> int:
    from devicepipe.bench.campaigns.kinds import Plan
    from devicepipe.bench.campaigns.run import check_module, run_campaign
    from devicepipe.evidence.layout import kind_of_model
    from devicepipe.evidence.predicates import ImageSigning
    from devicepipe.pipeline.development import develop
    from devicepipe.stages.campaign import campaign_spec

    project, cancel = open_project(folder), threading.Event()
    if point is not None and points is not None:
        raise UsageError(
            "--points and --point exclude each other", remedy="--point tries one point again: leave --points out"
        )
    nth = deep if deep is not None else _USUAL_DEEP if point is None else 1
    plan = Plan(points, seed, inside, nth, _point(kind, point), jobs)
    module = project.campaign_module()
    check_module(kind, module, cancel)
    if bundle_folder is not None:
        bundle = open_bundle(bundle_folder)
        every = tuple(board.name for board in project.boards)
        names = (
            boards
            or tuple(name for name in every if bundle.exists(kind_of_model(ImageSigning).path_for(name)))
            or every
        )
    else:
        made = develop(project, "sign", boards=boards, progress=make_progress(quiet=as_json), cancel=cancel)
        bundle, names = made.bundle, made.boards
    results = []
    with _logs(project, kept=point is not None) as logs:
        for name in names:
            spec = campaign_spec(project, bundle, project.board(name), logs / name)
            results.append(run_campaign(kind, spec, module, plan, _Teller(name, quiet=as_json), cancel))
            if not as_json:
                _tell_result(results[-1], bundle_folder)
        if point is not None and not as_json:
            note(f"logs: {logs}")
    if as_json:
        print_json([result.to_json() for result in results])
    return EXIT_PRODUCT_FAILED if any(result.failures for result in results) else EXIT_OK


@contextmanager
def _logs(project: Project, *, kept: bool) -> Iterator[Path]:
    """Where devices log: in a folder that goes away, or, of a point that is tried again, where that of the last one was."""
    if kept:
        folder = project.state / "campaign"
        shutil.rmtree(folder, ignore_errors=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="devicepipe-campaign-") as name:
            yield Path(name)


def _point(kind: CampaignKind, text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    name, colon, number = text.partition(":")
    if not colon or not number.isascii() or not number.isdigit():
        raise UsageError(f"--point {text}: expected a group and a number", remedy=f"e.g. --point {_EXAMPLES[kind]}")
    return name, int(number)


class _Teller:
    """A line of progress at each tenth of the points, and whatever is not a count."""

    def __init__(self, board: str, *, quiet: bool) -> None:
        self._board = board
        self._quiet = quiet
        self._told = -1

    def __call__(self, text: str) -> None:
        found = _COUNT.match(text)
        part = _STEP * int(found[1]) // int(found[2]) if found else self._told - 1
        if part != self._told and not self._quiet:
            note(f"{self._board}: {text}")
        self._told = part if found else self._told


def _tell_result(result: CampaignResult, bundle: Path | None) -> None:
    held = not result.failures
    rate = result.points / max(result.seconds - result.record_seconds, 0.1)
    units = {"powercut": "flash operations", "bitflip": "bits"}
    size = sum(group.size for group in result.groups)
    over = f" over {size} {units[result.kind]}" if result.kind in units else ""
    count = counted(result.points, "point")
    if result.points_possible is not None:
        count = f"{result.points} of {counted(result.points_possible, 'point')}"
    tell(
        f"{result.board}: {count}{over}, {len(result.failures)} failed",
        fg="green" if held else "red",
        bold=True,
    )
    for group in result.groups:
        if group.points:
            # What became of a device may itself be a list.
            counts = "; ".join(f"{count} x '{what}'" for what, count in group.outcomes.items())
            tell(f"  {group.name} ({counted(group.points, 'point')}): {counts or 'none held'}")
    tell(
        f"  {result.deep} with the application; {rate:.{0 if rate >= _SLOW else 1}f} points a second on "
        f"{result.processes} {'process' if result.processes == 1 else 'processes'}; "
        f"prepared in {result.record_seconds:.0f} s",
        dim=True,
    )
    for failure in result.failures[:_FAILURES_SHOWN]:
        tell(f"  {failure.point} ({failure.message})", fg="red")
        images = "" if bundle is None else f" --bundle {shlex.quote(str(bundle))}"
        tell(f"    again: {result.again(failure)}{images}", dim=True)
    if len(result.failures) > _FAILURES_SHOWN:
        tell(f"  and {len(result.failures) - _FAILURES_SHOWN} more; --json has them all", fg="red")
