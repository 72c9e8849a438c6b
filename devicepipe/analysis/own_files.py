"""Which of the files that a firmware is compiled from are the product's own, and how they are named in evidence.

Own are files below the product's root that are no SOUP, not generated and not of PlatformIO's packages.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devicepipe.analysis.sarif import Log

_C = (".c",)
_CPP = (".cc", ".cpp", ".cxx")


def command_of(entry: dict[str, Any]) -> list[str]:
    """The command line of one entry of a compilation database (Clang's JSON compilation database format)."""
    return list(entry["arguments"]) if "arguments" in entry else shlex.split(entry["command"])


def is_c(file: str) -> bool:
    """Whether a file is C, and not C++."""
    return Path(file).suffix in _C


@dataclass(frozen=True)
class Scope:
    """Which files are the product's own.

    Attributes:
        project: The PlatformIO project that was built in.
        root: The product's root: files outside are not its own, and paths in findings are relative to it.
        foreign: Files that are not the product's own (SOUP), relative to `project`.
    """

    project: Path
    root: Path
    foreign: Collection[str]

    def relative(self, file: str) -> str | None:
        """The path relative to the root of a file named relative to the project; None if it is not the product's own."""
        place = posixpath.normpath(posixpath.join(self.project.resolve().as_posix(), file))
        root = self.root.resolve().as_posix()
        own = place.startswith(root + "/") and "/.pio/" not in place
        inside = posixpath.relpath(place, self.project.resolve().as_posix())
        return posixpath.relpath(place, root) if own and inside not in self.foreign else None

    def own_entries(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The entries of a compilation database for own C and C++ files."""
        kept = [entry for entry in entries if self.relative(entry["file"]) is not None]
        return [entry for entry in kept if Path(entry["file"]).suffix in (*_C, *_CPP)]

    def keep_own(self, log: Log) -> None:
        """Drop results outside own files (the samples', SOUP's), make the others' paths relative, and drop unused rules."""
        for run in log["runs"]:
            kept = []
            for result in run["results"]:
                places = [location["physicalLocation"]["artifactLocation"] for location in result["locations"]]
                relative = [self.relative(place["uri"]) for place in places]
                if relative and relative[-1] is not None:
                    for place, path in zip(places, relative, strict=True):
                        place["uri"] = path or posixpath.basename(place["uri"])
                    kept.append(result)
            run["results"] = kept
            used = {result["ruleId"] for result in kept}
            driver = run["tool"]["driver"]
            driver["rules"] = [rule for rule in driver.get("rules", []) if rule["id"] in used]
