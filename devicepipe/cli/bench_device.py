"""`devicepipe bench health|console|flash|reset|power`: what a person does with one device."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from devicepipe.cli.common import (
    complete_device,
    json_option,
    open_bundle,
    open_project,
    print_json,
    project_option,
    tell,
)
from devicepipe.errors import EXIT_BENCH, EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.bench.by_hand import Unit
    from devicepipe.bench.holding import Held
    from devicepipe.bench.spec import SessionSpec
    from devicepipe.project.config import Project, ProjectBoard

F = TypeVar("F", bound=Callable[..., Any])
_KEPT = 20  # logs of commands that failed
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

device_argument = click.argument("device", shell_complete=complete_device)


def bundle_option(function: F) -> F:
    """`--bundle`: whose images."""
    return click.option(
        "--bundle",
        "bundle_folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The images of this bundle, which is not verified here (default: those last made by `devicepipe sign` or `test`).",
    )(function)


@click.command()
@device_argument
@bundle_option
@project_option
@json_option
def health(device: str, bundle_folder: Path | None, folder: Path, as_json: bool) -> int:
    """Check whether DEVICE is well.

    It is, where its drivers are there, it starts, and it is who the inventory says.
    One that is not is out of service from then on, for all of this machine, until it passes. Nothing is written to a real device.

    Exit codes: 0 it is well, 3 it is not, or somebody else has it.
    """
    from devicepipe.bench.service import Service

    with _unit(folder, device, bundle_folder, "a health check", only_emulated=True) as (unit, _):
        found = unit.health()
    Service.here().keep(found)
    if as_json:
        print_json(found.model_dump())
    elif found.wrong:
        tell(f"{device}: out of service: {found.wrong}", fg="red")
    else:
        tell(f"{device}: well: {found.says}", fg="green")
    return EXIT_BENCH if found.wrong else EXIT_OK


@click.command()
@device_argument
@bundle_option
@project_option
@json_option
def flash(device: str, bundle_folder: Path | None, folder: Path, as_json: bool) -> int:
    """Write the factory image to DEVICE.

    The device then says who it is. An emulated device is made anew, with the image in it, and gone afterwards.

    Exit codes: 0 it runs what was written, 1 it does not, 3 it cannot be written, or somebody else has it.
    """
    from devicepipe.bench.faults import DeviceFaultError
    from devicepipe.errors import EXIT_PRODUCT_FAILED

    with _unit(folder, device, bundle_folder, "writing its flash") as (unit, _):
        try:
            identity = unit.flash()
        except DeviceFaultError as error:
            if as_json:
                print_json({"device": device, "wrong": str(error), "identity": None})
            else:
                tell(f"{device}: {error}", fg="red")
            return EXIT_PRODUCT_FAILED
    if as_json:
        print_json({"device": device, "wrong": "", "identity": identity.to_json()})
    else:
        tell(f"{device}: runs {identity.version}, image digest {identity.digest}", fg="green")
    return EXIT_OK


@click.command()
@device_argument
@project_option
@json_option
def reset(device: str, folder: Path, as_json: bool) -> int:
    """Reset DEVICE, by its driver for that, or else by its power.

    Exit codes: 0 done, 3 it cannot be reset, or somebody else has it.
    """
    with _unit(folder, device, None, "a reset") as (unit, _):
        unit.composed.reset()
    return _did(device, "reset", as_json)


@click.command()
@device_argument
@click.argument("action", type=click.Choice(["on", "off", "cycle"]))
@project_option
@json_option
def power(device: str, action: str, folder: Path, as_json: bool) -> int:
    """Switch the power of DEVICE on or off, or off and on.

    Exit codes: 0 done, 2 it has no driver for its power, 3 it cannot be switched, or somebody else has it.
    """
    with _unit(folder, device, None, f"power {action}") as (unit, _):
        driver = unit.composed.parts.power
        if driver is None:
            raise UsageError(
                f"device '{device}' has no driver for its power",
                remedy="add [device.power] to bench.toml; see docs/reference/bench.md",
            )
        if action == "cycle":
            driver.cycle()
        else:
            driver.switch(action == "on")
    return _did(device, f"power {action}", as_json)


@click.command()
@device_argument
@click.option(
    "--for", "duration", help="How long, e.g. 2s: on a terminal in all, otherwise after the end of the input (1s)."
)
@bundle_option
@project_option
def console(device: str, duration: str | None, bundle_folder: Path | None, folder: Path) -> int:
    """Talk to DEVICE on its console.

    What is typed or piped in goes to it, what it sends is shown.
    On a terminal, Ctrl-] leaves. E.g. `echo id | devicepipe bench console DEVICE --for 2s`. A real device is not reset; an
    emulated one is made anew.

    Exit codes: 0 left, 1 its processor locked up, 3 the device was lost, or somebody else has it.
    """
    from devicepipe.bench.console import run_console
    from devicepipe.bench.faults import DeviceFaultError
    from devicepipe.errors import ProductError

    limit = seconds(duration) if duration is not None else None
    with _unit(folder, device, bundle_folder, "its console", only_emulated=True) as (unit, held):
        unit.start()
        try:
            run_console(unit.target.channel, sys.stdin.fileno(), sys.stdout.fileno(), limit, held.lost, device)
        except DeviceFaultError as error:
            raise ProductError(str(error)) from error
    return EXIT_OK


def seconds(text: str) -> float:
    """A duration, e.g. 90s, 30m, 2h, 1d."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isascii() or not number.isdigit() or int(number) == 0:
        raise UsageError(f"--for {text}: expected a number and one of {', '.join(_UNITS)}", remedy="e.g. --for 2h")
    return float(int(number) * _UNITS[unit])


