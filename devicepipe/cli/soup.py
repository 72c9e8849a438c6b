"""`devicepipe soup`: the C libraries (software of unknown provenance) that the firmware is built with."""

from __future__ import annotations

from pathlib import Path

import click

from devicepipe.cli.common import json_option, open_project, print_json, project_option, tell


@click.group()
def soup() -> None:
    """Fetch the firmware's C libraries, each checked against its locked hash."""


@soup.command()
@project_option
@json_option
def fetch(folder: Path, as_json: bool) -> None:
    """Fetch what the lock file names and put it into the PlatformIO project of the working tree."""
    from devicepipe.build.soup import load_lock
    from devicepipe.stages.source import lay_down_libraries

    project = open_project(folder)
    lay_down_libraries(project, project.state / "cache")
    lock = project.firmware.soup
    components = load_lock(project.root / lock).components if lock else ()
    if as_json:
        print_json([component.model_dump(mode="json", by_alias=True, exclude_none=True) for component in components])
        return
    for component in components:
        tell(f"{component.name} {component.version}  {component.licence}  sha256 {component.archive.sha256}")
    if not lock:
        tell("this product locks no libraries (firmware.soup in devicepipe.toml)")
