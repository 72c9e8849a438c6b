"""Files as each tool writes them (made by us): what is found, where, and what is told as not carried."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.project.exchange import TraceMapping
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.markdown import RawItem
from devicepipe.traceability.registry import make_exporter, make_importer
from tests.traceability.exchange.made_items import ITEMS_OF_REQIF, read_back
from tests.traceability.exchange.test_damage import ITEMS


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def told(losses: list[Loss]) -> list[tuple[int, str, str]]:
    return sorted((loss.line, loss.item, loss.what) for loss in losses)


def by_id(items: list[RawItem]) -> dict[str, RawItem]:
    return {one.id: one for one in items}


SDOC = """[DOCUMENT]
TITLE: Pump
OPTIONS:
  ENABLE_MID: True

[GRAMMAR]
ELEMENTS:
- TAG: REQUIREMENT
  FIELDS:
  - TITLE: UID
    TYPE: String
    REQUIRED: True

[[SECTION]]
TITLE: Delivery

[TEXT]
STATEMENT: >>>
Prose.
<<<

[RISK_CONTROL]
UID: RC-001
TITLE: Limit
STATEMENT: The pump limits.

[REQUIREMENT]
MID: 0123
UID: SRS-001
STATUS: Draft
TITLE: Rate
STATEMENT: >>>
At most:

- 5 ml/h
<<<
COMMENT: One.
COMMENT: Two.
RELATIONS:
- TYPE: Parent
  VALUE: RC-001
- TYPE: File
  VALUE: src/rate.c
- TYPE: Parent
  VALUE: SRS-009
  ROLE: Refines

