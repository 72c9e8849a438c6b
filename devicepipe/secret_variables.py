"""Variables of the environment that hold secrets, and how they are kept from all programs that are started.

What always holds: after `withhold`, which the command line calls before anything else, the environment has none of them, and no
program that is started inherits one, nor the file descriptor that `DEVICEPIPE_SECRETS_FD` names. This process alone has them, in
its memory. What the kernel shows of the environment that it began with (/proc/PID/environ) cannot be taken back.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

SECRET: Final = "DEVICEPIPE_SECRET_"  # noqa: S105 - what names of variables begin with
DESCRIPTOR: Final = "DEVICEPIPE_SECRETS_FD"
ACCOUNTS: Final = "DEVICEPIPE_ACCOUNTS"

_withheld: dict[str, str] = {}


def withhold() -> None:
    """Take every variable that holds a secret out of the environment, for `take` and `look_up`."""
    for name in filter(_is_secret, [*os.environ]):
        _withheld[name] = os.environ.pop(name)
    keep_from_children(_withheld.get(DESCRIPTOR, ""))


def take(name: str) -> str | None:
    """The value of a variable, once: afterwards it is neither in the environment nor withheld. None where there is none."""
    withheld = _withheld.pop(name, None)
    return os.environ.pop(name, withheld)


def look_up(name: str) -> str | None:
    """The value of a variable, which is looked up again later. None where there is none."""
    return os.environ.get(name, _withheld.get(name))


def inherited() -> dict[str, str]:
    """The environment for a program that is not ours: without secrets also in a program that never called `withhold`."""
    return {name: value for name, value in os.environ.items() if not _is_secret(name)}


def keep_from_children(descriptor: str | int) -> None:
    """Have no program that is started inherit a file descriptor. One that is none is told when it is read."""
    with contextlib.suppress(OSError, ValueError, OverflowError):
        os.set_inheritable(int(descriptor), False)


def _is_secret(name: str) -> bool:
    return name in (DESCRIPTOR, ACCOUNTS) or name.startswith(SECRET)
