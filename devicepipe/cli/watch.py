"""Doing something again whenever a file in a folder changes, while someone edits it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from devicepipe.cli.common import tell
from devicepipe.errors import EXIT_OK, DevicepipeError

_INTERVAL = 0.25
"""Seconds between two looks at the folder: a few file times, which cost nothing that shows."""

State = dict[str, tuple[int, int]]


def watch_folder(folder: Path, act: Callable[[], None], changes: Iterator[None] | None = None) -> int:
    """Act now and after each change; what goes wrong is told, and the watch goes on. Ends with Ctrl-C.

    Args:
        folder: The folder.
        act: What to do.
        changes: Yields at each change; by default a look at the folder every quarter of a second.
    """
    tell(f"watching {folder}; Ctrl-C ends it", dim=True)
    # What changes while it is rendered is seen afterwards: the first state is that before the first rendering.
    seen = changes if changes is not None else changes_of(folder, state_of(folder))
    try:
        _act(act)
        for _ in seen:
            _act(act)
    except KeyboardInterrupt:
        tell()
    return EXIT_OK


def _act(act: Callable[[], None]) -> None:
    begin = time.monotonic()
    try:
        act()
        tell(f"done in {time.monotonic() - begin:.1f} s", dim=True)
    except DevicepipeError as error:
        tell(str(error), fg="red")
        tell("waiting for the next change", dim=True)


def changes_of(folder: Path, seen: State, wait: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Yields whenever the folder is another one than it was, from `seen` on."""
    while True:
        wait(_INTERVAL)
        now = state_of(folder)
        if now != seen:
            # An editor writes in several steps: wait until the folder is the same twice.
            while now != seen:
                seen = now
                wait(_INTERVAL / 5)
                now = state_of(folder)
            yield


def state_of(folder: Path) -> State:
    """Name -> time of change and size of each file in a folder; a folder that is gone has none."""
    found: State = {}
    try:
        for path in folder.iterdir():
            try:
                status = path.stat()
            except OSError:  # gone since it was listed
                continue
            found[path.name] = (status.st_mtime_ns, status.st_size)
    except OSError:
        return {}
    return found