[[/SECTION]]
"""


def test_strictdoc(tmp_path: Path) -> None:
    path = write(tmp_path, "pump.sdoc", SDOC)
    items, losses = read_back("strictdoc", path)
    rate = by_id(items)["SRS-001"]
    assert (rate.type, rate.title, rate.text, rate.line) == ("requirement", "Rate", "At most:\n\n- 5 ml/h", 27)
    assert rate.fields == {
        "implements": "RC-001", "mid": "0123", "status": "Draft", "comment": "One.\n\nTwo.", "files": "src/rate.c",
    }  # fmt: skip
    assert rate.lines["implements"] == 40
    assert (14, "Delivery", "section: left out") in told(losses)
    assert (17, "", "node [TEXT] without a UID: left out") in told(losses)
    assert (44, "SRS-001", "link 'Refines' from requirement to requirement: there is no such link here") in told(losses)


SDOC_MISTAKES = {
    "no document": ("hello", 1, "no StrictDoc document"),
    "a text that never ends": (SDOC.replace("<<<\nCOMMENT", "COMMENT"), 32, "never ends"),
    "a section that is never closed": (SDOC.replace("[[/SECTION]]\n", ""), 14, "never closed"),
    "no field": (SDOC.replace("STATUS: Draft", "Draft"), 30, "expected 'FIELD: value'"),
    "a relation to nothing": (SDOC.replace("  VALUE: RC-001\n", ""), 39, "without a VALUE"),
}


@pytest.mark.parametrize(("text", "line", "message"), SDOC_MISTAKES.values(), ids=SDOC_MISTAKES.keys())
def test_mistakes_in_strictdoc(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path, "pump.sdoc", text)
    with pytest.raises(UsageError, match=message) as caught:
        read_back("strictdoc", path)
    assert caught.value.file == path
    assert abs((caught.value.line or 0) - line) <= 1


def doorstop(folder: Path) -> Path:
    write(folder, "req/.doorstop.yml", "settings:\n  digits: 3\n  prefix: REQ\n  sep: ''\n")
    write(
        folder,
        "req/REQ001.yml",
        "active: true\nderived: false\nheader: |\n  Rate\nlevel: 1.2\nlinks: []\nnormative: true\nref: ''\n"
        "references:\n- path: src/rate.c\n  type: file\nreviewed: abc=\ntext: |\n  At most 5 ml/h.\npriority: 1\n",
    )
    write(folder, "req/REQ002.yml", "active: true\nnormative: false\nlevel: 1.0\ntext: |\n  Delivery\n")
    write(folder, "req/REQ003.yml", "active: false\nlevel: 1.1\ntext: |\n  Old\n")
    write(folder, "req/REQ010.yml", "level: 1.1\ntext: |\n  First by its level.\n")
    write(folder, "req/tst/.doorstop.yml", "settings:\n  prefix: TST\n  parent: REQ\n  itemformat: markdown\n")
    write(folder, "req/tst/TST001.md", "---\nlevel: 1.0\nlinks:\n- REQ001: abc=\n---\n\n# It flows\n\nMeasure it.\n")
    return folder / "req"


MAPPING = TraceMapping(types={"REQ": "requirement"})


def test_doorstop(tmp_path: Path) -> None:
    items, losses = read_back("doorstop", doorstop(tmp_path), MAPPING)
    assert [one.id for one in items] == ["REQ010", "REQ001", "TST001"]
    rate = by_id(items)["REQ001"]
    assert (rate.type, rate.title, rate.text) == ("requirement", "Rate", "At most 5 ml/h.")
    assert rate.fields == {"references": "src/rate.c", "priority": "1"}
    assert by_id(items)["REQ010"].title == "First by its level."
    flows = by_id(items)["TST001"]
    assert (flows.type, flows.title, flows.text, flows.fields) == (
        "test",
        "It flows",
        "Measure it.",
        {"verifies": "REQ001"},
    )
    assert {(loss.item, loss.what, loss.line) for loss in losses} == {
        ("REQ001", "the stamp of its review: left out", 12),
        ("REQ002", "heading or text that is not normative: left out", 2),
        ("REQ003", "item that is not active: left out", 1),
        ("TST001", "the stamps of its links: left out", 3),
    }


def test_doorstop_ids_become_ours_in_markdown(tmp_path: Path) -> None:
    items, _ = read_back("doorstop", doorstop(tmp_path), MAPPING, keep_ids=False)
    assert [(one.id, one.fields["foreign-id"]) for one in items] == [
        ("REQ-010", "REQ010"), ("REQ-001", "REQ001"), ("TST-001", "TST001"),
    ]  # fmt: skip
    assert by_id(items)["TST-001"].fields["verifies"] == "REQ-001"


def test_an_item_without_a_type_is_an_error_where_it_stays_and_a_loss_where_it_moves(tmp_path: Path) -> None:
    folder = doorstop(tmp_path)
    with pytest.raises(UsageError, match="its type 'REQ' is none of ours") as caught:
        read_back("doorstop", folder)
    assert caught.value.file == folder / "REQ010.yml"
    items, losses = read_back("doorstop", folder, keep_ids=False)
    assert [one.id for one in items] == ["TST-001"]
    assert "item of type 'REQ', which is not mapped: left out" in {loss.what for loss in losses}


def needs(**changes: object) -> str:
    need = {"id": "R_1", "type": "req", "title": "Rate", "content": "At most 5 ml/h.", "status": "open", "tags": ["a", "b"],
            "links": ["R_2", "N_9"], "links_back": [], "docname": "index", "lineno": 4, "effort": 3, "hide": False}  # fmt: skip
    other = {"id": "R_2", "type": "hazard", "title": "Too much", "content": "", "links_back": ["R_1"]}
    version = {"needs": {"R_1": need | changes, "R_2": other}, "needs_amount": 2}
    return json.dumps({"current_version": "1.0", "versions": {"1.0": version}}, indent=1)


def test_sphinx_needs(tmp_path: Path) -> None:
    path = write(tmp_path, "needs.json", needs())
    items, losses = read_back(
        "needs-json", path, TraceMapping(types={"req": "risk-control"}, links={"links": "mitigates"})
    )
    rate = by_id(items)["R_1"]
    assert (rate.type, rate.title, rate.text, rate.line) == ("risk-control", "Rate", "At most 5 ml/h.", 6)
    assert rate.fields == {"mitigates": "R_2", "status": "open", "tags": "a, b", "effort": "3"}
    what = {loss.what for loss in losses}
    assert "link 'links' to an item that there is not (N_9)" in what
    assert "no statement: its title stands for it" in what
    assert any(one.startswith("where needs stand") and "docname" in one for one in what)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it has no versions"),
        (needs().replace('"needs_amount": 2', '"needs_amount": 3'), "says that it has 3 needs"),
    ],
)
def test_mistakes_in_needs_json(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, "needs.json", text)
    with pytest.raises(UsageError, match=message):
        read_back("needs-json", path)


RST = """Pump
====

.. item:: SRS_0001 Rate of
   delivery
   :implements: RC_0001
   :asil: B

   At most 5 ml/h, as in::

      .. item:: SRS_9999 an example, not an item

   .. note:: Nested text stays.

   .. item:: SRS_0002 Inside

      The inner one.

.. item:: RC_0001 Limit
   :class: wide

   It limits.

.. .. item:: SRS_0003 in a comment

.. item:: HAZ_0001 Too much

   More than wanted.

.. item-link::
   :sources: RC_0001
   :targets: HAZ_0001
   :type: trace

.. item-link::
   :source: RC.*
   :target: HAZ.*
   :type: trace
