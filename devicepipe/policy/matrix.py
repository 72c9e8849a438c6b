"""What rules see of the matrix (requirements, hazards, SOUP, anomalies), and of results of other test frameworks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devicepipe.evidence.foreign_results import ForeignResults
from devicepipe.evidence.results import TestRun, Verdict
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.words import ANOMALY, HAZARD, HOST, OPEN, RATINGS, REQUIREMENT, SOUP


def matrix_data(traced: Traceability) -> dict[str, Any]:
    """The keys `requirements`, `hazards`, `soup` and `anomalies` of `release`: totals, and sentences about what is missing."""
    return {
        "requirements": _requirements(traced),
        "hazards": _hazards(traced),
        "soup": {
            "total": sum(item.type == SOUP for item in traced.items),
            "unlisted": _findings(traced, "unlisted-soup"),
        },
        "anomalies": _anomalies(traced),
    }


def foreign_data(results: ForeignResults) -> dict[str, Any]:
    """The key `foreign` of `release`: counts, and sentences about what failed, did not run, or is not of the commit."""
    cases = [(one, case) for one in results.sets for case in one.cases]
    passed = sum(case.verdict is Verdict.PASSED and one.current for one, case in cases)
    return {
        "wanted": True,
        "total": len(cases),
        "passed": passed,
        "failed": [
            f"{case.id} {case.verdict}: {case.reason}"
            for _, case in cases
            if case.verdict in (Verdict.FAILED, Verdict.ERROR)
        ],
        "notRun": [f"{case.id}: {case.reason}" for _, case in cases if case.verdict is Verdict.NOT_RUN],
        "stale": [f"{one.name}: {one.why}" for one in results.sets if not one.current],
    }


def unknown_items(traced: Traceability, runs: Sequence[TestRun], foreign: ForeignResults | None) -> list[str]:
    """What tests name that is no item, each with its place."""
    known = {item.id for item in traced.items}
    found = {
        f"{name} in {case.procedure_file}:{case.procedure_line}": None
        for run in runs
        for case in run.cases
        for name in case.verifies
        if name not in known
    }
    cases = [case for one in (foreign.sets if foreign else ()) for case in one.cases]
    found |= {f"{name} in {case.file}:{case.line}": None for case in cases for name in case.names if name not in known}
    return list(found)


def _requirements(traced: Traceability) -> dict[str, Any]:
    """Counted from the matrix, not from the absence of findings: what no row shows as passed is not verified."""
    passed = {
        (row.requirement, board)
        for row in traced.matrix
        for board, verdict in row.verdicts.items()
        if verdict == Verdict.PASSED
    }
    reasons = {(found.item, found.board): found.message for found in traced.findings}
    requirements = [item for item in traced.items if item.type == REQUIREMENT]
    total = 0
    unverified: list[str] = []
    by_record: list[str] = []
    on_host: list[str] = []
    for item in requirements:
        total += len(item.boards)
        gaps = [board for board in item.boards if (item.id, board) not in passed]
        if gaps and item.on_host and (item.id, HOST) in passed:
            on_host.append(item.id)
            gaps = []
        if gaps and item.record:
            by_record.append(item.id)
        else:
            unverified += [
                f"{item.id} on {board}: {reasons.get((item.id, board), 'no passing test')}" for board in gaps
            ]
    return {
        "total": total,
        "verified": total - len(unverified),
        "unverified": unverified,
        "byRecord": by_record,
        "onHost": on_host,
        "unstated": [
            f"{item.id} does not state {key}"
            for item in requirements
            for key in ("verification", "boards")
            if key not in item.fields
        ],
    }


def _hazards(traced: Traceability) -> dict[str, Any]:
    """Read from the matrix: a hazard of which no line reaches a control, or a control of which none reaches a requirement, is open.

    A line may end early because its test is one of the hazard or the control themselves.
    """
    controlled = {row.hazard for row in traced.matrix if row.risk_control}
    required = {(row.hazard, row.risk_control) for row in traced.matrix if row.requirement}
    open_lines = {
        f"{row.risk_control}, which mitigates {row.hazard}, has no requirement"
        if row.risk_control
        else f"{row.hazard} has no risk control": None
        for row in traced.matrix
        if row.hazard
        and (row.hazard, row.risk_control) not in required
        and (row.risk_control or row.hazard not in controlled)
    }
    unrated = [
        f"{item.id} has no {rating}"
        for item in traced.items
        for rating in RATINGS
        if item.type == HAZARD and not item.fields.get(rating)
    ]
    return {
        "total": len({row.hazard for row in traced.matrix if row.hazard}),
        "open": list(open_lines),
        "unrated": unrated,
        "worse": _findings(traced, "unreduced-hazard"),
    }


def _anomalies(traced: Traceability) -> dict[str, Any]:
    anomalies = [item for item in traced.items if item.type == ANOMALY]
    still_open = [item for item in anomalies if item.fields.get("status") == OPEN]
    return {
        "total": len(anomalies),
        "open": [f"{item.id} {item.title}" for item in still_open],
        "unassessed": [
            f"{item.id} has no {key}"
            for item in still_open
            for key in ("found-by", "cause", "impact", "rationale")
            if not item.fields.get(key)
        ],
    }


def _findings(traced: Traceability, kind: str) -> list[str]:
    return [f"{found.item}: {found.message}" for found in traced.findings if found.kind == kind]
