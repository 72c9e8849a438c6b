"""The submission index: what is in the set, what is missing, and what the manufacturer provides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from devicepipe.documents.model import Notice, Table
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.release import compose_document
from devicepipe.documents.sources import load_sources
from devicepipe.evidence.foreign_results import ForeignCase, ForeignResults, ForeignSet
from devicepipe.evidence.results import Verdict
from devicepipe.evidence.words import CONTROL_CATEGORIES
from tests.documents import release_records as records

NAME = "submission-index"


def missing(record: ReleaseRecord) -> list[str]:
    blocks = compose_document(record, NAME).blocks
    return [line for block in blocks if isinstance(block, Notice) and "elements" in block.title for line in block.lines]


def clauses(record: ReleaseRecord) -> list[str]:
    tables = [block for block in compose_document(record, NAME).blocks if isinstance(block, Table)]
    return [row[0].text for table in tables if table.caption == "FDA premarket" for row in table.rows]


def test_the_level_decides_what_is_asked() -> None:
    assert "VI.F" not in clauses(replace(records.green(4), level="basic"))
    assert "VI.F" in clauses(replace(records.green(4), level="enhanced"))
    assert "VI.F" in clauses(records.green(4)), "without a choice, the level that asks for more"


def test_what_the_evidence_lacks_is_missing_and_what_it_has_is_not() -> None:
    record = records.green(4)
    (controls,) = [line for line in missing(record) if "V.B.1" in line]
    assert all(category in controls for category in CONTROL_CATEGORIES)
    items = [
        item.model_copy(update={"fields": {"security-control": ", ".join(CONTROL_CATEGORIES)}})
        if item.id == "SRS-001"
        else item
        for item in record.traceability.items
    ]
    held = replace(record, traceability=record.traceability.model_copy(update={"items": items}))
    assert not [line for line in missing(held) if "V.B.1" in line]
    assert any("There is no requirement among the items." in line for line in missing(records.bare()))


def test_what_the_manufacturer_provides_is_no_longer_missing(tmp_path: Path) -> None:
    record = records.green(4)
    assert any(line.startswith("FDA premarket VI.E") for line in missing(record))
    (tmp_path / f"{NAME}.toml").write_text(
        '[provided]\n"FDA premarket VI.E" = "SAD-003, revision 2"\n', encoding="utf-8"
    )
    given = replace(record, documents=load_sources(tmp_path).documents())
    assert not any(line.startswith("FDA premarket VI.E") for line in missing(given))
    tables = [block for block in compose_document(given, NAME).blocks if isinstance(block, Table)]
    (row,) = [row for table in tables for row in table.rows if row[0].text == "VI.E"]
    assert "SAD-003, revision 2 (by the manufacturer)" in row[2].text
    assert row[3].text == "✓ there"


def test_levels_without_results_are_named_and_those_with_results_are_counted() -> None:
    record = records.green(4)

    def levels(one: ReleaseRecord) -> dict[str, str]:
        blocks = compose_document(one, "software-test-report").blocks
        (table,) = [block for block in blocks if isinstance(block, Table) and block.caption == "Levels of testing"]
        return {row[0].text: f"{row[2].text} {row[2].detail}" for row in table.rows}

    assert levels(record)["Unit"].startswith("NO EVIDENCE")
    assert "8 tests on 2 boards" in levels(record)["System"]
    case = ForeignCase(id="x", name="x", verdict=Verdict.PASSED, names=[], file="evidence/results/x.xml", line=1)
    unit = ForeignSet(name="unit-tests", format="junit", files=[], current=True, why="made from it", cases=[case])
    old = unit.model_copy(update={"name": "parser", "current": False})
    told = levels(replace(record, foreign=ForeignResults(tester="Ada", sets=[unit, old])))
    assert told["Unit"].startswith("1 cases unit-tests: 1 of 1 cases passed")
    assert "STALE" in told["On a host"]
    assert told["Integration"].startswith("NO EVIDENCE")
