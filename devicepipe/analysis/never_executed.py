"""Functions that no device test executes, and why: a reviewable file that `[coverage] never-executed` of devicepipe.toml names.

The file is TOML::

    [[never-executed]]
    functions = ["fault_handler", "report"]
    file = "src/port/*"                  # optional: in files of this glob only; "*" matches "/" too
    boards = ["microbit"]                # optional: on these boards only
    sometimes = true                     # optional: timing decides whether a test executes them; false
    reason = "…"
    reviewer = "…"
    date = 2026-11-25                    # of the review

What always holds: an entry is about a function of that very name; the first entry of the file that is about it gives its reason.
An entry never changes a figure. One that does not hold (a test executed the function after all, or no program has it) is told of.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field

from devicepipe.evidence.coverage import CoverageResult, FunctionShare, NeverExecuted
from devicepipe.project.toml_file import Table, Text, TomlFile


class Entry(Table):
    """Functions that no test executes, and the reason."""

    functions: tuple[Text, ...] = Field(min_length=1, strict=False)
    file: Text | None = None
    boards: tuple[Text, ...] = Field(default=(), strict=False)
    sometimes: bool = False
    reason: Text
    reviewer: Text
    date: dt.date

    def is_about(self, function: FunctionShare, board: str) -> bool:
        """Whether it is about that function of that board."""
        return (
            function.function in self.functions
            and (self.file is None or fnmatchcase(function.file, self.file))
            and (not self.boards or board in self.boards)
        )


class _File(Table):
    never_executed: tuple[Entry, ...] = Field(default=(), strict=False)


@dataclass(frozen=True, slots=True)
class Explained:
    """What no test executed, with the reasons that there are, and the entries that do not hold, in sentences."""

    never: list[NeverExecuted]
    stale: list[str]


def load_reasons(path: Path, boards: Sequence[str]) -> tuple[Entry, ...]:
    """Read the file.

    Args:
        path: The file.
        boards: The product's boards: what an entry may name.

    Raises:
        UsageError: A key is missing, unknown or wrong, or a board is unknown; names file, line and key.
    """
    source = TomlFile.read(path, advice="docs/reference/coverage.md says how a reason is written")
    entries = source.parse(_File).never_executed
    for index, entry in enumerate(entries):
        for board in entry.boards:
            if board not in boards:
                where = ("never-executed", index, "boards")
                raise source.error(f"there is no board '{board}'", where, remedy=f"boards: {', '.join(boards)}")
    return entries


def explain(results: Sequence[CoverageResult], entries: Sequence[Entry]) -> Explained:
    """Give what the tests did not execute on each board its reason, and find the entries that do not hold."""
    never: dict[tuple[str, str, int], NeverExecuted] = {}
    used: set[tuple[int, str]] = set()
    stale: dict[str, None] = {}
    for result in results:
        for function in result.functions:
            about = [number for number, entry in enumerate(entries) if entry.is_about(function, result.board)]
            used.update((number, function.function) for number in about)
            if function.hits:
                if about and not entries[about[0]].sometimes:
                    stale[f"{function.name} was executed on {result.board}"] = None
                continue
            number = about[0] if about else -1
            key = (function.file, function.function, number)
            known = never.get(key) or _never(function, entries[number] if about else None)
            never[key] = known.model_copy(update={"boards": [*known.boards, result.board]})
    covered = {result.board for result in results}
    for number, entry in enumerate(entries):
        if entry.boards and not covered & set(entry.boards):
            continue  # about boards whose coverage is not recorded
        where = f" of {', '.join(entry.boards)}" if entry.boards else ""
        stale |= {f"{name} is in no program{where}": None for name in entry.functions if (number, name) not in used}
    listed = sorted(never.values(), key=lambda one: (one.file, one.line, one.function, one.boards))
    return Explained(listed, list(stale))


def _never(function: FunctionShare, entry: Entry | None) -> NeverExecuted:
    return NeverExecuted(
        file=function.file,
        line=function.line,
        function=function.function,
        boards=[],
        reason=" ".join(entry.reason.split()) if entry else "",
        reviewer=entry.reviewer if entry else "",
        date=entry.date.isoformat() if entry else "",
    )
