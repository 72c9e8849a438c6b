"""What rules read of security controls: the categories that requirements say they serve, and which of them tests have shown.

release.controls         uncovered (sentences: categories without a requirement, or none of whose requirements passed on every board
                         that it applies to), unknown (sentences: words that are no category), told (in words)

Source: FDA, Cybersecurity in Medical Devices, appendix 1: the eight categories of security controls.
"""

from __future__ import annotations

from typing import Any

from devicepipe.evidence.results import Verdict
from devicepipe.evidence.trace import Item, Traceability
from devicepipe.evidence.words import CONTROL_CATEGORIES, REQUIREMENT, SECURITY_CONTROL


def controls_data(traced: Traceability) -> dict[str, Any]:
    """The plain data of the security controls."""
    passed = {
        (row.requirement, board)
        for row in traced.matrix
        for board, verdict in row.verdicts.items()
        if verdict == Verdict.PASSED
    }
    serving: dict[str, list[Item]] = {category: [] for category in CONTROL_CATEGORIES}
    unknown: list[str] = []
    for item in (one for one in traced.items if one.type == REQUIREMENT and SECURITY_CONTROL in one.fields):
        for word in (part.strip() for part in item.fields[SECURITY_CONTROL].split(",")):
            if word in serving:
                serving[word].append(item)
            else:
                unknown.append(f"{item.id} names '{word}': known are {', '.join(CONTROL_CATEGORIES)}")
    shown = {
        category: [item for item in items if item.boards and all((item.id, board) in passed for board in item.boards)]
        for category, items in serving.items()
    }
    return {
        "uncovered": [f"{category}: {_why(items)}" for category, items in serving.items() if not shown[category]],
        "unknown": unknown,
        "told": ", ".join(
            f"{category} by {' and '.join(one.id for one in items[:2])}" for category, items in shown.items() if items
        ),
    }


def _why(items: list[Item]) -> str:
    if not items:
        return f"no requirement has it as its {SECURITY_CONTROL}"
    return f"none of {', '.join(item.id for item in items[:5])} has passed on every board that it applies to"
