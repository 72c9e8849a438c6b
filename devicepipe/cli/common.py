"""What several commands share: options, finding the project, printing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.project.config import Project
    from devicepipe.project.inventory import Inventory

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """`--json`: one document on standard output, nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")(function)


def project_option(function: F) -> F:
    """`--project`: where the product's repository is."""
    return click.option(
        "--project",
        "folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        help="A folder of the product's repository (default: this one).",
    )(function)


def boards_option(function: F) -> F:
    """`--board`: only these boards; may be given several times."""
    return click.option(
        "--board",
        "boards",
        multiple=True,
        shell_complete=complete_board,
        help="Only this board (repeatable; default: all).",
    )(function)


def devices_option(function: F) -> F:
    """`--device`: on these devices; may be given several times."""
    return click.option(
        "--device",
        "devices",
        multiple=True,
        shell_complete=complete_device,
        help="Run its board's tests on this device of bench.toml (repeatable, one a board; default: an emulated one).",
    )(function)


def wanted_devices(folder: Path, boards: tuple[str, ...], devices: tuple[str, ...]) -> dict[str, str]:
    """Board → the device that its tests are wanted on. Raises UsageError where that is not to be had."""
    from devicepipe.errors import UsageError

    # Also where none is named: a mistake in bench.toml is told before anything is built.
    inventory, wanted = open_inventory(folder), dict[str, str]()
    for name in dict.fromkeys(devices):
        board = inventory.device(name).board
        if board in wanted:
            raise UsageError(
                f"--device {name}: device '{wanted[board]}' of the same board '{board}' is named already",
                remedy="name one device a board",
            )
        if boards and board not in boards:
            raise UsageError(f"--device {name}: its board '{board}' is none of those named with --board")
        wanted[board] = name
    return wanted


def complete_board(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names of the product's boards."""
    from devicepipe.errors import DevicepipeError

    try:
        return [board.name for board in open_project(Path()).boards if board.name.startswith(incomplete)]
    except DevicepipeError:
        return []


def complete_device(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The ids of the inventory's devices."""
    from devicepipe.errors import DevicepipeError
    from devicepipe.project.inventory import load_inventory

    try:
        return [name for name in load_inventory(open_project(Path())).devices if name.startswith(incomplete)]
    except DevicepipeError:
        return []


def open_bundle(folder: Path) -> Bundle:
    """The bundle in a folder, released or of a development run; it is not verified. Raises UsageError where it is none."""
    from devicepipe.errors import UsageError
    from devicepipe.evidence.bundle import Bundle

    if not (folder / "attestations").is_dir():
        raise UsageError(
            f"'{folder}' is no bundle: it has no folder 'attestations'",
            remedy="name the folder of a release, e.g. dist/NAME-VERSION, or .devicepipe/dev",
        )
    return Bundle(folder)


def counted(number: int, what: str, many: str = "") -> str:
    """A number of things, e.g. "1 point", "2 points"; `many` is their name where it does not end in "s" only."""
    return f"{number} {what}" if number == 1 else f"{number} {many or f'{what}s'}"


def open_inventory(folder: Path) -> Inventory:
    """The devices of the project that `folder` lies in, with drivers that can be made. Raises UsageError."""
    from devicepipe.project.inventory import load_inventory

    project = open_project(folder)
    inventory = load_inventory(project)
    if any(not device.emulated for device in inventory.devices.values()):
        from devicepipe.bench.composed import check_devices

        check_devices(inventory, project)
    return inventory


def open_project(folder: Path) -> Project:
    """The project that `folder` lies in. Raises UsageError."""
    from devicepipe.project.config import find_project, load_project

    return load_project(find_project(folder.resolve()))


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def tell(text: str = "", **style: Any) -> None:
    """A line on standard output; colours only on a terminal."""
    click.secho(fit_to_print(text), **style)


def note(text: str) -> None:
    """A line on standard error: what happens, not what was asked for."""
    click.echo(fit_to_print(text), err=True)


def fit_to_print(text: str) -> str:
    """Text with control and format characters as codes: no evidence and nobody's words move the cursor or turn what is read."""
    from devicepipe.documents.visible import visible

    return text if text.isprintable() else "\t".join(visible(part) for part in text.split("\t"))