@contextmanager
def _unit(
    folder: Path, name: str, bundle: Path | None, purpose: str, *, only_emulated: bool = False
) -> Iterator[tuple[Unit, Held]]:
    """A device in one's hand; its logs are kept where something went wrong.

    Args:
        folder: A folder of the project.
        name: The device's id.
        bundle: Whose images; None: those of the last development run.
        purpose: What for.
        only_emulated: Whether a real device needs no images.
    """
    import socket

    from devicepipe.bench.by_hand import in_hand
    from devicepipe.bench.holding import demand_here
    from devicepipe.project.inventory import load_inventory

    project = open_project(folder)
    inventory = load_inventory(project)
    device = inventory.device(name)
    board = project.board(device.board)
    demand_here(inventory.wrong_host(device, socket.gethostname()), name)
    kept = project.state / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    _forget_old(kept)
    logs = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=kept))
    try:
        spec = None if only_emulated and not device.emulated else _images(project, board, bundle, logs / "session")
        with in_hand(device, board.board, inventory, project.root, logs, spec, purpose) as in_my_hand:
            yield in_my_hand
    except BaseException:
        # An error may name a log in it.
        if not any(path.stat().st_size for path in logs.glob("*.log")):
            shutil.rmtree(logs)
        raise
    shutil.rmtree(logs)


def _forget_old(kept: Path) -> None:
    """Remove all but the newest logs of commands that failed: nobody else does."""
    folders = sorted((path for path in kept.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    for folder in folders[:-_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _images(project: Project, board: ProjectBoard, folder: Path | None, output: Path) -> SessionSpec | None:
    """The images of a bundle, or those that were made last; None where there are none."""
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.evidence.layout import kind_of_model
    from devicepipe.evidence.predicates import ImageSigning
    from devicepipe.stages.campaign import campaign_spec

    bundle = open_bundle(folder) if folder is not None else Bundle(project.state / "dev")
    if folder is None and not bundle.exists(kind_of_model(ImageSigning).path_for(board.name)):
        return None
    return campaign_spec(project, bundle, board, output)


def _did(device: str, what: str, as_json: bool) -> int:
    if as_json:
        print_json({"device": device, "did": what})
    else:
        tell(f"{device}: {what}")
    return EXIT_OK
