"""The cross links of markers and of the matrix: a marker's file is there, and the design in a row is what the items link."""

from __future__ import annotations

from collections.abc import Collection

from devicepipe.errors import IntegrityError
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.words import DESIGN, USER_NEED


def check_markers(trace: Traceability, sources: Collection[str], link: str) -> str:
    """Check the markers of sources, and the user needs and design items of the matrix.

    Args:
        trace: The traceability.
        sources: The source files of the release.
        link: What errors name.

    Returns:
        What was checked.

    Raises:
        IntegrityError: A marker is said to be in a file that is none of the sources, or a requirement's row names other user needs
            or design items than the items' links do.
    """
    for marker in trace.code or ():
        if marker.file not in sources:
            raise IntegrityError(
                f"tells of a marker in {marker.file}, which is no source file of the release", link=link
            )
    items = {item.id: item for item in trace.items}
    designs: dict[str, list[str]] = {}
    for item in trace.items:
        for target in item.links.get("realises", ()) if item.type == DESIGN else ():
            designs.setdefault(target, []).append(item.id)
    types = {item.type for item in trace.items}
    for row in trace.matrix:
        if (requirement := items.get(row.requirement)) is None:
            continue
        shown = {"user needs": row.user_needs, "design items": row.designs}
        linked = {
            "user needs": requirement.links.get("satisfies", []) if USER_NEED in types else None,
            "design items": designs.get(row.requirement, []) if DESIGN in types else None,
        }
        for what, names in linked.items():
            if shown[what] != names:
                raise IntegrityError(
                    f"shows the {what} {', '.join(shown[what] or ()) or 'none'} for {row.requirement}, but its links say "
                    f"{', '.join(names or ()) or 'none'}",
                    link=link,
                )
    return f"its {len(trace.code or ())} markers are in source files, and its rows show the design that items link"
