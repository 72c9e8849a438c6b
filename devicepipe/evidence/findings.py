"""What static analysis says of the sources of a board: findings, checks, deviations, and what people decided of them."""

from __future__ import annotations

from typing import Literal

from devicepipe.evidence.model import Model, Sha256
from devicepipe.evidence.predicates import Tool

SETTLED = ("false-positive", "accepted")
"""Dispositions of a finding after which nothing more has to be done about it."""

DispositionKind = Literal["unreviewed", "false-positive", "accepted", "to-fix"]


class Finding(Model):
    """One finding of an analysis tool. `level` is SARIF's; `deviated` where a written deviation covers it.

    `fingerprint` stays the same while the line's text does; `disposition` is what the product's baseline says of it, None for what
    is not in it.
    """

    tool: str
    rule: str
    level: Literal["error", "warning", "note"]
    message: str
    file: str
    line: int
    deviated: bool = False
    fingerprint: Sha256 | None = None
    disposition: DispositionKind | None = None


class Disposition(Model):
    """What was decided about a known finding."""

    fingerprint: Sha256
    tool: str
    rule: str
    file: str
    disposition: DispositionKind
    justification: str

    @property
    def settles(self) -> bool:
        """Whether nothing more has to be done about the finding."""
        return self.disposition in SETTLED


class Deviation(Model):
    """A written deviation from a MISRA C:2012 rule; `places` is the number of findings that it covered in this analysis."""

    rule: str
    scope: list[str]
    justification: str
    reviewer: str
    date: str
    places: int = 0


class Check(Model):
    """A check that either holds or not, e.g. of the ELF file; `message` says what was seen.

    One that is `not_applicable` has passed only in the sense that nothing is wrong; its message says why it does not apply.
    """

    name: str
    passed: bool
    message: str
    not_applicable: bool | None = None


class StaticAnalysis(Model):
    """Predicate STATIC_ANALYSIS: one board's static analysis and ELF checks.

    `proven_on` names, per tool, the must-fail sample whose defect the tool reported in this very run. `deviations` is None where
    the product names no file of deviations: its MISRA findings are then told and not judged; `dispositions` likewise where it names
    no baseline, and else those that findings here have. `wanted` are the tools that the product asks for, `absent` those that did
    not run, with the reason.
    """

    board: str
    tools: list[Tool]
    proven_on: dict[str, str]
    findings: list[Finding]
    checks: list[Check]
    deviations: list[Deviation] | None = None
    wanted: list[str] | None = None
    absent: dict[str, str] | None = None
    dispositions: list[Disposition] | None = None
