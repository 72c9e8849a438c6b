"""`devicepipe report`: a bundle's documents, made anew from the bundle alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import json_option, print_json, tell
from devicepipe.errors import EXIT_INTEGRITY, EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.stages.document import Documents


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("names", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write them (default: nowhere, only compare).",
)
@click.option(
    "--reports",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Texts and definitions to take instead of the bundle's, for a preview; needs --output.",
)
@click.option(
    "--watch", is_flag=True, help="Render a preview again whenever a file in --reports changes, until Ctrl-C."
)
@click.option(
    "--list", "only_list", is_flag=True, help="List the documents with their numbers and titles; render nothing."
)
@json_option
def report(
    bundle: Path,
    names: tuple[str, ...],
    output: Path | None,
    reports: Path | None,
    watch: bool,
    only_list: bool,
    as_json: bool,
) -> int:
    """Make the documents of BUNDLE anew and compare them with those in it, byte for byte.

    NAMES are the documents that are wanted (see --list); without one, all are made.

    Exit codes: 0 all are the same, 4 one differs from the bundle's (another version of devicepipe may lay out pages
    differently; `verify` tells whether the bundle itself is intact).
    """
    from devicepipe.evidence.bundle import Bundle

    source = Bundle(bundle)
    if watch and reports is None:
        raise UsageError("--watch needs --reports", remedy="name the folder that is edited, e.g. --reports reports")
    if reports is not None and output is None and not only_list:
        raise UsageError("--reports needs --output", remedy="name a folder for the preview, e.g. --output preview")
    if output is not None and output.resolve().is_relative_to(bundle.resolve()):
        raise UsageError("lies inside the bundle, which is sealed", file=output, remedy="name a folder outside it")
    if only_list:
        return _list(source, reports, as_json=as_json)
    _check_names(source, names, reports)
    if reports is not None and output is not None:
        from devicepipe.cli.watch import watch_folder
        from devicepipe.stages.document import Documents

        documents = Documents(source)
        if watch:
            return watch_folder(reports, lambda: _preview(documents, names, reports, output))
        _preview(documents, names, reports, output)
        return EXIT_OK
    return _compare(source, names, output, as_json=as_json)


def _check_names(source: Bundle, names: tuple[str, ...], reports: Path | None) -> None:
    from devicepipe.stages.document import Documents

    known = Documents(source).names(reports) if names else ()
    for name in names:
        if name not in known:
            raise UsageError(f"there is no document '{name}'", remedy=f"documents: {', '.join(known)}")


def _list(source: Bundle, reports: Path | None, *, as_json: bool) -> int:
    from devicepipe.documents.model import Heading
    from devicepipe.stages.document import Documents

    documents = Documents(source).compose(reports)
    if as_json:
        print_json(
            {
                "documents": [
                    {
                        "name": document.name,
                        "number": document.identifier,
                        "title": document.title,
                        "sections": [block.label for block in document.blocks if isinstance(block, Heading)],
                    }
                    for document in documents
                ]
            }
        )
    else:
        wide = max(len(document.name) for document in documents)
        for document in documents:
            tell(f"{document.name:{wide}}  {document.identifier}  {document.title}")
    return EXIT_OK


def _compare(source: Bundle, names: tuple[str, ...], output: Path | None, *, as_json: bool) -> int:
    from devicepipe.stages.document import Documents

    made = Documents(source).render(names)
    there = {name: source.exists(name) for name in made}
    same = {name: there[name] and source.read(name) == data for name, data in made.items()}
    if output is not None:
        _write(output, made)
    if as_json:
        print_json(
            {
                "documents": [
                    {"name": name, "size": len(made[name]), "identical": same[name], "in-bundle": there[name]}
                    for name in made
                ]
            }
        )
    else:
        for name, data in made.items():
            verdict = "identical to the bundle's" if same[name] else "DIFFERS from the bundle's"
            verdict = verdict if there[name] else "is NOT IN THE BUNDLE"
            tell(f"{name}  {len(data)} bytes  {verdict}", fg="green" if same[name] else "red")
        _tell_sum(list(same.values()), list(there.values()))
    return EXIT_OK if all(same.values()) else EXIT_INTEGRITY


def _tell_sum(same: list[bool], there: list[bool]) -> None:
    missing = there.count(False)
    differ = same.count(False) - missing
    told = f"{len(same)} files: {same.count(True)} identical, {differ} different, {missing} not in the bundle"
    if all(same):
        tell(told, fg="green")
        return
    tell(told, fg="red")
    tell("  another version of devicepipe may have made the bundle; `devicepipe verify` tells whether it is intact")


def _preview(documents: Documents, names: tuple[str, ...], reports: Path, output: Path) -> None:
    made = documents.render(names, reports)
    _write(output, made)
    tell(f"{len(made)} files written to {output}: a preview, not the release's documents", fg="green")


def _write(folder: Path, documents: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in documents.items():
            path = folder / Path(name).relative_to("documents")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=folder) from error
