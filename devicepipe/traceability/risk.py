"""Open risks as findings, and the product's own matrix of what is acceptable (`evidence/risk.py` says what closes a risk).

A product whose devicepipe.toml has no such matrix keeps no risk closure here, and is told nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from devicepipe.errors import UsageError
from devicepipe.evidence.risk import INEFFECTIVE_CONTROL, Line, RiskMatrix, close
from devicepipe.evidence.trace import TraceFinding
from devicepipe.evidence.words import RISK_CONTROL
from devicepipe.project.config import CONFIG_NAME, Project

if TYPE_CHECKING:
    from devicepipe.traceability.drafts import Traced
    from devicepipe.traceability.matrix import TracedTest

EFFECTIVENESS_OF_NO_CONTROL = "effectiveness-of-no-control"


def risk_matrix(project: Project) -> RiskMatrix | None:
    """What the product takes for acceptable; None where it does not say.

    Raises:
        UsageError: The matrix is not whole, or lets a greater risk be more acceptable than a lesser one.
    """
    settings = project.traceability
    if settings.acceptability is None:
        return None
    try:
        return RiskMatrix(
            severities=list(settings.severities),
            probabilities=list(settings.probabilities),
            acceptability={severity: list(words) for severity, words in settings.acceptability.items()},
        )
    except ValueError as error:
        said = str(error).partition("Value error, ")[2].partition(" [type=")[0] or str(error)
        raise UsageError(
            said, file=project.root / CONFIG_NAME, key="traceability.acceptability", remedy="see docs/reference/risk.md"
        ) from error


def risk_findings(
    items: Sequence[Traced],
    rows: Sequence[Line],
    matrix: RiskMatrix | None,
    tests: Sequence[TracedTest],
    *,
    judged: bool = True,
) -> Iterator[TraceFinding]:
    """What is open of a product's risks.

    Args:
        items: The items.
        rows: The lines of their matrix.
        matrix: What the product takes for acceptable; None: it does not say, and no risk is judged.
        tests: All tests.
        judged: Whether there are results; without, a control that a test is marked for has no finding.
    """
    yield from _marked_wrongly(items, tests)
    if matrix is None:
        return
    closed = close(items, rows, matrix)
    tested = {one.control.id for one in closed.controls if one.tests}
    for kind, item, message in closed.findings():
        if judged or kind != INEFFECTIVE_CONTROL or item.id not in tested:
            yield TraceFinding(kind=kind, item=item.id, message=message, file=item.file, line=item.line)


def _marked_wrongly(items: Sequence[Traced], tests: Sequence[TracedTest]) -> Iterator[TraceFinding]:
    types = {item.id: item.type for item in items}
    for test in tests:
        for name in test.effectiveness:
            if name in types and types[name] != RISK_CONTROL:
                message = f"{test.id} is marked as a test of {name}'s effectiveness, which is no risk control"
                yield TraceFinding(
                    kind=EFFECTIVENESS_OF_NO_CONTROL, item=name, message=message, file=test.file, line=test.line
                )
