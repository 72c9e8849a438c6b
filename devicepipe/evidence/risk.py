"""Whether risks are closed (ISO 14971:2019 7.2, 7.3, 7.5, 7.6): a pure function of items, matrix and the product's own scales.

- Each risk control is *implemented*: a requirement implements it, and each such one is verified on every board it applies to.
- Each risk control is *effective*: on the same boards, a test that is marked as one of its effectiveness passed; or, where the
  control says `effectiveness: analysis` or `inspection`, a record says so.
- Each risk control says whether it brings new hazards: a link `introduces`, or a field `new-hazards`.
- Each hazard's residual risk is acceptable by the product's matrix, or, where the matrix asks for that, a field `benefit-risk`
  justifies it.

What always holds: only a verdict `passed` of the matrix counts, never one that is stale, and what is not known is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import model_validator

from devicepipe.evidence.items import Attributed
from devicepipe.evidence.model import Model
from devicepipe.evidence.words import HAZARD, HOST, HOST_TEST, RISK_CONTROL

if TYPE_CHECKING:
    from devicepipe.evidence.trace import Traceability

Acceptability = Literal["acceptable", "benefit-risk", "unacceptable"]
ACCEPTABLE, BENEFIT_RISK, UNACCEPTABLE = "acceptable", "benefit-risk", "unacceptable"
_ORDER = (ACCEPTABLE, BENEFIT_RISK, UNACCEPTABLE)

PASSED, RECORD = "passed", "record"
_BEST_FIRST = (PASSED, RECORD, "stale", "quarantined", "error", "failed", "not_run", "")
_NAMED = 4

INEFFECTIVE_CONTROL = "ineffective-control"
UNASSESSED_CONTROL = "unassessed-control"
UNACCEPTABLE_RISK = "unacceptable-risk"
UNJUSTIFIED_RISK = "unjustified-risk"


class RiskMatrix(Model):
    """What the product takes for acceptable: for each severity a word for each probability, both scales the least first.

    No severer or likelier risk is more acceptable than a lesser one.
    """

    severities: list[str]
    probabilities: list[str]
    acceptability: dict[str, list[Acceptability]]

    @model_validator(mode="after")
    def _whole(self) -> RiskMatrix:
        check_acceptability(self.severities, self.probabilities, self.acceptability)
        return self

    def of(self, severity: str, probability: str) -> str:
        """What a risk is; "" where the words are not of the scales."""
        if severity not in self.acceptability or probability not in self.probabilities:
            return ""
        return self.acceptability[severity][self.probabilities.index(probability)]


def check_acceptability(
    severities: Sequence[str], probabilities: Sequence[str], acceptability: Mapping[str, Sequence[str]]
) -> None:
    """A matrix of acceptability is whole and makes sense.

    Raises:
        ValueError: It is not; says what is wrong.
    """
    if not severities or not probabilities:
        raise ValueError("acceptability needs both scales: severities and probabilities")
    if {*acceptability} != {*severities}:
        raise ValueError(f"acceptability needs a line for each severity: {', '.join(severities)}")
    for severity, words in acceptability.items():
        if len(words) != len(probabilities):
            raise ValueError(f"acceptability.{severity} needs a word for each probability: {', '.join(probabilities)}")
    rows = [[_ORDER.index(word) for word in acceptability[severity]] for severity in severities]
    likelier = all(row == sorted(row) for row in rows)
    severer = all(list(column) == sorted(column) for column in zip(*rows, strict=True))
    if not (likelier and severer):
        raise ValueError("acceptability lets a severer or likelier risk be more acceptable than a lesser one")


class Judged(Attributed, Protocol):
    """What is needed of an item: one of the evidence, or one that was only read."""

    @property
    def file(self) -> str:
        """The file that it stands in."""

    @property
    def line(self) -> int:
        """The line."""

    @property
    def record(self) -> str:
        """Method and record of a requirement's verification."""


