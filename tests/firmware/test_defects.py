"""The known-bad variants: each still applies and says what it is; only a test of its requirement, or its campaign, catches it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[2]
PATCHES = sorted((REPOSITORY / "firmware/defects").glob("*.patch"))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"loaded_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


runner = load(REPOSITORY / "tools/defects.py")
builder = load(REPOSITORY / "firmware/platforms/defect.py")


def test_there_are_enough_of_them() -> None:
    assert len(PATCHES) >= 14


@pytest.mark.parametrize("patch", PATCHES, ids=[path.stem for path in PATCHES])
def test_a_defect_applies_and_breaks_a_known_requirement(patch: Path, tmp_path: Path) -> None:
    made = builder.source_folder(
        project=REPOSITORY / "firmware", build=tmp_path, name=patch.stem, key_kind="development"
    )
    changed = [
        path
        for path in Path(made).rglob("*.c")
        if path.read_bytes() != (REPOSITORY / "firmware/src" / path.relative_to(made)).read_bytes()
    ]
    assert changed
    (defect,) = runner.read_defects([patch.stem])
    texts = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "requirements").glob("*.md"))
    for requirement in defect.caught_by:
        assert re.search(rf"^## {requirement} ", texts, re.MULTILINE), requirement


def test_without_a_name_the_product_itself_is_built(tmp_path: Path) -> None:
    project = REPOSITORY / "firmware"
    assert builder.source_folder(project=project, build=tmp_path, name="", key_kind="production") == str(
        project / "src"
    )
    assert list(tmp_path.iterdir()) == []


def refused(project: Path, build: Path, name: str, key_kind: str = "development") -> str:
    with pytest.raises(builder.DefectError) as raised:
        builder.source_folder(project=project, build=build, name=name, key_kind=key_kind)
    return str(raised.value)


def test_what_is_refused(tmp_path: Path) -> None:
    """An unknown defect, one for a production key, and one whose place in the sources is no more."""
    project, build = tmp_path / "firmware", tmp_path / "build"
    build.mkdir()
    shutil.copytree(REPOSITORY / "firmware/defects", project / "defects")
    shutil.copytree(REPOSITORY / "firmware/src", project / "src")
    assert "token-not-checked" in refused(project, build, "token-not-chekced")
    assert "production" in refused(project, build, "token-not-checked", "production")
    pump = project / "src/application/control/pump.c"
    pump.write_text(
        pump.read_text(encoding="utf-8").replace("token != pump->token", "pump->token != token"), encoding="utf-8"
    )
    assert "does not apply any more" in refused(project, build, "token-not-checked")


def test_only_a_failed_test_of_the_requirement_catches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    defects = [runner.Defect(name, "It is wrong.", ("SRS-001",), ()) for name in ("a", "b", "c", "d")]
    outcomes = [
        runner.Outcome("a", "board", 1.0, {"test_one": ("SRS-001", "SRS-002")}, (), 3),
        runner.Outcome("b", "board", 1.0, {"test_two": ("SRS-002",)}, (), 3),
        runner.Outcome("c", "board", 1.0, {}, ("test_one",), 3),
        runner.Outcome("d", "board", 1.0, problem="no result (exit code 1): does not compile"),
    ]
    assert runner.finish(tmp_path, defects, outcomes, 4.0) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert '"survived": ["b", "c", "d"]' in last
    assert runner.finish(tmp_path, defects[:1], outcomes[:1], 1.0) == 0


def test_each_failed_point_of_its_campaign_catches() -> None:
    defect = runner.Defect("a", "It is wrong.", ("SRS-048",), (), "powercut 200")
    assert defect.command(everything=True) == ["campaign", "powercut", "--points", "200"]
    result = {"kind": "powercut", "points": 200, "failures": [{"point": "swap:17", "message": "It starts nothing."}]}
    outcome = runner.judge(defect, "board", 1.0, result)
    assert outcome.catchers(defect) == ["powercut swap:17"]
    assert (outcome.cases, outcome.errors) == (200, ())
    held = runner.judge(defect, "board", 1.0, result | {"failures": []})
    assert held.catchers(defect) == []
    assert (held.failed, held.problem) == ({}, "")


def test_there_is_a_defect_for_each_kind_of_campaign() -> None:
    kinds = {defect.campaign.split()[0] for defect in runner.read_defects([]) if defect.campaign}
    assert kinds == {"powercut", "bitflip", "fuzz"}


@pytest.mark.parametrize("campaign", ["powercut", "powercut 0", "power 200", "fuzz 200 --seed 3"])
def test_a_campaign_that_is_none_is_an_error(campaign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PATCHES[0].read_text(encoding="utf-8")
    (tmp_path / "one.patch").write_text(f"Campaign: {campaign}\n{text}", encoding="utf-8")
    monkeypatch.setattr(runner, "DEFECTS", tmp_path)
    with pytest.raises(runner.CannotRunError, match="powercut 200"):
        runner.read_defects([])


def test_a_header_that_is_not_whole_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PATCHES[0].read_text(encoding="utf-8")
    (tmp_path / "one.patch").write_text(re.sub(r"^Caught-by:.*\n", "", text, flags=re.MULTILINE), encoding="utf-8")
    monkeypatch.setattr(runner, "DEFECTS", tmp_path)
    with pytest.raises(runner.CannotRunError, match=r"one\.patch"):
        runner.read_defects([])
