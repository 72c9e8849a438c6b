"""A bundle that takes another's place: at every point where a run can be killed, one of the two is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.stages.seal import settle


def bundle(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "release.json").write_text(text)


@pytest.fixture
def final(tmp_path: Path) -> Path:
    return tmp_path / "pump-1.0.0"


def left(final: Path) -> dict[str, str]:
    return {path.name: (path / "release.json").read_text() for path in final.parent.iterdir()}


def test_killed_before_the_new_one_was_there_the_old_one_comes_back(final: Path) -> None:
    bundle(final.with_name(".pump-1.0.0.replaced"), "old")
    settle(final)
    assert left(final) == {"pump-1.0.0": "old"}


def test_killed_after_the_new_one_was_there_the_old_one_goes(final: Path) -> None:
    bundle(final.with_name(".pump-1.0.0.replaced"), "old")
    bundle(final, "new")
    settle(final)
    assert left(final) == {"pump-1.0.0": "new"}


def test_nothing_to_settle(final: Path) -> None:
    bundle(final, "only")
    settle(final)
    assert left(final) == {"pump-1.0.0": "only"}