"""
RST_MAPPING = TraceMapping(
    types={"SRS": "requirement", "RC": "risk-control", "HAZ": "hazard"}, links={"trace": "mitigates"}
)


def test_mlx_traceability(tmp_path: Path) -> None:
    path = write(tmp_path, "srs.rst", RST)
    items, losses = read_back("mlx-traceability", path, RST_MAPPING)
    assert [one.id for one in items] == ["SRS_0001", "SRS_0002", "RC_0001", "HAZ_0001"]
    rate = by_id(items)["SRS_0001"]
    assert (rate.title, rate.line) == ("Rate of delivery", 4)
    assert rate.fields == {"implements": "RC_0001", "asil": "B"}
    assert ".. item:: SRS_9999" in rate.text
    assert "The inner one." not in rate.text
    assert by_id(items)["RC_0001"].fields == {"mitigates": "HAZ_0001"}
    assert {(loss.line, loss.what) for loss in losses} == {
        (20, "option 'class', which is about layout: left out"),
        (35, "directive 'item-link' that goes by patterns: left out"),
    }


def test_csv_columns_by_any_name_and_any_separator(tmp_path: Path) -> None:
    text = 'Nr;Kind;Title;Text;mitigates;note;\nHAZ-1;hazard;Much;"Two\nlines";;\'=1+1;x\n\nRC-1;;Limit;It limits.;HAZ-1;;\n'
    path = write(tmp_path, "items.csv", text)
    importer = make_importer("csv", {"id": "Nr", "type": "Kind", "separator": ";"})
    items, losses = read_back(importer, path)
    much, limit = by_id(items)["HAZ-1"], by_id(items)["RC-1"]
    assert (much.text, much.line, much.fields) == ("Two\nlines", 2, {"note": "=1+1"})
    assert (limit.type, limit.line, limit.fields) == ("risk-control", 5, {"mitigates": "HAZ-1"})
    assert told(losses) == [(2, "HAZ-1", "a cell in a column without a name: left out")]


def test_excel_tells_formulas_and_other_sheets(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["ID", "Title", "Text", "Effort", "Day"])
    sheet.append(["SRS-001", "Rate", "At most 5 ml/h.", 3.0, "=TODAY()"])
    book.create_sheet("Notes").append(["x"])
    book.save(tmp_path / "items.xlsx")
    items, losses = read_back("xlsx", tmp_path / "items.xlsx")
    assert by_id(items)["SRS-001"].fields == {"effort": "3"}
    assert {(loss.line, loss.what) for loss in losses} == {
        (0, "the sheet 'Notes': left out"),
        (2, "a formula in E2: left out"),
    }


def test_reqif_with_xhtml_enumerations_and_relations(tmp_path: Path) -> None:
    path = write(tmp_path, "items.reqif", ITEMS_OF_REQIF)
    _, losses = read_back("reqif", path)
    assert {loss.what for loss in losses} >= {
        "link 'reduces' from risk-control to hazard: may be mitigates or introduces; map it"
    }
    items, losses = read_back("reqif", path, TraceMapping(links={"reduces": "mitigates"}))
    limit = by_id(items)["RC-001"]
    assert (limit.type, limit.title) == ("risk-control", "Limit")
    assert limit.text == "The pump limits\n- the rate\n- the dose"
    assert limit.fields["mitigates"] == "HAZ-001"
    assert limit.fields["priority"] == "High"
    assert limit.line > 1
    assert "<object> in a text: left out" in {loss.what for loss in losses}


def test_what_we_write_as_reqif_is_valid_and_read_by_the_reqif_package(tmp_path: Path) -> None:
    from reqif.parser import ReqIFParser

    path = tmp_path / "items.reqif"
    path.write_bytes(make_exporter("reqif", {}).write(ITEMS).files[""])
    command = [sys.executable, "-m", "reqif.cli.main", "validate", "--use-reqif-schema", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "0 errors, 0 schema issues found, 0 semantic issues found" in told.stdout, told.stdout + told.stderr
    content = ReqIFParser.parse(str(path)).core_content.req_if_content
    assert len(content.spec_objects) == 3
    assert len(content.spec_relations) == 2


def test_lobster(tmp_path: Path) -> None:
    entry = {"tag": "req pump.rate@3", "location": {"kind": "file", "file": "a.trlc", "line": 3, "column": 1}, "name": "Rate",
             "messages": [], "just_up": ["no parent"], "just_down": [], "just_global": [], "refs": ["req pump.limit"],
             "framework": "TRLC", "kind": "requirement", "text": "At most 5 ml/h.", "status": None}  # fmt: skip
    limit = entry | {"tag": "req pump.limit", "name": "pump.limit", "kind": "risk-control", "refs": []}
    data = {"data": [entry, limit], "generator": "x", "schema": "lobster-req-trace", "version": 4}
    path = write(tmp_path, "a.lobster", json.dumps(data))
    items, _ = read_back("lobster", path)
    assert by_id(items)["pump.rate"].fields == {
        "implements": "pump.limit",
        "version": "3",
        "justification-up": "no parent",
    }
