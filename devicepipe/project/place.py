"""Where a project is: the folder of the nearest devicepipe.toml."""

from __future__ import annotations

from pathlib import Path

from devicepipe.errors import UsageError

CONFIG_NAME = "devicepipe.toml"


def find_project(start: Path) -> Path:
    """The devicepipe.toml of `start` or of the nearest folder above it.

    Raises:
        UsageError: There is none.
    """
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    raise UsageError(
        f"no {CONFIG_NAME} in {start} or a folder above it",
        remedy="run it in the product's repository, or write one: see the README",
    )
