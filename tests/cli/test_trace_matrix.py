"""`devicepipe trace matrix` and `trace coverage`: the same rows in each form, and what is not covered."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from devicepipe.cli.main import cli
from tests.evidence.synthetic_bundle import Spoil, make_bundle
from tests.traceability.item_samples import sample
from tests.traceability.test_schema import project

ITEMS = """# Pump

## UN-001 Comfort

The nurse can work.

## UN-002 Quiet

It is quiet.

## HAZ-001 Too much

More.

## RC-001 Limit
- mitigates: HAZ-001

It refuses.

## SRS-001 Range <1 ml/h & "more", =2
- satisfies: UN-001
- implements: RC-001

1 to 10 ml/h.

## SRS-002 Alarm
- satisfies: UN-001

It sounds.

## DSG-001 Rate check
- realises: SRS-001, SRS-002

A table.

## DSG-002 Idle

Nothing.

## TST-001 By ear
- verifies: SRS-002

Listen.
"""
ROWS = [
    ["", "", "UN-002", "", "", "", "", ""],
    [
        "HAZ-001",
        "RC-001",
        "UN-001",
        "SRS-001",
        'Range <1 ml/h & "more", =2',
        "DSG-001",
        "test_x.py::test_range",
        "not_run",
    ],
    ["", "", "UN-001", "SRS-002", "Alarm", "DSG-001", "TST-001", "not_run"],
    ["", "", "", "", "", "DSG-002", "", ""],
]


class Cells(HTMLParser):
    """The text of each cell of the page's table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in = True

    def handle_endtag(self, tag: str) -> None:
        self._in = self._in and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in:
            self.rows[-1][-1] += data


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project(tmp_path, items=ITEMS)
    (tmp_path / "hil/test_x.py").write_text('@pytest.mark.verifies("SRS-001")\ndef test_range(): ...\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["trace", *arguments], standalone_mode=False)


def test_csv_and_html_hold_the_same_rows(root: Path) -> None:
    result = run("matrix", "--csv", "m.csv", "--html", "m.html")
    assert result.return_value == 1  # UN-002 is not met, DSG-002 realises nothing
    assert "UN-002: no requirement satisfies it" in result.output
    with (root / "m.csv").open(newline="") as file:
        heads, *rows = csv.reader(file)
    assert heads == ["hazard", "risk control", "user needs", "requirement", "title", "design items", "test", "microbit"]
    assert rows == ROWS
    page = Cells()
    page.feed((root / "m.html").read_text(encoding="utf-8"))
    shown = [
        [cell.replace("not_run", "not run") for cell in row[:6]] + [row[6] or "none", row[7].replace("_", " ")]
        for row in ROWS
    ]
    assert page.rows == [heads, *shown]


def test_without_a_file_it_is_printed_and_a_spreadsheet_computes_nothing(root: Path) -> None:
    (root / "requirements/all.md").write_text(ITEMS.replace("## SRS-002 Alarm", "## SRS-002 =HYPERLINK(1)"))
    assert ",SRS-002,'=HYPERLINK(1),DSG-001," in run("matrix").stdout


def test_hidden_characters_are_seen(root: Path) -> None:
    (root / "requirements/all.md").write_text(
        ITEMS.replace("## SRS-002 Alarm", "## SRS-002 Al\u202earm"), encoding="utf-8"
    )
    run("matrix", "--csv", "m.csv", "--html", "m.html")
    for name in ("m.csv", "m.html"):
        text = (root / name).read_text(encoding="utf-8")
        assert "Al[U+202E]arm" in text
        assert "\u202e" not in text


def whole(trace: dict[str, Any]) -> None:
    trace["items"] = [sample("SRS-001", boards=("microbit",)).to_json()]


def test_the_verdicts_of_a_bundle_are_shown(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = make_bundle(tmp_path_factory.mktemp("made"), boards=("microbit",), spoil=Spoil(edit={"traceability": whole}))
    heads, *rows = csv.reader(run("matrix", "--bundle", str(made.path)).stdout.splitlines())
    assert heads[-1] == "microbit"
    assert "passed" in {row[-1] for row in rows if row[3] == "SRS-001"}
    document = json.loads(run("coverage", "--bundle", str(made.path), "--json").stdout)
    assert document[-1] == {
        "of": "requirement",
        "what": "verified on microbit",
        "covered": 1,
        "total": 1,
        "missing": [],
    }


def test_the_same_items_give_the_same_bytes(root: Path) -> None:
    run("matrix", "--csv", "a.csv", "--html", "a.html")
    run("matrix", "--csv", "b.csv", "--html", "b.html", "--no-cache")
    assert (root / "a.csv").read_bytes() == (root / "b.csv").read_bytes()
    assert (root / "a.html").read_bytes() == (root / "b.html").read_bytes()


def test_coverage_counts_each_rule_and_names_what_is_missing(root: Path) -> None:
    document = json.loads(run("coverage", "--json").stdout)
    assert {(one["of"], one["what"]): (one["covered"], one["total"], one["missing"]) for one in document} == {
        ("user need", "requirement satisfies it"): (1, 2, ["UN-002"]),
        ("hazard", "risk control mitigates it"): (1, 1, []),
        ("risk control", "mitigates hazard"): (1, 1, []),
        ("risk control", "requirement implements it"): (1, 1, []),
        ("requirement", "satisfies user need or implements risk control"): (2, 2, []),
        ("requirement", "design item realises it"): (2, 2, []),
        ("design item", "realises requirement"): (1, 2, ["DSG-002"]),
        ("test", "verifies requirement or design item or risk control or hazard or user need"): (1, 1, []),
        ("requirement", "test or record verifies it"): (2, 2, []),
    }
    assert "user need: requirement satisfies it" in run("coverage").output
