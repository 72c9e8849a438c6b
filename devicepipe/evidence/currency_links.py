"""The cross links of the matrix and the results: what is shown as passed for an item was run for it as it stands."""

from __future__ import annotations

from collections.abc import Mapping

from devicepipe.errors import IntegrityError
from devicepipe.evidence.currency import Expected
from devicepipe.evidence.predicates import ImageSigning
from devicepipe.evidence.results import TestCase, TestRun, Verdict
from devicepipe.evidence.review_links import review_findings, suspects
from devicepipe.evidence.trace import MatrixRow, Traceability


def check_currency(
    trace: Traceability, runs: Mapping[str, TestRun], signing: Mapping[str, ImageSigning], link: str
) -> str:
    """Check every cell that shows a test as passed for an item.

    Args:
        trace: The traceability.
        runs: Board → its test session.
        signing: Board → its image.
        link: What errors name.

    Returns:
        What was checked.

    Raises:
        IntegrityError: The test does not verify the item, or its verdict is about another state of the item, of the test or of the
            image or about another board, or the item or what it rests on has a change that nobody reviewed.
    """
    reviewed = [] if trace.reviews is None else review_findings(trace.items, trace.reviews)
    expected = Expected(
        fingerprints={item.id: item.fingerprint for item in trace.items},
        procedures=trace.procedures,
        images={board: one.image_digest for board, one in signing.items()},
        reviews=suspects(reviewed),
    )
    cases = {(board, case.id): case for board, run in runs.items() for case in run.cases}
    for row in trace.matrix:
        for board, verdict in row.verdicts.items():
            case = cases.get((board, row.test))  # a test that is written down as an item has none
            if verdict == Verdict.PASSED and case is not None and (item := _item(row)):
                _check_cell(expected, runs[board], case, item, board, link)
            if row.effectiveness and case is not None and row.risk_control not in (case.effectiveness or ()):
                said = f"shows {case.id} as a test of {row.risk_control}'s effectiveness, which it is not marked as"
                raise IntegrityError(said, link=link)
    bound = sum(case.fingerprints is not None for case in cases.values())
    said = f"{bound} of {len(cases)} results say of which items"
    return f"what it shows as passed is about the items, tests and images of this bundle; {said}"


def _item(row: MatrixRow) -> str:
    """The item that a row's test is shown for."""
    apart = [*(row.designs or []), *(row.user_needs or [])]
    return row.requirement or row.risk_control or row.hazard or (apart[0] if apart else "")


def _check_cell(expected: Expected, run: TestRun, case: TestCase, item: str, board: str, link: str) -> None:
    shown = f"shows {case.id} as passed for {item} on {board}"
    if item not in case.verifies:
        raise IntegrityError(f"{shown}, which it does not verify", link=link)
    for said in expected.stale(run, case, item, board).values():
        raise IntegrityError(f"{shown}, but that is stale: {said}", link=link)
