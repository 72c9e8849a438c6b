"""`devicepipe coverage`: what a bundle has is shown, what it has not is a usage error that says what there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from devicepipe.cli.main import cli
from devicepipe.errors import UsageError
from tests.evidence.synthetic_bundle import Spoil, make_bundle

BOARDS = ("alpha", "beta")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("made"), boards=BOARDS).path


def show(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["coverage", *map(str, arguments)], standalone_mode=False)


def refused(*arguments: object) -> UsageError:
    error = show(*arguments).exception
    assert isinstance(error, UsageError)
    return error


def test_all_of_it(bundle: Path) -> None:
    told = show(bundle).output
    assert "alpha            instructions 80.0 %, lines 80.0 %, functions 50.0 %, outcomes 50.0 %  (2 tests)" in told
    assert "src/a.c:9 fail  on alpha, beta\n    It cannot fail." in told
    assert "are wanted" not in told
    document = json.loads(show(bundle, "--json").output)
    assert [board["board"] for board in document["boards"]] == [*BOARDS]
    assert document["merged"]["total"]["lines"] == {"any": 4, "every": 4, "all": 5}


def test_a_function(bundle: Path) -> None:
    told = show(bundle, "--function", "run").output
    assert "alpha: src/a.c:1 run\n  8 of 8 instructions, 2 hits\n  for SRS-001\n" in told
    assert "for no requirement" in show(bundle, "--function", "src/a.c:fail").output
    (alpha, _) = json.loads(show(bundle, "--function", "run", "--json").output)["found"]
    assert (alpha["board"], alpha["hits"], alpha["requirements"]) == ("alpha", 2, ["SRS-001"])


def test_a_requirement(bundle: Path) -> None:
    told = show(bundle, "--requirement", "SRS-001").output
    assert "beta: 1 functions executed by the tests of SRS-001\n  src/a.c: run\n" in told
    document = json.loads(show(bundle, "--requirement", "SRS-001", "--json").output)
    assert document["boards"][0] == {"board": "alpha", "functions": ["src/a.c:run"]}


def test_what_is_not_there(bundle: Path, tmp_path: Path) -> None:
    assert refused(bundle, "--function", "runn").remedy == "is it run?"
    assert "no test verifies 'SRS-01'" in refused(bundle, "--requirement", "SRS-01").message
    assert "two things" in refused(bundle, "--requirement", "SRS-001", "--function", "run").message
    (tmp_path / "empty/attestations").mkdir(parents=True)
    error = refused(tmp_path / "empty")
    assert "holds no coverage" in error.message
    assert "[coverage]" in error.remedy


def test_what_is_below_the_minimum_and_has_no_reason_is_told(tmp_path: Path) -> None:
    spoil = Spoil(
        edit={
            "alpha/coverage": lambda coverage: coverage["minimum"].update(lines=81),
            "merged-coverage": lambda merged: merged["neverExecuted"][0].update(reason=""),
        }
    )
    told = show(make_bundle(tmp_path, spoil=spoil).path).output
    assert "lines: 81 % are wanted" in told
    assert "NO REASON" in told
