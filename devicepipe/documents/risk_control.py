"""Risk controls: is each implemented and shown to work, what it brings, what remains, what is open (ISO 14971, 7.2 to 7.6)."""

from __future__ import annotations

from collections.abc import Mapping

from devicepipe.documents import anchors
from devicepipe.documents.cells import NONE
from devicepipe.documents.model import Cell, Column, Table, Tone
from devicepipe.documents.record import PASSED, ReleaseRecord
from devicepipe.documents.risk_closure import acceptability_cell, brings_cell, effectiveness_cell
from devicepipe.documents.specification import tests_of
from devicepipe.evidence.risk import closure
from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import HAZARD, RATINGS, REQUIREMENT

CONTROL = "risk-control"


def _implementers(record: ReleaseRecord) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in record.traceability.items:
        if item.type == REQUIREMENT:
            for control in item.links.get("implements", ()):
                found.setdefault(control, []).append(item)
    return found


def control_table(record: ReleaseRecord) -> Table:
    """Each control: what hazards it is for, what implements it, and what its verification came to."""
    implementers, tests = _implementers(record), tests_of(record)
    closed = closure(record.traceability)
    judged, controls = closed.matrix is not None, {one.control.id: one for one in closed.controls}
    rows = []
    for item in record.traceability.items:
        if item.type != CONTROL:
            continue
        items = implementers.get(item.id, [])
        hazards = item.links.get("mitigates", [])
        rows.append(
            (
                Cell(item.id, item.title, strong=True, anchor=anchors.item(item.id)),
                Cell(", ".join(hazards) or NONE, links=anchors.to_items(hazards)),
                _implemented(items),
                _verified(items, tests, record),
                effectiveness_cell(controls.get(item.id), judged=judged),
                brings_cell(controls.get(item.id), judged=judged),
            )
        )
    columns = (
        Column("Risk control", 21),
        Column("Controls the risk of", 11),
        Column("Implemented by", 21),
        Column("Verification of the implementation", 15),
        Column("Verification of the effectiveness", 20),
        Column("New hazards", 12),
    )
    return Table("Risk controls", columns, tuple(rows), empty="There is no risk control among the items.")


def _implemented(items: list[Item]) -> Cell:
    if not items:
        return Cell("NO REQUIREMENT", tone=Tone.BAD)
    text = "\n".join(f"{item.id} {item.title}" for item in items)
    return Cell(text, links=anchors.to_items(item.id for item in items))


def _verified(items: list[Item], tests: dict[str, dict[str, dict[str, str]]], record: ReleaseRecord) -> Cell:
    """How many of the verdicts that count are passed; what is missing is named."""
    if not items:
        return Cell("NOT VERIFIED", tone=Tone.BAD)
    missing = []
    passed = whole = 0
    for item in items:
        for board in item.boards:
            verdicts = [found[board] for found in tests.get(item.id, {}).values() if found.get(board)]
            whole += len(verdicts)
            passed += sum(verdict == PASSED for verdict in verdicts)
            if PASSED not in verdicts and not item.record:
                missing.append(f"{item.id} on {board}")
    told = f"{passed:,} of {whole:,} verdicts passed, {len(record.source.boards)} boards"
    if missing:
        return Cell("NOT VERIFIED", f"{told}; no passed test: {', '.join(missing)}", tone=Tone.BAD)
    if passed < whole:
        return Cell("verified, but not every test passed", told, tone=Tone.WARNING)
    return Cell("✓ verified", told if whole else "by the record of an analysis or inspection", tone=Tone.GOOD)


def residual_table(record: ReleaseRecord) -> Table:
    """Each hazard: its risk before and after control, and whether every control is verified."""
    implementers, tests = _implementers(record), tests_of(record)
    controls: dict[str, list[Item]] = {}
    for item in record.traceability.items:
        if item.type == CONTROL:
            for hazard in item.links.get("mitigates", ()):
                controls.setdefault(hazard, []).append(item)
    risks = {one.hazard.id: one for one in closure(record.traceability).hazards}
    rows = []
    for item in record.traceability.items:
        if item.type != HAZARD:
            continue
        own = controls.get(item.id, [])
        open_ones = [one.id for one in own if _verified(implementers.get(one.id, []), tests, record).tone is Tone.BAD]
        rows.append(
            (
                Cell(item.id, item.title, strong=True, anchor=anchors.item(item.id)),
                _risk(item.fields, *RATINGS[:2]),
                Cell(", ".join(one.id for one in own), links=anchors.to_items(one.id for one in own))
                if own
                else Cell("NO CONTROL", tone=Tone.BAD),
                _risk(item.fields, *RATINGS[2:]),
                acceptability_cell(risks.get(item.id)),
                Cell("OPEN", f"not verified: {', '.join(open_ones) or 'nothing'}", tone=Tone.BAD)
                if open_ones or not own
                else Cell("✓ controls verified", tone=Tone.GOOD),
            )
        )
    columns = (
        Column("Hazard", 25),
        Column("Risk without control", 15),
        Column("Controls", 14),
        Column("Residual risk", 15),
        Column("Acceptability", 17),
        Column("State", 14),
    )
    return Table("Hazards and residual risk", columns, tuple(rows), empty="There is no hazard among the items.")


def _risk(fields: Mapping[str, str], severity: str, probability: str) -> Cell:
    if not (fields.get(severity) and fields.get(probability)):
        return Cell("NOT RATED", tone=Tone.WARNING)
    return Cell(f"{fields[severity]}, {fields[probability]}")
