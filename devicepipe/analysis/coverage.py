"""Coverage of source files by the programs that ship: lines, functions and decisions, summed up over programs and boards.

What always holds: everything that is in a program is in the figures, whether it was executed or not; a line or function counts as
executed where one of its instructions, in place or inlined, was begun; a decision has two outcomes, executed where they were seen.
The numbers of executions are numbers of tests (on each board): they depend on what was tested, not on how long it took.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from devicepipe.analysis.covered_program import CoveredProgram, Hits


@dataclass(slots=True)
class FunctionCoverage:
    """A function: its first line, how many tests executed it, and how many of its instructions there are and were executed."""

    line: int
    hits: int = 0
    instructions: int = 0
    executed: int = 0


@dataclass(slots=True)
class FileCoverage:
    """A source file.

    Attributes:
        lines: Line → by how many tests it was executed.
        functions: By name.
        decisions: Line → the outcomes of each decision on it: tests that went straight on, and tests that went elsewhere.
    """

    lines: dict[int, int] = field(default_factory=dict)
    functions: dict[str, FunctionCoverage] = field(default_factory=dict)
    decisions: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """Numbers of what there is, and of what was executed."""

    instructions: int
    instructions_executed: int
    lines: int
    lines_executed: int
    functions: int
    functions_executed: int
    outcomes: int
    outcomes_executed: int


Coverage = dict[str, FileCoverage]
"""Source file → its coverage."""


def cover(program: CoveredProgram, hits: Hits) -> Coverage:
    """The coverage of a program's sources."""
    files: Coverage = {}
    for address, place in program.places.items():
        file = files.setdefault(place.file, FileCoverage())
        count = hits.instructions.get(address, 0)
        if place.line:
            file.lines[place.line] = max(file.lines.get(place.line, 0), count)
        if place.function:
            function = file.functions.setdefault(place.function, FunctionCoverage(place.line))
            function.line = min(filter(None, (function.line, place.line)), default=0)
            function.hits = max(function.hits, count)
            function.instructions += 1
            function.executed += count > 0
    for decision in program.flow.decisions:
        place = program.places[decision.address]
        outcomes = hits.outcomes(decision, program.flow)
        files[place.file].decisions.setdefault(place.line, []).append(outcomes)
    return files


def merge(coverages: Iterable[Coverage]) -> Coverage:
    """Sum up by source line. Decisions stand side by side: those of two programs are not the same instructions."""
    merged: Coverage = {}
    for coverage in coverages:
        for path, file in coverage.items():
            into = merged.setdefault(path, FileCoverage())
            for line, count in file.lines.items():
                into.lines[line] = into.lines.get(line, 0) + count
            for name, function in file.functions.items():
                known = into.functions.setdefault(name, FunctionCoverage(function.line))
                known.line = min(filter(None, (known.line, function.line)), default=0)
                known.hits += function.hits
                known.instructions += function.instructions
                known.executed += function.executed
            for line, outcomes in file.decisions.items():
                into.decisions.setdefault(line, []).extend(outcomes)
    return merged


def totals(files: Iterable[FileCoverage]) -> Totals:
    """The sums of some files."""
    listed = list(files)
    functions = [function for file in listed for function in file.functions.values()]
    lines = [count for file in listed for count in file.lines.values()]
    outcomes = [count for file in listed for line in file.decisions.values() for pair in line for count in pair]
    return Totals(
        instructions=sum(function.instructions for function in functions),
        instructions_executed=sum(function.executed for function in functions),
        lines=len(lines),
        lines_executed=sum(count > 0 for count in lines),
        functions=len(functions),
        functions_executed=sum(function.hits > 0 for function in functions),
        outcomes=len(outcomes),
        outcomes_executed=sum(count > 0 for count in outcomes),
    )
