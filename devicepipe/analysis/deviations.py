"""Deviations from MISRA C:2012: a reviewable file that says which rule is not kept where, and why.

The file is TOML::

    [[deviation]]
    rule = "15.5"                        # the rule's number
    scope = ["firmware/src/*"]           # files by glob, relative to the product's root; "*" matches "/" too
    justification = "…"                  # why the code is as safe without it
    reviewer = "…"
    date = 2026-11-25                    # of the review

What always holds: a finding is deviated from only by a deviation of its own rule whose scope holds its file, and the deviation that
covers it is the first of the file. A deviation never removes a finding: it stays in the evidence, with its justification as a
SARIF suppression (SARIF 2.1.0, 3.35).

Sources: MISRA C:2012, 5.4, and MISRA Compliance:2020, chapter 4 (deviations); the rules' texts are not free and are not reproduced.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from devicepipe.analysis.sarif import Log
from devicepipe.evidence.findings import Deviation
from devicepipe.project.toml_file import Table, Text, TomlFile

MISRA = "misra-c2012-"


class _Deviation(Table):
    rule: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?\.[1-9][0-9]?$")]
    scope: tuple[Text, ...] = Field(min_length=1, strict=False)
    justification: Text
    reviewer: Text
    date: dt.date


class _File(Table):
    deviation: tuple[_Deviation, ...] = Field(default=(), strict=False)


@dataclass(slots=True)
class Deviations:
    """The deviations of a file, and the places that each one was used for: a place that two programs share is one."""

    entries: Sequence[Deviation] = ()
    _places: dict[int, set[str]] = field(default_factory=dict)

    def suppress(self, log: Log) -> None:
        """Mark every result of a log that a deviation covers."""
        for run in log["runs"]:
            for result in run["results"]:
                if (index := self._covering(result)) is not None:
                    self._places.setdefault(index, set()).add(json.dumps(result["locations"][-1], sort_keys=True))
                    text = self.entries[index].justification
                    result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": text}]

    def used(self) -> list[Deviation]:
        """The deviations, each with the number of places it was used for."""
        return [
            entry.model_copy(update={"places": len(self._places.get(index, ()))})
            for index, entry in enumerate(self.entries)
        ]

    def _covering(self, result: dict[str, Any]) -> int | None:
        rule = str(result["ruleId"])
        if not rule.startswith(MISRA) or not result["locations"]:
            return None
        file = str(result["locations"][-1]["physicalLocation"]["artifactLocation"]["uri"])
        for index, entry in enumerate(self.entries):
            if f"{MISRA}{entry.rule}" == rule and any(fnmatchcase(file, scope) for scope in entry.scope):
                return index
        return None


def load_deviations(path: Path | None) -> Deviations:
    """Read a file of deviations; none where there is no file.

    Raises:
        UsageError: A key is missing, unknown or wrong, or a deviation stands twice; names file, line and key.
    """
    if path is None:
        return Deviations()
    source = TomlFile.read(path, advice="docs/reference/configuration.md says how a deviation is written")
    entries: list[Deviation] = []
    for index, written in enumerate(source.parse(_File).deviation):
        seen = [(entry.rule, scope) for entry in entries for scope in entry.scope]
        for scope in written.scope:
            if (written.rule, scope) in seen:
                raise source.error(
                    f"rule {written.rule} has a deviation for '{scope}' already", ("deviation", index, "scope")
                )
        entries.append(
            Deviation(
                rule=written.rule,
                scope=list(written.scope),
                justification=" ".join(written.justification.split()),
                reviewer=written.reviewer,
                date=written.date.isoformat(),
            )
        )
    return Deviations(tuple(entries))
