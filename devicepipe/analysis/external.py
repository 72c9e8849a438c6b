"""Running another program that analyses."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devicepipe.errors import BenchError

TIMEOUT = 600.0
"""The longest that one may run, in seconds."""


def run_tool(
    command: Sequence[str], folder: Path, *, install: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code, and return what it said.

    Args:
        command: Program and arguments.
        folder: Its working folder.
        install: The remedy where it does not run.
        environment: Its whole environment; None: this process's.

    Raises:
        BenchError: It does not run, or not to its end within `TIMEOUT`.
    """
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(
            f"{Path(command[0]).name} was not done within {TIMEOUT:.0f} s", remedy="run it again on a less busy machine"
        ) from None
    except OSError as error:
        raise BenchError(f"{command[0]} does not run: {error}", remedy=install) from error
