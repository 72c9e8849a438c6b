"""`devicepipe keys`: which keys sign, made for development at first use."""

from __future__ import annotations

from pathlib import Path

import click

from devicepipe.cli.common import json_option, open_project, print_json, project_option, tell


@click.command()
@project_option
@json_option
def keys(folder: Path, as_json: bool) -> None:
    """Show the keys that sign images and releases.

    Without [keys] in devicepipe.toml, development keys are made under .devicepipe/keys (mode 0600, ignored by git), and
    everything signed with them says so.
    """
    from devicepipe.stages.context import open_keys

    project = open_project(folder)
    opened = open_keys(project)
    roles = {"image": opened.image, "release": opened.release}
    if as_json:
        print_json({role: key.info.to_json() | {"pem": key.public.pem.decode()} for role, key in roles.items()})
        return
    for role, key in roles.items():
        kind = "DEVELOPMENT key" if key.public.development else "key"
        tell(f"{role:8} {key.public.scheme} {kind} {key.public.keyid}")
        configured = getattr(project.keys, f"{role}_public")
        path = project.root / configured if configured else project.state / "keys" / f"{role}.pub.pem"
        tell(f"{'':8} public half: {path}")