class Line(Protocol):
    """What is needed of a line of the matrix."""

    @property
    def risk_control(self) -> str:
        """The risk control."""

    @property
    def requirement(self) -> str:
        """The requirement."""

    @property
    def test(self) -> str:
        """The test."""

    @property
    def verdicts(self) -> dict[str, str]:
        """Its verdict on each board."""

    @property
    def effectiveness(self) -> bool | None:
        """Whether it is one of the control's effectiveness."""


@dataclass(frozen=True, slots=True)
class ControlVerification:
    """A risk control and what verifies it.

    Attributes:
        control: The item.
        hazards: Those that it mitigates.
        requirements: Those that implement it.
        implementation: Board → the worst of its requirements' best verdicts; `record` where one is verified by a record only.
        tests: Those that are marked as tests of its effectiveness.
        effectiveness: Board → the worst verdict of these.
        record: Method and file of the record that says that it is effective, instead of tests; "" without one.
        introduces: The new hazards that it brings.
    """

    control: Judged
    hazards: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    implementation: Mapping[str, str] = field(default_factory=dict)
    tests: tuple[str, ...] = ()
    effectiveness: Mapping[str, str] = field(default_factory=dict)
    record: str = ""
    introduces: tuple[str, ...] = ()

    @property
    def assessed(self) -> bool:
        """Whether it says if it brings new hazards."""
        return bool(self.introduces or self.control.fields.get("new-hazards"))

    @property
    def unimplemented(self) -> str:
        """Why it is not verified to be implemented; "": it is."""
        if not self.requirements:
            return "no requirement implements it"
        return _open(self.implementation, "its requirements are not verified")

    @property
    def ineffective(self) -> str:
        """Why it is not verified to be effective; "": it is."""
        if self.record:
            return ""
        if not self.tests:
            return "nothing shows that it is effective: no test is marked as one of its effectiveness, and there is no record"
        return _open(self.effectiveness, f"tests of its effectiveness did not pass ({_some(self.tests)})")


@dataclass(frozen=True, slots=True)
class ResidualRisk:
    """A hazard, its risk without and with its controls ("": not rated), and whether a benefit-risk analysis justifies it."""

    hazard: Judged
    initial: str
    residual: str
    justified: bool

    @property
    def unacceptable(self) -> str:
        """Why it is not acceptable whatever the benefit; "": it is."""
        if not self.residual:
            return "its residual risk is not rated in the product's scales"
        said = f"{self.hazard.fields['severity-after']} and {self.hazard.fields['probability-after']}"
        return f"its residual risk ({said}) is unacceptable" if self.residual == UNACCEPTABLE else ""

    @property
    def unjustified(self) -> str:
        """Why it needs more; "": it does not."""
        if self.residual != BENEFIT_RISK or self.justified:
            return ""
        said = f"{self.hazard.fields['severity-after']} and {self.hazard.fields['probability-after']}"
        return f"its residual risk ({said}) needs a benefit-risk justification"


@dataclass(frozen=True, slots=True)
class RiskClosure:
    """All risk controls and hazards; `matrix` is None where the product says not what is acceptable, and no risk is judged."""

    matrix: RiskMatrix | None
    controls: tuple[ControlVerification, ...]
    hazards: tuple[ResidualRisk, ...]

    def findings(self) -> Iterator[tuple[str, Judged, str]]:
        """What is open beside unverified requirements: kind, item, and why."""
        for one in self.controls:
            if one.ineffective:
                yield INEFFECTIVE_CONTROL, one.control, one.ineffective
            if not one.assessed:
                yield UNASSESSED_CONTROL, one.control, "it does not say whether it brings new hazards"
        for risk in self.hazards:
            if risk.unacceptable:
                yield UNACCEPTABLE_RISK, risk.hazard, risk.unacceptable
            if risk.unjustified:
                yield UNJUSTIFIED_RISK, risk.hazard, risk.unjustified


def closure(trace: Traceability) -> RiskClosure:
    """Whether the risks of a trace are closed."""
    return close(trace.items, trace.matrix, trace.risk)


