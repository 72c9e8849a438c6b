"""Unresolved anomalies, each in full, as a submission asks for them (FDA premarket VI.J)."""

from __future__ import annotations

from devicepipe.documents import anchors
from devicepipe.documents.cells import NONE
from devicepipe.documents.model import Block, Cell, Heading, KeyValues, Paragraph, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.risks import plain
from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import ANOMALY, OPEN

_ASKED = {
    "found-by": "How it was found",
    "cause": "Root cause",
    "impact": "Impact on safety and effectiveness",
    "rationale": "Risk-based rationale of leaving it",
}
_SECURITY = ("cwe", "security", "security-impact")


def unresolved(record: ReleaseRecord) -> tuple[Block, ...]:
    """A heading and all facts for each open anomaly."""
    found = [item for item in record.traceability.items if item.type == ANOMALY and item.fields.get("status") == OPEN]
    if not found:
        return (Paragraph.plain("There is no open anomaly among the items."),)
    blocks: list[Block] = []
    for item in found:
        blocks += [Heading(2, f"{item.id}  {item.title}"), _facts(item, record)]
    return tuple(blocks)


def _facts(item: Item, record: ReleaseRecord) -> KeyValues:
    affected = item.links.get("affects", [])
    rows = [
        ("Description", Cell(plain(item.text) or "not stated", anchor=anchors.item(item.id))),
        *(
            (title, Cell(plain(item.fields[key])) if item.fields.get(key) else Cell("NOT STATED", tone=Tone.WARNING))
            for key, title in _ASKED.items()
        ),
        ("Affects", Cell(", ".join(affected) or NONE, links=anchors.to_items(affected))),
        ("Security", _security(item)),
        ("Known since", Cell(_since(item, record))),
        ("Where", Cell(f"{item.file}:{item.line}", item.fingerprint)),
    ]
    return KeyValues(f"Facts of {item.id}", tuple(rows), captioned=False)


def _security(item: Item) -> Cell:
    said = [f"{key}: {plain(item.fields[key])}" for key in _SECURITY if item.fields.get(key)]
    return Cell("; ".join(said)) if said else Cell("no assessment of its own is recorded", tone=Tone.MUTED)


def _since(item: Item, record: ReleaseRecord) -> str:
    earlier = record.history.earlier if record.history else []
    first = next((one.version for one in earlier if item.id in one.items), "")
    return f"release {first} or earlier" if first else f"release {record.source.version}, as far as bundles were given"
