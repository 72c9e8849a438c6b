"""What rules read of the supply chain: bills of materials, and what is known of their components' vulnerabilities.

board.sbom               valid, problem (what the strict schema says against it), components (how many are linked in),
                         undeclared, mismatched, incomplete, unsupported (sentences)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devicepipe.evidence.components import Component

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
