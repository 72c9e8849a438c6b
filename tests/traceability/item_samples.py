"""Items for tests, with the fingerprints that they have."""

from __future__ import annotations

from devicepipe.evidence.items import fingerprint
from devicepipe.evidence.trace import Item

TYPES = {
    "HAZ": "hazard",
    "RC": "risk-control",
    "SRS": "requirement",
    "SOUP": "soup",
    "ANO": "anomaly",
    "UN": "user-need",
    "DSG": "design",
}


def sample(
    name: str,
    *,
    boards: tuple[str, ...] = ("small", "large"),
    text: str = "Text.",
    fields: dict[str, str] | None = None,
    line: int = 7,
    **links: list[str],
) -> Item:
    kind = TYPES[name.partition("-")[0]]
    content = {"title": name, "text": text, "fields": fields or {}, "links": links, "boards": list(boards)}
    digest = fingerprint(id=name, type=kind, **content)  # type: ignore[arg-type]
    return Item.model_validate(
        {"id": name, "type": kind, "file": "r.md", "line": line, "fingerprint": digest} | content
    )
