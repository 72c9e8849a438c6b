"""What reviews say of items: which nobody reviewed, which changed since, and which rest on a parent that did.

What always holds: a change of any attribute of an item makes it changed, and a change of any attribute of a parent makes the link
to it suspect, until somebody reviewed the item again. A suspect link says nothing of what rests on the item in turn: whoever
reviews it decides whether it has to change, and only then what rests on it becomes suspect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from devicepipe.errors import IntegrityError
from devicepipe.evidence.items import Attributed, changed_attributes, fingerprint_of, parents
from devicepipe.evidence.reviews import Review
from devicepipe.evidence.trace import Traceability, TraceFinding
from devicepipe.evidence.words import (
    CHANGED_SINCE_REVIEW,
    REVIEW_FINDINGS,
    REVIEW_OF_UNKNOWN_ITEM,
    SUSPECT_LINK,
    UNREVIEWED_ITEM,
)


class Reviewable(Attributed, Protocol):
    """What a review is about: an item of the evidence, or one that was only read."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its attributes."""

    @property
    def file(self) -> str:
        """The file that it stands in."""

    @property
    def line(self) -> int:
        """The line."""


def review_findings(
    items: Sequence[Reviewable], reviews: Sequence[Review], places: Mapping[str, tuple[str, int]] | None = None
) -> list[TraceFinding]:
    """What does not hold, in the order of the items; reviews of no item at the end.

    Args:
        items: The items.
        reviews: Their reviews.
        places: Reviewed id → file and line of the review, for those of no item.
    """
    by_item = {review.item: review for review in reviews}
    fingerprints = {item.id: item.fingerprint for item in items}
    found: list[TraceFinding] = []
    for item in items:
        review = by_item.get(item.id)
        if review is None:
            found.append(_finding(UNREVIEWED_ITEM, item, "nobody has reviewed it"))
            continue
        if review.fingerprint != item.fingerprint:
            names = ", ".join(changed_attributes(review.attributes, item))
            what = f": {names}" if names else ""
            found.append(
                _finding(
                    CHANGED_SINCE_REVIEW, item, f"it changed since {review.by} reviewed it on {review.on[:10]}{what}"
                )
            )
        for parent in parents(item):
            before = review.links.get(parent)
            # A parent that it did not have then is a change of the item, told above; one that is gone is no item to read.
            if before is not None and before != fingerprints.get(parent):
                said = f"{parent}, which it rests on, changed since {review.by} reviewed it on {review.on[:10]}"
                found.append(_finding(SUSPECT_LINK, item, said))
    for review in reviews:
        if review.item not in fingerprints:
            file, line = (places or {}).get(review.item, ("", 0))
            found.append(
                TraceFinding(
                    kind=REVIEW_OF_UNKNOWN_ITEM,
                    item=review.item,
                    message="it is reviewed, but there is no such item",
                    file=file,
                    line=line,
                )
            )
    return found


def suspects(findings: Iterable[TraceFinding]) -> dict[str, str]:
    """The items of which evidence is not current until somebody reviewed them again, each with the reason."""
    found: dict[str, str] = {}
    for finding in findings:
        if finding.kind in (CHANGED_SINCE_REVIEW, SUSPECT_LINK):
            found.setdefault(finding.item, finding.message)
    return found


def check_reviews(trace: Traceability, link: str) -> str:
    """Check that the items are what their fingerprints say, and that the trace tells what its reviews say of them.

    Returns:
        What was checked.

    Raises:
        IntegrityError: A fingerprint is not the item's, or a review finding is missing or made up.
    """
    for item in trace.items:
        if fingerprint_of(item) != item.fingerprint:
            raise IntegrityError(f"gives {item.id} a fingerprint that is not that of its attributes", link=link)
    reviewed = [review.item for review in trace.reviews or []]
    if len(set(reviewed)) != len(reviewed):
        raise IntegrityError("has an item reviewed twice", link=link)
    told = {(one.kind, one.item, one.message) for one in trace.findings if one.kind in REVIEW_FINDINGS}
    due = {(one.kind, one.item, one.message) for one in review_findings(trace.items, trace.reviews or [])}
    if trace.reviews is None:
        due = set()
    for kind, name, _ in sorted(due ^ told):
        what = "does not tell" if any(one[:2] == (kind, name) for one in due) else "tells"
        raise IntegrityError(f"{what} that {name} is a case of {kind}, against its reviews", link=link)
    if trace.reviews is None:
        return "its items are what their fingerprints say"
    return f"its items are what their fingerprints say, and its {len(reviewed)} reviews what it tells of them"


def _finding(kind: str, item: Reviewable, message: str) -> TraceFinding:
    return TraceFinding(kind=kind, item=item.id, message=message, file=item.file, line=item.line)
