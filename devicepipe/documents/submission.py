"""The submission index: what the guidances ask for at the documentation level, where it is, and what is still to be written."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from devicepipe.documents.control import status_told
from devicepipe.documents.definition import filled
from devicepipe.documents.model import Block, Cell, Column, Heading, KeyValues, Notice, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord, requirements
from devicepipe.documents.scope import Scope
from devicepipe.documents.security import shown_categories
from devicepipe.evidence.risk import closure
from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import ANOMALY, DESIGN, OPEN

_GUIDANCES: Final = ("fda-premarket.toml", "fda-cybersecurity.toml")

Level = Literal["basic", "enhanced"]


@dataclass(frozen=True, slots=True)
class Element:
    """Something that a guidance asks for: `asks` by level ("" where that level does not), and where it is to be found."""

    clause: str
    title: str
    asks: dict[str, str]
    documents: tuple[str, ...]
    manufacturer: str
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Guidance:
    """A guidance: its short name, title and date as they are printed, and its elements."""

    name: str
    title: str
    date: str
    elements: tuple[Element, ...]


@cache
def guidances() -> tuple[Guidance, ...]:
    """The guidances that the index goes through."""
    folder = files("devicepipe.documents") / "guidance"
    return tuple(_guidance(tomllib.loads((folder / name).read_text(encoding="utf-8"))) for name in _GUIDANCES)


def _guidance(data: dict[str, Any]) -> Guidance:
    elements = tuple(
        Element(
            clause=one["clause"],
            title=one["title"],
            asks={"basic": one["basic"], "enhanced": one["enhanced"]},
            documents=tuple(one["documents"]),
            manufacturer=one["manufacturer"],
            proof=one.get("proof", ""),
        )
        for one in data["element"]
    )
    return Guidance(data["name"], data["title"], data["date"], elements)


def level_of(scope: Scope) -> tuple[Level, str]:
    """The documentation level, and who says so."""
    if scope.definition.level:
        return scope.definition.level, "the definition of this document"
    if scope.record.level:
        return scope.record.level, "the product's rule sets (devicepipe.toml, policy.rule-sets)"
    return "enhanced", "nobody: Enhanced, which asks for more, is taken"


def submission_level(scope: Scope) -> tuple[Block, ...]:
    """Level and guidances."""
    level, by = level_of(scope)
    rows = [("Documentation level", Cell(level.capitalize(), f"chosen by {by}", strong=True))]
    rows += [(one.name, Cell(one.title, one.date)) for one in guidances()]
    return (KeyValues("Level and guidances", tuple(rows)),)


def submission_index(scope: Scope) -> tuple[Block, ...]:
    """A table for each guidance: clause, what is asked, where it is, what is missing."""
    level, _ = level_of(scope)
    _check_provided(scope)
    blocks: list[Block] = []
    for guidance in guidances():
        columns = (
            Column("Clause", 9),
            Column("What is asked", 30),
            Column("Where it is", 31),
            Column("State", 11),
            Column("Still to be written by the manufacturer", 27),
        )
        rows = tuple(_row(guidance, element, level, scope) for element in guidance.elements if element.asks[level])
        blocks += [Heading(2, f"{guidance.title} ({guidance.date})"), Table(guidance.name, columns, rows, row_header=1)]
    return tuple(blocks)


def _missing(element: Element, scope: Scope) -> str:
    """What is still to be written: what only people can, and what the evidence should have and has not."""
    proven = _PROOFS[element.proof](scope.record) if element.proof else ""
    return " ".join(filter(None, (element.manufacturer, proven)))


def _requirements(record: ReleaseRecord) -> str:
    return "" if requirements(record) else "There is no requirement among the items."


def _designs(record: ReleaseRecord) -> str:
    return "" if _of_type(record, DESIGN) else "There is no design item among the items."


def _risks(record: ReleaseRecord) -> str:
    closed = closure(record.traceability)
    if closed.matrix is None:
        return "Which risks are acceptable (devicepipe.toml does not say it)."
    bad = [risk.hazard.id for risk in closed.hazards if risk.unacceptable or risk.unjustified]
    return f"Acceptable residual risks of {', '.join(bad)}." if bad else ""


def _history(record: ReleaseRecord) -> str:
    return "" if record.history else "The evidence holds no history of versions."


def _anomalies(record: ReleaseRecord) -> str:
    asked = ("found-by", "cause", "impact", "rationale")
    found = [
        item.id
        for item in _of_type(record, ANOMALY)
        if item.fields.get("status") == OPEN and not all(item.fields.get(key) for key in asked)
    ]
    return f"How found, cause, impact or rationale of {', '.join(found)}." if found else ""


def _support(record: ReleaseRecord) -> str:
    names = sorted({item.name for item in record.software_items if item.linked and not item.support})
    if not record.software_items:
        return "The evidence holds no software bill of materials."
    return f"Level of support and end of support of {', '.join(names)}." if names else ""


def _controls(record: ReleaseRecord) -> str:
    missing = [category for category, held in shown_categories(record).items() if not held]
    return f"A requirement with passed tests for {', '.join(missing)}." if missing else ""


def _of_type(record: ReleaseRecord, kind: str) -> list[Item]:
    return [item for item in record.traceability.items if item.type == kind]


_PROOFS: Final[dict[str, Callable[[ReleaseRecord], str]]] = {
    "requirements": _requirements,
    "designs": _designs,
    "risks": _risks,
    "history": _history,
    "anomalies": _anomalies,
    "support": _support,
    "controls": _controls,
}


def _check_provided(scope: Scope) -> None:
    """Refuse what is provided for an element that no guidance has."""
    known = [f"{guidance.name} {element.clause}" for guidance in guidances() for element in guidance.elements]
    for name in scope.definition.provided:
        if name not in known:
            raise scope.definition.mistake(
                f"no guidance has an element '{name}'", ("provided", name), f"elements: {'; '.join(known)}"
            )


def _row(guidance: Guidance, element: Element, level: Level, scope: Scope) -> tuple[Cell, ...]:
    found = list(_places(element, scope))
    given = scope.definition.provided.get(f"{guidance.name} {element.clause}", "")
    if given:
        found.append(f"{given} (by the manufacturer)")
    missing = "" if given else _missing(element, scope)
    if not found:
        state = Cell("MISSING", tone=Tone.WARNING)
    elif missing:
        state = Cell("in part", tone=Tone.WARNING)
    else:
        state = Cell("✓ there", tone=Tone.GOOD)
    return (
        Cell(element.clause, strong=True),
        Cell(element.title, element.asks[level]),
        Cell("\n".join(found) or "nowhere in this set"),
        state,
        Cell(missing or "nothing", tone=Tone.PLAIN if missing else Tone.MUTED),
    )


def _places(element: Element, scope: Scope) -> Iterator[str]:
    """The documents of the set that hold the element; one that the project does not make holds nothing."""
    made = {one.name: one for one in scope.documents.documents}
    for name in element.documents:
        if name in made:
            yield f"{filled(made[name].number, scope.values)}, {filled(made[name].title, scope.values)}"


def missing_items(scope: Scope) -> tuple[Block, ...]:
    """What is still to be written, as one list."""
    level, _ = level_of(scope)
    found = []
    for guidance in guidances():
        for element in guidance.elements:
            if not element.asks[level] or f"{guidance.name} {element.clause}" in scope.definition.provided:
                continue
            told = _missing(element, scope)
            if not told and not list(_places(element, scope)):
                told = "The document that holds it is not made."
            if told:
                found.append(f"{guidance.name} {element.clause}, {element.title}. {told}")
    if not found:
        return (
            Paragraph.plain("Nothing is missing: each element is in this set, or was provided by the manufacturer."),
        )
    return (Notice(Tone.WARNING, f"{len(found)} elements are not, or not in full, in this set", tuple(found)),)


def document_list(scope: Scope) -> tuple[Block, ...]:
    """All documents of the set, with number, revision and files."""
    rows = tuple(
        (
            Cell(filled(one.number, scope.values), strong=True),
            Cell(filled(one.title, scope.values)),
            Cell(one.revision),
            Cell(one.status, status_told(scope)),
            Cell(f"{one.name}.pdf", f"{one.name}.html", links=((f"{one.name}.html", f"documents/{one.name}.html"),)),
        )
        for one in scope.documents.documents
    )
    columns = (
        Column("Number", 24),
        Column("Title", 30),
        Column("Revision", 9),
        Column("Status", 13),
        Column("Files", 24),
    )
    return (Table("Documents of the set", columns, rows),)
