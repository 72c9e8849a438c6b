"""The folder a run works in: its own, and locked while the run lives.

It is gone after a run that ended well or was interrupted. A run that failed or was killed leaves it behind, unlocked, so that the
logs which its error names can be read; the next run removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicepipe.errors import DevicepipeError

_LOCK = "lock"


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A new, empty, locked folder below `parent`; folders of dead runs are removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    for stale in parent.iterdir():
        _remove_if_dead(stale)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        except DevicepipeError:
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_dead(folder: Path) -> None:
    try:
        handle = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        # Between making the folder and locking it a run has no lock file yet: too young to be judged.
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(handle)
