"""The folder a run works in: its own, and locked while the run lives.

It is gone after a run that ended well or was interrupted. A run that failed or was killed leaves it behind, unlocked, so that the
logs which its error names can be read; the next run removes it.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicepipe.durable import locked
from devicepipe.errors import DevicepipeError

_LOCK = "lock"


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A new, empty, locked folder below `parent`; folders of dead runs are removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    # Held while folders are judged and made: a folder without a held lock is then a dead run's.
    with locked(parent.with_name(f"{parent.name}.lock")):
        for folder in parent.iterdir():
            if _is_dead(folder):
                shutil.rmtree(folder, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        lock = (folder / _LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    with lock:
        try:
            yield folder
        except DevicepipeError:
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def _is_dead(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
