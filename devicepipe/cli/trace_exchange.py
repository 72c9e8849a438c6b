"""`devicepipe trace import` and `export`: items from and into the files of other tools."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import (
    counted,
    json_option,
    note,
    open_bundle,
    open_project,
    print_json,
    project_option,
    tell,
)
from devicepipe.errors import EXIT_OK, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devicepipe.traceability.loss import Loss

_SHOWN = 3  # places of each sort of loss


def _options(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Settings of a format: each value as TOML, or else a text."""
    import tomllib

    found: dict[str, Any] = {}
    for text in values:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise click.BadParameter(f"expected KEY=VALUE, found '{text}'")
        try:
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value
    return found


_option = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_options,
    help="A setting of the format (repeatable).",
)
_strict = click.option("--strict", is_flag=True, help="Fail, and write nothing, where something cannot be carried.")


@click.command("import")
@click.argument("form", metavar="FORMAT")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="The Markdown file to write.")
@click.option("--topic", default="", help="Its heading (default: the file's name).")
@click.option(
    "--mapping",
    "mapping_file",
    type=click.Path(path_type=Path),
    help="A TOML file with the mapping (default: [traceability.mapping] of devicepipe.toml).",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@_strict
@_option
@project_option
@json_option
def import_(
    *,
    form: str,
    paths: tuple[Path, ...],
    target: Path,
    topic: str,
    mapping_file: Path | None,
    dry_run: bool,
    strict: bool,
    options: dict[str, Any],
    folder: Path,
    as_json: bool,
) -> int:
    """Write the items of other tools' files as Markdown, and list what could not be carried.

    A file that is there is never overwritten. Exit codes: 0 written (or shown), 2 a mistake, no items, or with --strict a loss.
    """
    from devicepipe.errors import UsageError
    from devicepipe.stages.exchange import import_as_markdown

    project = open_project(folder)
    if target.exists() and not dry_run:
        raise UsageError(
            "is there already, and is not overwritten", file=target, remedy="name another file, or remove it"
        )
    if target.suffix != ".md":
        raise UsageError("is no Markdown file", file=target, remedy="name it *.md")
    done = import_as_markdown(
        project,
        form,
        list(paths),
        options,
        mapping_file=mapping_file,
        topic=topic or target.stem.replace("-", " ").title(),
    )
    refused = strict and bool(done.losses)
    written = not dry_run and not refused and bool(done.types)
    if written:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(done.text)
    if as_json:
        print_json(
            {
                "written": str(target) if written else None,
                "types": done.types,
                "ids": done.ids,
                "prefixes": done.prefixes,
                "problems": done.problems,
                "losses": [loss.to_json() for loss in done.losses],
                **({"text": done.text} if dry_run else {}),
            }
        )
    else:
        if dry_run:
            tell(done.text)
        _tell_losses(done.losses)
        for prefix, kind in done.prefixes.items():
            note(f'note: devicepipe.toml does not know the prefix yet: {prefix} = "{kind}" in [traceability.prefixes]')
        for problem in done.problems:
            note(f"note: to be corrected by you: {problem}")
        many = ", ".join(f"{count} {kind}" for kind, count in done.types.items()) or "none"
        said = f"{target} written" if written else "nothing written"
        tell(
            f"{counted(sum(done.types.values()), 'item')} ({many}), {counted(len(done.losses), 'loss', 'losses')}: {said}",
            bold=True,
        )
    return EXIT_USAGE if refused or not done.types else EXIT_OK


@click.command()
@click.argument("form", metavar="FORMAT")
@click.argument("target", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "--bundle",
    "bundle_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The items of a release's bundle, instead of the working tree's.",
)
@click.option("--type", "types", multiple=True, help="Only items of this type (repeatable; default: all).")
@_strict
@_option
@project_option
@json_option
def export(
    *,
    form: str,
    target: Path,
    bundle_folder: Path | None,
    types: tuple[str, ...],
    strict: bool,
    options: dict[str, Any],
    folder: Path,
    as_json: bool,
) -> int:
    """Write the product's items into another tool's file or folder, and list what could not be carried.

    What is there is never overwritten. Exit codes: 0 written, 2 a mistake, or with --strict a loss.
    """
    from devicepipe.errors import UsageError
    from devicepipe.evidence.trace import Traceability
    from devicepipe.stages.items import read_product_items
    from devicepipe.traceability.registry import make_exporter

    exporter = make_exporter(form, options)
    if target.exists():
        raise UsageError(
            "is there already, and is not overwritten", file=target, remedy="name another place, or remove it"
        )
    if bundle_folder is not None:
        items = tuple(open_bundle(bundle_folder).predicate(Traceability).items)
    else:
        items = read_product_items(open_project(folder))[0]
    known = sorted({item.type for item in items})
    for kind in types:
        if kind not in known:
            raise UsageError(f"there are no items of type '{kind}'", remedy=f"types: {', '.join(known)}")
    items = tuple(item for item in items if not types or item.type in types)
    made = exporter.write(items)
    refused = strict and bool(made.losses)
    if not refused:
        for name, data in made.files.items():
            path = target / name if name else target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    if as_json:
        print_json(
            {
                "written": None if refused else sorted(str(target / name if name else target) for name in made.files),
                "items": len(items),
                "losses": [loss.to_json() for loss in made.losses],
            }
        )
    else:
        _tell_losses(made.losses)
        said = "nothing written" if refused else f"{target} written"
        tell(f"{counted(len(items), 'item')}, {counted(len(made.losses), 'loss', 'losses')}: {said}", bold=True)
    return EXIT_USAGE if refused else EXIT_OK


def _tell_losses(losses: Sequence[Loss]) -> None:
    """The losses by sort: each with its first places and how many there are."""
    for what, count in Counter(loss.what for loss in losses).most_common():
        places = [loss for loss in losses if loss.what == what]
        tell(f"not carried, {count} x: {what}", fg="yellow")
        for loss in places[:_SHOWN]:
            line = f":{loss.line}" if loss.line else ""
            tell(f"  {loss.file}{line}{': ' if loss.item else ''}{loss.item}")
        if count > _SHOWN:
            tell(f"  and {count - _SHOWN} more (all of them with --json)")
