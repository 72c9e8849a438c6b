"""`devicepipe report`: a bundle's documents, made anew from the bundle alone."""

from __future__ import annotations

from pathlib import Path

import click

from devicepipe.cli.common import json_option, print_json, tell
from devicepipe.errors import EXIT_INTEGRITY, EXIT_OK, UsageError


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write them (default: nowhere, only compare).",
)
@json_option
def report(bundle: Path, output: Path | None, as_json: bool) -> int:
    """Make the documents of BUNDLE anew and compare them with those in it, byte for byte.

    Exit codes: 0 all are the same, 4 one differs from the bundle's (another version of devicepipe may lay out pages
    differently; `verify` tells whether the bundle itself is intact).
    """
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.stages.document import documents_of

    source = Bundle(bundle)
    made = documents_of(source)
    same = {name: source.exists(name) and source.read(name) == data for name, data in made.items()}
    if output is not None:
        if output.resolve().is_relative_to(bundle.resolve()):
            raise UsageError("lies inside the bundle, which is sealed", file=output, remedy="name a folder outside it")
        _write(output, made)
    if as_json:
        print_json({"documents": [{"name": name, "size": len(made[name]), "identical": same[name]} for name in made]})
    else:
        for name, data in made.items():
            verdict = "identical to the bundle's" if same[name] else "DIFFERS from the bundle's"
            tell(f"{name}  {len(data)} bytes  {verdict}", fg="green" if same[name] else "red")
    return EXIT_OK if all(same.values()) else EXIT_INTEGRITY


def _write(folder: Path, documents: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in documents.items():
            path = folder / Path(name).relative_to("documents")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=folder) from error
