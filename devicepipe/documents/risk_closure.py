"""Cells about closed risks: whether a control is shown to work, what it brings, and whether what remains is acceptable."""

from __future__ import annotations

from devicepipe.documents import anchors
from devicepipe.documents.cells import NONE, NOT_APPLICABLE
from devicepipe.documents.model import Cell, Column, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.risks import plain
from devicepipe.evidence.review_links import review_findings
from devicepipe.evidence.risk import BENEFIT_RISK, ControlVerification, ResidualRisk


def effectiveness_cell(one: ControlVerification | None, *, judged: bool) -> Cell:
    """Whether a control is shown to work, and by what. `judged` is whether the product says which risks are acceptable."""
    if one is None or not (judged or one.tests or one.record):
        return NOT_APPLICABLE
    if one.record:
        return Cell("✓ shown", f"by a record: {one.record}", tone=Tone.GOOD)
    if one.ineffective:
        return Cell("NOT SHOWN", one.ineffective, tone=Tone.BAD)
    return Cell("✓ shown", f"on {', '.join(one.effectiveness)}:\n" + "\n".join(one.tests), tone=Tone.GOOD)


def brings_cell(one: ControlVerification | None, *, judged: bool) -> Cell:
    """The new hazards that a control brings, or why it brings none."""
    if one is None or not (judged or one.assessed):
        return NOT_APPLICABLE
    if one.introduces:
        return Cell(", ".join(one.introduces), links=anchors.to_items(one.introduces))
    said = one.control.fields.get("new-hazards", "")
    return Cell(plain(said)) if said else Cell("NOT SAID", tone=Tone.BAD)


def acceptability_cell(risk: ResidualRisk | None) -> Cell:
    """Whether what remains of a risk is acceptable."""
    if risk is None:
        return NOT_APPLICABLE
    if risk.unacceptable:
        return Cell("UNACCEPTABLE", risk.unacceptable, tone=Tone.BAD)
    if risk.unjustified:
        return Cell("NOT JUSTIFIED", risk.unjustified, tone=Tone.BAD)
    if risk.residual == BENEFIT_RISK:
        return Cell("justified by benefit", plain(risk.hazard.fields[BENEFIT_RISK]), tone=Tone.WARNING)
    return Cell("✓ acceptable", tone=Tone.GOOD)


def reviews_table(record: ReleaseRecord) -> Table:
    """Who reviewed which item, and what of it is open."""
    trace = record.traceability
    columns = (Column("Item", 26), Column("Reviewed by", 16), Column("On", 9), Column("Note", 33), Column("State", 16))
    if trace.reviews is None:
        return Table("Reviews of items", columns, (), empty="The product keeps no reviews of its items.")
    open_ones: dict[str, list[str]] = {}
    for found in review_findings(trace.items, trace.reviews):
        open_ones.setdefault(found.item, []).append(found.message)
    by_item = {review.item: review for review in trace.reviews}
    rows = []
    for item in trace.items:
        review, wrong = by_item.get(item.id), open_ones.get(item.id, [])
        rows.append(
            (
                Cell(item.id, item.title, strong=True, anchor=anchors.item(item.id)),
                Cell(review.by if review else NONE),
                Cell(review.on[:10] if review else NONE),
                Cell((review.note if review else "") or NONE),
                Cell("OPEN", "\n".join(wrong), tone=Tone.BAD) if wrong else Cell("✓ as it stands", tone=Tone.GOOD),
            )
        )
    return Table("Reviews of items", columns, tuple(rows), empty="There is no item.")
