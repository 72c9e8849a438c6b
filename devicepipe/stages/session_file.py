"""The file in which a signing session's secret is kept from one command to the next.

What always holds: it is written whole, for its owner alone (mode 0600), in the place of whatever was there: a link that somebody
planted is replaced, what it leads to is neither written nor read. A file that others could read or write is not believed.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from devicepipe.errors import BenchError
from devicepipe.project.config import Project

_LONGEST = 256
_OTHERS = 0o077


def read_session(project: Project, account: str) -> str:
    """The secret of the signing session that an account's person began here; "" where there is none to be believed."""
    try:
        handle = os.open(_file(project, account), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode) or seen.st_mode & _OTHERS or seen.st_uid != os.geteuid():
            return ""
        return os.read(handle, _LONGEST).decode("ascii", "replace")
    finally:
        os.close(handle)


def keep_session(project: Project, account: str, secret: str) -> None:
    """Keep the secret of a signing session.

    Raises:
        BenchError: The file cannot be written.
    """
    path = _file(project, account)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # O_EXCL, O_NOFOLLOW, mode 0600
        new = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secret)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise BenchError(
            f"the signing session cannot be kept: {path}: {error.strerror}",
            remedy="see to it that a file can be written there; nothing was signed",
        ) from error


def _file(project: Project, account: str) -> Path:
    return project.state / f"session-{account}"
