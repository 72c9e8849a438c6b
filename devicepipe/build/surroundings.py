"""What two clean builds of one commit differ in besides their sources: folder, user, home, time zone, locale and the like.

What always holds: a build's `Surroundings` decide everything listed here, whatever the user's own environment says; `recorded`
tells them without a path, host name or user of this machine; `variations` names what really differed between two builds.

How the zone catches times: the second build's zone is 24 h 45 min ahead of the first's UTC (POSIX allows 24 hours and 59 minutes),
so that every local date and every local time of day differs, however quickly the builds follow each other. What embeds the time in
UTC differs by the time that really passed, which is recorded too. SOURCE_DATE_EPOCH is no surrounding: it is the commit's time,
an input of the build, and the same in both; GCC writes it for `__DATE__` and `__TIME__`.

Limits, since nothing of this needs root: user and group ids, host name, kernel, processor and the order of files in folders are
those of the machine in both builds (`SAME`).
"""

from __future__ import annotations

import locale as locales
import os
import site
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devicepipe.evidence.predicates import Variation

SAME = ("user and group ids", "host name", "kernel", "processor", "order of files in folders")
"""What two builds on one machine do not differ in."""

AGED = 1_000_000_000
"""Modification time of every source file of an aged copy: 2001-09-09, far from any other."""

_ELSEWHERE = "<+2445>-24:45"


@dataclass(frozen=True)
class Surroundings:
    """What surrounds a build.

    Attributes:
        folder: A word for the folder that it is done in.
        private: A folder for a home and temporary files of its own, made anew; None: the user's own.
        user: The name in USER and LOGNAME; None: the user's own.
        timezone: TZ, as POSIX writes it.
        locale: LC_ALL.
        umask: The file mode creation mask.
        hash_seed: PYTHONHASHSEED: in which order scripts of the build walk through their sets.
        jobs: Compilers at once; None for one per processor.
        aged: Whether every source file bears the modification time `AGED`.
    """

    folder: str = "build"
    private: Path | None = None
    user: str | None = None
    timezone: str = "UTC"
    locale: str = "C.UTF-8"
    umask: int = 0o022
    hash_seed: int = 0
    jobs: int | None = 1
    aged: bool = False

    def environment(self) -> dict[str, str]:
        """The environment variables that say so; makes the private folders."""
        variables = {"TZ": self.timezone, "LC_ALL": self.locale, "PYTHONHASHSEED": str(self.hash_seed)}
        if self.user is not None:
            variables |= {"USER": self.user, "LOGNAME": self.user}
        if self.private is not None:
            home, temporary = self.private / "home", self.private / "tmp"
            for folder in (home, temporary):
                folder.mkdir(parents=True, exist_ok=True)
            # PlatformIO may be installed in the user's own site-packages, which Python looks for below HOME.
            variables |= {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONUSERBASE": site.getuserbase()}
        return variables

    def recorded(self) -> dict[str, str]:
        """The same as evidence tells it."""
        return {
            "folder": self.folder,
            "home folder": "the user's own" if self.private is None else "a new, empty one",
            "folder of temporary files": "the user's own" if self.private is None else "a new, empty one",
            "user name": "the user's own" if self.user is None else self.user,
            "time zone": self.timezone,
            "locale": self.locale,
            "umask": f"{self.umask:03o}",
            "hash seed of scripts": str(self.hash_seed),
            "compilers at once": "one per processor" if self.jobs is None else str(self.jobs),
            "times of source files": "all 2001-09-09" if self.aged else "as copied",
        }


def elsewhere(folder: str, private: Path, environment: Mapping[str, str] = os.environ) -> Surroundings:
    """Surroundings that differ from the usual ones in everything."""
    return Surroundings(
        folder=folder,
        private=private,
        user="builder" if environment.get("USER") != "builder" else "someone-else",
        timezone=_ELSEWHERE,
        locale=_other_locale(),
        umask=0o077,
        hash_seed=4711,
        jobs=2,
        aged=True,
    )


def age(folder: Path) -> None:
    """Give every file below a folder the modification time `AGED`."""
    for path in folder.rglob("*"):
        os.utime(path, (AGED, AGED), follow_symlinks=False)


def variations(first: Mapping[str, str], second: Mapping[str, str]) -> list[Variation]:
    """What differs between two records of surroundings, in their order."""
    return [
        Variation(what=what, first=first[what], second=second[what])
        for what in first
        if what in second and first[what] != second[what]
    ]


def _other_locale() -> str:
    """A locale with another language, where one is installed; else plain C, which differs in its characters."""
    before = locales.setlocale(locales.LC_COLLATE)
    try:
        for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "en_US.UTF-8"):
            try:
                locales.setlocale(locales.LC_COLLATE, name)
            except locales.Error:
                continue
            return name
    finally:
        locales.setlocale(locales.LC_COLLATE, before)
    return "C"
