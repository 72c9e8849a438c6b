"""Items, the matrix and what does not hold in it: what traceability says of a release."""

from __future__ import annotations

from typing import Literal

from devicepipe.evidence.model import Commit, Model, Sha256
from devicepipe.evidence.reviews import Review
from devicepipe.evidence.risk import RiskMatrix
from devicepipe.evidence.words import HOST_TEST, record_of


class Item(Model):
    """A traceability item as it stood in the released commit. `fields` holds the further `- key: value` lines."""

    id: str
    type: str
    title: str
    text: str
    fields: dict[str, str]
    links: dict[str, list[str]]
    boards: list[str]
    file: str
    line: int
    fingerprint: Sha256

    @property
    def on_host(self) -> bool:
        """Whether tests that ran on a host may verify it, because it says so."""
        return self.fields.get("verification") == HOST_TEST

    @property
    def record(self) -> str:
        """Method and record of a requirement verified by analysis or inspection, e.g. `analysis: records/x.pdf`; "" without one."""
        return record_of(self.fields)


class MatrixRow(Model):
    """One line of the matrix: hazard → risk control → requirement → test → verdict on each board ("" = does not apply).

    `user_needs` are those that the requirement satisfies, `designs` the design items that realise it (or, without a requirement,
    the one that the line is about); None where the product has none. `effectiveness` is true where the test is shown as one of
    the risk control's effectiveness.
    """

    hazard: str = ""
    risk_control: str = ""
    requirement: str = ""
    test: str = ""
    verdicts: dict[str, str]
    user_needs: list[str] | None = None
    designs: list[str] | None = None
    effectiveness: Literal[True] | None = None


class TraceFinding(Model):
    """Something that does not hold in the trace: `kind` is a stable word, e.g. untested-requirement, or a rule's name.

    `severity` is that of the rule; None where the kind itself says it.
    """

    kind: str
    severity: Literal["error", "warning"] | None = None
    item: str
    board: str = ""
    message: str
    file: str = ""
    line: int = 0


class CodeMarker(Model):
    """A comment in a source file that says which items the code realises; `function` is the one it is at, "" if it is at none."""

    file: str
    line: int
    function: str = ""
    items: list[str]


class CommitMarker(Model):
    """A commit whose message names items in trailers, by the trailer's key in small letters, e.g. implements or change."""

    commit: Commit
    subject: str
    trailers: dict[str, list[str]]


class Traceability(Model):
    """Predicate TRACEABILITY: items, matrix and findings.

    `reviews` are those of the items, None where the product keeps none; `code` and `commits` the markers in sources and in the
    messages of commits, None where none was looked for.
    `procedures` are the SHA-256 of the functions in each file that has tests, as the commit has them; None: not recorded.
    `risk` is what the product takes for acceptable; None where it does not say (risk.py tells whether the risks are closed).
    """

    items: list[Item]
    matrix: list[MatrixRow]
    findings: list[TraceFinding]
    reviews: list[Review] | None = None
    code: list[CodeMarker] | None = None
    commits: list[CommitMarker] | None = None
    procedures: dict[str, list[Sha256]] | None = None
    risk: RiskMatrix | None = None
