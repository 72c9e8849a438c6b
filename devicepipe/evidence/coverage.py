"""What the device tests executed of the programs that ship, as evidence: for each board, and merged over boards.

What always holds of every value here: the sums are those of what is listed, and nothing was executed that is not there.

*Merged*, of a source file that several boards are built from: a line or function was executed on *any* board where one of them
executed it, on *every* board where each executed it that has it in its programs. Instructions and outcomes of two boards are never
the same ones: they are added up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from devicepipe.evidence.model import Model, Sha256
from devicepipe.evidence.predicates import Tool

COVERAGE = "urn:devicepipe:predicate:coverage:v1"
MERGED_COVERAGE = "urn:devicepipe:predicate:merged-coverage:v1"

OUTSIDE = ""
"""The file of what is not of the product's sources: the compiler's library."""

Metric = Literal["instructions", "lines", "functions", "outcomes"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class Share(Model):
    """A part of a whole, e.g. lines executed of all lines."""

    executed: int = Field(ge=0)
    all: int = Field(ge=0)

    @model_validator(mode="after")
    def _part(self) -> Self:
        if self.executed > self.all:
            raise ValueError("more was executed than there is")
        return self

    def reaches(self, percent: int) -> bool:
        """Whether at least so many percent were executed; nothing is executed in whole."""
        return 100 * self.executed >= percent * self.all

    @property
    def percent(self) -> str:
        """In words, e.g. "89.9 %", rounded down: 89.99 % are not 90; "—" of nothing."""
        return f"{1000 * self.executed // self.all / 10:.1f} %" if self.all else "—"


class FileShares(Model):
    """How much of a source file was executed.

    Attributes:
        file: Relative to the firmware's project; OUTSIDE for what is not of the product's sources.
        instructions, lines, functions, outcomes: Of each. A decision has two outcomes.
    """

    file: str
    instructions: Share
    lines: Share
    functions: Share
    outcomes: Share

    def share(self, metric: Metric) -> Share:
        """One of them."""
        share: Share = getattr(self, metric)
        return share


class Minimum(Model):
    """The shares, in percent, that the product asks for."""

    instructions: int
    lines: int
    functions: int
    outcomes: int

    def percent(self, metric: Metric) -> int:
        """One of them."""
        percent: int = getattr(self, metric)
        return percent


class FunctionShare(Model):
    """A function of the product's sources: its instructions, and how many tests executed it, counted once for each program."""

    file: str
    line: int
    function: str
    instructions: Share
    hits: int = Field(ge=0)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.hits > 0) != (self.instructions.executed > 0):
            raise ValueError(f"{self.function} has {self.hits} hits, which its instructions deny")
        return self

    @property
    def name(self) -> str:
        """File and function."""
        return f"{self.file}:{self.function}"


class CoverageResult(Model):
    """Predicate COVERAGE: what one board's device tests executed of the application and the bootloader that ship.

    Attributes:
        board: The board.
        image_digest: The MCUboot digest of the image that the tests ran.
        tests: How many tests executed something.
        minimum: What the product asks of the total.
        total: All files of the product's sources together.
        files: Each file, by name.
        functions: The functions of the product's sources, by file and line. One that is in both programs stands here once.
        requirements: Requirement → the places in `functions` of what its tests executed while they ran.
        foreign: How many instructions were translated in a program's place that were not the program's: other images under test.
        tool: What told the instructions.
    """

    board: str
    image_digest: Sha256
    tests: int = Field(ge=0)
    minimum: Minimum
    total: FileShares
    files: list[FileShares]
    functions: list[FunctionShare]
    requirements: dict[str, list[int]]
    foreign: int
    tool: Tool

    @model_validator(mode="after")
    def _sums(self) -> Self:
        product = [file for file in self.files if file.file != OUTSIDE]
        for metric in METRICS:
            if self.total.share(metric) != added(file.share(metric) for file in product):
                raise ValueError(f"the total of {metric} is not the sum over the files")
        executed = sum(function.hits > 0 for function in self.functions)
        if self.total.functions != Share(executed=executed, all=len(self.functions)):
            raise ValueError("the total of functions is not that of the list")
        for requirement, places in self.requirements.items():
            if any(not 0 <= place < len(self.functions) or not self.functions[place].hits for place in places):
                raise ValueError(f"{requirement} executed a function that no test did")
        return self

    @property
    def short(self) -> list[Metric]:
        """What the product asks more of than was executed."""
        return [metric for metric in METRICS if not self.total.share(metric).reaches(self.minimum.percent(metric))]


class MergedShare(Model):
    """Of what shared source there is: how much was executed on any board, and how much on every board that has it."""

    any: int = Field(ge=0)
    every: int = Field(ge=0)
    all: int = Field(ge=0)

    @model_validator(mode="after")
    def _part(self) -> Self:
        if not self.every <= self.any <= self.all:
            raise ValueError("more was executed on every board than on any, or than there is")
        return self


class MergedFile(Model):
    """A source file over the boards that are built from it."""

    file: str
    boards: list[str]
    lines: MergedShare
    functions: MergedShare
    instructions: Share
    outcomes: Share


class NeverExecuted(Model):
    """A function of the product's sources that no test executed on these boards, and the reason given; "" where there is none."""

    file: str
    line: int
    function: str
    boards: list[str]
    reason: str = ""
    reviewer: str = ""
    date: str = ""


class MergedCoverage(Model):
    """Predicate MERGED_COVERAGE: the coverage of the product's sources over all boards that record it.

    Attributes:
        boards: Those boards.
        total: All files together.
        files: Each file, by name.
        never_executed: What no test executed on some boards, once for each reason.
        reasons: Whether the product keeps a list of reasons, so that each of these needs one.
        stale: Entries of the list that do not hold, in sentences: executed after all, or in no program.
    """

    boards: list[str]
    total: MergedFile
    files: list[MergedFile]
    never_executed: list[NeverExecuted]
    reasons: bool
    stale: list[str]


def added(shares: Iterable[Share]) -> Share:
    """The sum of parts and wholes."""
    listed = list(shares)
    return Share(executed=sum(share.executed for share in listed), all=sum(share.all for share in listed))
