"""`devicepipe campaign`: what is refused before anything is built, and what is shown. No campaign is run here."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from devicepipe.cli.campaign import _tell_result, campaign
from devicepipe.cli.main import _run
from devicepipe.evidence.campaigns import CampaignResult
from tests.bench.test_campaigns import result


def test_help_is_laid_out_and_speaks_of_its_own_kind(capsys: pytest.CaptureFixture[str]) -> None:
    for name, point, deep in (
        ("powercut", "swap:17", True),
        ("bitflip", "header:17", True),
        ("fuzz", "console:17", False),
    ):
        command = campaign.commands[name]
        text = command.get_help(click.Context(command, terminal_width=100, max_content_width=100))
        assert "\\b" not in text
        assert "130 interrupted" in text
        assert point in text
        assert ("--deep" in text) == deep


def test_a_point_and_a_number_of_points_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["campaign", "fuzz", "--points", "3", "--point", "console:1"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_folder_that_is_no_bundle_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".pytest_cache").mkdir()
    assert _run(["coverage", str(tmp_path)]) == 2
    assert "is no bundle" in capsys.readouterr().err
    assert _run(["campaign", "fuzz", "--bundle", str(tmp_path)]) == 2
    assert "is no bundle" in capsys.readouterr().err


def test_a_bundle_without_the_board_is_told_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "attestations").mkdir()
    assert _run(["campaign", "fuzz", "--board", "microbit", "--bundle", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "has no signed image of board 'microbit'" in told
    assert "devicepipe sign --board microbit" in told


def test_a_result_is_told_with_the_bundle_it_is_of(capsys: pytest.CaptureFixture[str]) -> None:
    _tell_result(CampaignResult.model_validate(result(seconds=101.0)), Path("dist/a pump"))
    told = capsys.readouterr().out
    assert "again: devicepipe campaign powercut --board b --point swap:3 --bundle 'dist/a pump'" in told
    assert "4 x 'old'; 2 x 'new'" in told
    assert " 0.1 points a second" in told


def test_one_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    group = {"name": "header", "size": 8, "points": 1, "outcomes": {"new image, old image": 1}}
    one = result(kind="bitflip", groups=[group], points=1, points_possible=None, failures=[], processes=1)
    _tell_result(CampaignResult.model_validate(one), None)
    told = capsys.readouterr().out
    assert "b: 1 point over" in told
    assert "header (1 point): 1 x 'new image, old image'" in told
    assert "on 1 process;" in told
