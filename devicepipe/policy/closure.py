"""Risks and reviews as plain data for rules: `release.risk`, `release.reviews`.

release.risk       kept (whether the product says what is acceptable), controls and hazards (counts), told (how effectiveness was
shown), unimplemented, ineffective and unassessed (sentences: risk controls that are not verified, not shown
to work, or silent about new hazards), unacceptable and unjustified (sentences: hazards)
release.reviews    kept (whether there are any), total, open (sentences: what is unreviewed, changed, or rests on what changed)
"""

from __future__ import annotations

from typing import Any

from devicepipe.evidence.review_links import review_findings
from devicepipe.evidence.risk import closure
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.words import REVIEW_FINDINGS


def risk_data(traced: Traceability) -> dict[str, Any]:
    """What rules read of risks: computed from items and matrix, not from the absence of findings."""
    closed = closure(traced)
    by_record = sum(bool(one.record) for one in closed.controls)
    return {
        "kept": closed.matrix is not None,
        "controls": len(closed.controls),
        "hazards": len(closed.hazards),
        "told": f"{len(closed.controls) - by_record} by tests, {by_record} by records",
        "unimplemented": [f"{one.control.id}: {one.unimplemented}" for one in closed.controls if one.unimplemented],
        "ineffective": [f"{one.control.id}: {one.ineffective}" for one in closed.controls if one.ineffective],
        "unassessed": [
            f"{one.control.id}: it does not say whether it brings new hazards"
            for one in closed.controls
            if not one.assessed
        ],
        "unacceptable": [f"{one.hazard.id}: {one.unacceptable}" for one in closed.hazards if one.unacceptable],
        "unjustified": [f"{one.hazard.id}: {one.unjustified}" for one in closed.hazards if one.unjustified],
    }


def reviews_data(traced: Traceability) -> dict[str, Any]:
    """What rules read of reviews, computed from items and reviews."""
    reviews = traced.reviews or []
    found = review_findings(traced.items, reviews) if traced.reviews is not None else []
    return {
        "kept": traced.reviews is not None,
        "total": len(reviews),
        "open": [f"{one.item}: {one.message}" for one in found if one.kind in REVIEW_FINDINGS],
    }
