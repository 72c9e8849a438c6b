"""`devicepipe trace import` and `export`: nothing is overwritten, nothing is dropped silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devicepipe.cli.main import cli
from devicepipe.errors import UsageError

REPOSITORY = Path(__file__).parents[2]
CSV = "id,type,title,text,implements,,\nREQ1,requirement,Rate,At most 5 ml/h.,RC-001,x,\nN,note,A,B,,,\n"


def run(*arguments: str | Path) -> object:
    return cli.main([*map(str, ("trace", *arguments))], prog_name="devicepipe", standalone_mode=False)


def test_an_import_writes_markdown_that_reads_as_the_items_and_lists_what_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    target = tmp_path / "new/rates.md"
    arguments = ("import", "csv", tmp_path / "in.csv", "--to", target, "--project", REPOSITORY, "--json")
    assert run(*arguments, "--dry-run") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["written"] is None
    assert not target.exists()
    assert run(*arguments) == 0
    done = json.loads(capsys.readouterr().out)
    assert target.read_text() == shown["text"]
    assert "## REQ-1 Rate\n- implements: RC-001\n- foreign-id: REQ1\n\nAt most 5 ml/h." in target.read_text()
    assert done["types"] == {"requirement": 1}
    assert done["ids"] == {"REQ1": "REQ-1"}
    assert done["prefixes"] == {"REQ": "requirement"}
    assert [(loss["line"], loss["item"]) for loss in done["losses"]] == [(2, "REQ1"), (3, "N")]
    with pytest.raises(UsageError, match="is there already, and is not overwritten"):
        run(*arguments)


def test_a_strict_import_that_loses_something_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    target = tmp_path / "rates.md"
    assert run("import", "csv", tmp_path / "in.csv", "--to", target, "--project", REPOSITORY, "--strict") == 2
    assert not target.exists()
    out = capsys.readouterr().out
    assert "not carried, 1 x: item of type 'note', which is not mapped: left out" in out
    assert f"{tmp_path}/in.csv:3: N" in out
    assert "nothing written" in out


def test_an_export_is_imported_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "items.csv"
    assert run("export", "csv", target, "--type", "hazard", "--project", REPOSITORY) == 0
    assert "0 losses" in capsys.readouterr().out
    with pytest.raises(UsageError, match="is there already"):
        run("export", "csv", target, "--project", REPOSITORY)
    assert run("export", "lobster", tmp_path / "lobster", "--project", REPOSITORY, "--strict") == 2
    assert not (tmp_path / "lobster").exists()
    assert run("export", "trlc", tmp_path / "trlc", "--option", 'package="pump"', "--project", REPOSITORY) == 0
    assert (tmp_path / "trlc/items.rsl").read_text().startswith("package pump\n")


def test_unknown_formats_and_settings_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format 'word'") as caught:
        run("export", "word", tmp_path / "x", "--project", REPOSITORY)
    assert "strictdoc" in caught.value.remedy
    with pytest.raises(UsageError, match="unknown key") as caught:
        run("export", "trlc", tmp_path / "x", "--option", "name=1", "--project", REPOSITORY)
    assert caught.value.remedy == "known keys: package"
