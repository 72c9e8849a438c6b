"""What rules read of the supply chain: bills of materials, and what is known of their components' vulnerabilities.

board.sbom               valid, problem (what the strict schema says against it), components (how many are linked in),
                         undeclared, mismatched, incomplete, unsupported (sentences)
release.vulnerabilities  wanted; and where it is so: snapshot (in words), components (count), affected (sentences), noData
                         (sentences: components that no record names, refused by policy), accepted (the same, accepted by it,
                         in words), exploited (sentences: components in a vulnerable version of what is known to be exploited),
                         exploitedKnown (whether the snapshot holds the catalogue of these), clear (count: not affected or
                         fixed), age and maxAge (days), unused (sentences: VEX statements that concern nothing)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from packageurl import PackageURL

from devicepipe.evidence.components import Component
from devicepipe.evidence.trace import Item
from devicepipe.evidence.vulnerabilities import Assessment, ComponentVerdict, Snapshot, age_in_days
from devicepipe.evidence.words import SOUP

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SbomEvidence:
    """A board's bill of materials, read for the gate.

    Attributes:
        components: Its components.
        problem: What the strict schema of CycloneDX has against it, seen by this gate; "" where it holds.
    """

    components: tuple[Component, ...]
    problem: str = ""


def sbom_data(sbom: SbomEvidence, day: str) -> Plain:
    """The plain data of a bill of materials; `day` (YYYY-MM-DD) is the one on which support must not have ended."""
    linked = [one for one in sbom.components if one.linked]
    declared = [one for one in linked if not one.undeclared]
    return {
        "valid": not sbom.problem,
        "problem": sbom.problem,
        "components": len(linked),
        "undeclared": [f"{one.name} ({one.undeclared})" for one in linked if one.undeclared],
        "mismatched": [f"{one.name}: {one.mismatch}" for one in linked if one.mismatch],
        "incomplete": [f"{one.name} has no {', '.join(one.missing)}" for one in declared if one.missing],
        "unsupported": [f"{one.name}: {found}" for one in declared for found in one.unsupported(day)],
    }


def vulnerability_data(told: Assessment, moment: str, items: Sequence[Item]) -> Plain:
    """The plain data of an assessment.

    Args:
        told: The assessment.
        moment: When the release is made (RFC 3339): the snapshot's age counts until then.
        items: The product's items: a SOUP item says whether its list of known anomalies was reviewed.
    """
    unknown = {one.name: _reviewed(one, items, moment[:10]) for one in told.components if one.verdict == "no_data"}
    accepted = {
        name: reason if told.no_data == "reviewed" else "by the product's policy"
        for name, reason in unknown.items()
        if told.no_data == "accept" or (told.no_data == "reviewed" and reason)
    }
    return {
        "wanted": True,
        "snapshot": in_words(told.snapshot),
        "components": len(told.components),
        "clear": sum(one.verdict in ("not_affected", "fixed") for one in told.components),
        "affected": [
            f"{one.name} {one.version} by {match.id} ({match.reason})"
            for one in told.components
            for match in one.matches
            if match.status == "affected"
        ],
        "noData": [f"{name}: no record names it" for name in unknown if name not in accepted],
        "accepted": ", ".join(f"{name} ({reason})" for name, reason in accepted.items()),
        "exploited": [
            f"{one.name} {one.version} by {match.id}, exploited since {match.exploited.since}"
            + (f" (a VEX statement says {match.status.replace('_', ' ')}: {match.reason})" if match.by == "vex" else "")
            for one in told.components
            for match in one.matches
            if match.exploited is not None
        ],
        "exploitedKnown": told.snapshot.knows_exploited,
        "age": age_in_days(told.snapshot.date, moment),
        "maxAge": told.max_age,
        "unused": list(told.unused),
    }


def in_words(snapshot: Snapshot) -> str:
    """A snapshot in a few words."""
    digest = snapshot.sha256[:16]
    return f"{snapshot.records} records of {snapshot.date} ({snapshot.format}, sha256 {digest}; {snapshot.description})"


def _reviewed(component: ComponentVerdict, items: Sequence[Item], today: str) -> str:
    """What a SOUP item says of the review of a component's list of known anomalies, if it was by today; "" where none does."""
    for item in items:
        day = item.fields.get("anomalies-reviewed", "")
        if item.type == SOUP and _is_about(item, component) and "" < day <= today:
            return f"{item.id}: its list of anomalies was reviewed on {day}"
    return ""


def _is_about(item: Item, component: ComponentVerdict) -> bool:
    if item.fields.get("component", item.title).casefold() == component.name.casefold():
        return True
    purl = item.fields.get("purl", "")
    try:
        return bool(purl and component.purl) and PackageURL.from_string(purl) == PackageURL.from_string(component.purl)
    except ValueError:
        return False