def close(items: Sequence[Judged], rows: Sequence[Line], matrix: RiskMatrix | None) -> RiskClosure:
    """Whether the risks of some items are closed, by the lines of their matrix and what the product takes for acceptable."""
    by_requirement: dict[tuple[str, str], list[str]] = {}
    by_control: dict[tuple[str, str], list[str]] = {}
    tests: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.requirement:
            for board, verdict in row.verdicts.items():
                by_requirement.setdefault((row.requirement, board), []).append(verdict)
        elif row.risk_control and row.effectiveness:
            tests.setdefault(row.risk_control, {})[row.test] = None
            for board, verdict in row.verdicts.items():
                by_control.setdefault((row.risk_control, board), []).append(verdict)
    implementing: dict[str, list[Judged]] = {}
    for item in items:
        for control in item.links.get("implements", ()):
            implementing.setdefault(control, []).append(item)
    boards = _boards(rows)
    controls = []
    for item in items:
        if item.type != RISK_CONTROL:
            continue
        requirements = implementing.get(item.id, [])
        applies = [board for board in boards if any(board in one.boards for one in requirements)] or item.boards
        controls.append(
            ControlVerification(
                item,
                hazards=tuple(item.links.get("mitigates", ())),
                requirements=tuple(one.id for one in requirements),
                implementation={board: _implemented(requirements, board, by_requirement) for board in applies},
                tests=tuple(tests.get(item.id, ())),
                effectiveness={board: _worst(by_control.get((item.id, board), ())) for board in applies},
                record=_record(item),
                introduces=tuple(item.links.get("introduces", ())),
            )
        )
    return RiskClosure(matrix, tuple(controls), tuple(_risks(items, matrix)))


def _risks(items: Iterable[Judged], matrix: RiskMatrix | None) -> Iterator[ResidualRisk]:
    for item in items:
        if item.type == HAZARD and matrix is not None:
            rated = [item.fields.get(key, "") for key in ("severity", "probability")]
            after = [item.fields.get(f"{key}-after", "") for key in ("severity", "probability")]
            justified = bool(item.fields.get(BENEFIT_RISK))
            yield ResidualRisk(item, matrix.of(*rated), matrix.of(*after), justified)


def _implemented(requirements: Sequence[Judged], board: str, verdicts: Mapping[tuple[str, str], list[str]]) -> str:
    found = []
    for one in requirements:
        if board in one.boards:
            best = _best(verdicts.get((one.id, board), ()))
            if one.fields.get("verification") == HOST_TEST and PASSED in verdicts.get((one.id, HOST), ()):
                best = PASSED  # what is tested on a host is so for all boards
            found.append(RECORD if best != PASSED and one.record else best)
    return max(found, key=_BEST_FIRST.index, default="not_run")


def _best(verdicts: Iterable[str]) -> str:
    known = [verdict if verdict in _BEST_FIRST else "error" for verdict in verdicts]
    return min(known, key=_BEST_FIRST.index, default="") or "not_run"


def _worst(verdicts: Iterable[str]) -> str:
    """All tests of a control's effectiveness that apply to a board have to pass there, and at least one has to apply."""
    known = [verdict if verdict in _BEST_FIRST else "error" for verdict in verdicts if verdict]
    return max(known, key=_BEST_FIRST.index, default="not_run")


def _record(item: Judged) -> str:
    method = item.fields.get("effectiveness", "test")
    return f"{method}: {item.fields['evidence']}" if method != "test" and "evidence-sha256" in item.fields else ""


def _boards(matrix: Iterable[Line]) -> list[str]:
    return next((list(row.verdicts) for row in matrix), [])


def _open(verdicts: Mapping[str, str], what: str) -> str:
    still = [f"{verdict} on {board}" for board, verdict in verdicts.items() if verdict not in (PASSED, RECORD)]
    return f"{what}: {', '.join(still)}" if still else ""


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
