"""`devicepipe production`: what ships of an approved release."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.cli.progress import make_progress
from devicepipe.errors import EXIT_OK

if TYPE_CHECKING:
    from devicepipe.evidence.production import VerifiedProduction


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@project_option
@json_option
def production(bundle: Path, folder: Path, as_json: bool) -> int:
    """Sign the tested payloads of the approved release BUNDLE with the production key, into BUNDLE.production beside it.

    Builds each board's bootloader for that key from the released commit, shows that it differs from the tested one in nothing else,
    makes factory images, and starts them on emulated devices, which must refuse what the bench signed. What is there already is
    verified and not made again.

    Exit codes: 0 made, or there already; 1 the product cannot ship so; 2 usage, or not approved; 3 a tool failed; 4 integrity.
    """
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.pipeline.production import make_production
    from devicepipe.stages.context import open_keys

    project = open_project(folder)
    verified = verify_bundle(bundle, open_keys(project).trust)
    made, new = make_production(project, verified, progress=make_progress(quiet=as_json), cancel=threading.Event())
    if as_json:
        print_json(production_json(made) | {"folder": str(made.folder), "made": new})
    else:
        tell_production(made)
        tell(f"{'made' if new else 'there already'}: {made.folder}")
    return EXIT_OK


def production_json(made: VerifiedProduction) -> dict[str, Any]:
    """What ships, as JSON data."""
    return {
        "productionKey": made.production.production_key.to_json(),
        "madeOn": made.production.made_on,
        "boards": made.shipped(),
        "links": [{"link": link.link, "check": link.check} for link in made.links],
    }


def tell_production(made: VerifiedProduction) -> None:
    """What ships, for people."""
    boards = counted(len(made.production.boards), "board")
    tell(
        f"production: {boards} signed with the key {made.production_key.keyid[:16]}, {len(made.links)} links checked",
        fg="green",
    )
    for board in made.production.boards:
        tell(f"  {board.board:20} image digest {board.application.image_digest}, as tested")
