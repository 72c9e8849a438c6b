"""`devicepipe report`: previews while QA edits, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from devicepipe.cli.report import report
from devicepipe.cli.watch import changes_of, state_of, watch_folder
from devicepipe.errors import EXIT_OK, UsageError


def test_a_change_is_seen_once_it_is_whole(tmp_path: Path) -> None:
    """An editor that writes in steps causes one rendering, and what changes meanwhile is not lost."""
    file = tmp_path / "scope.md"
    file.write_text("one", encoding="utf-8")
    steps: list[str] = ["", "two", "two and more", "", ""]

    def wait(_: float) -> None:
        if not steps:
            raise KeyboardInterrupt
        if text := steps.pop(0):
            file.write_text(text, encoding="utf-8")
            os.utime(file, ns=(len(steps), len(steps)))

    changes = changes_of(tmp_path, state_of(tmp_path), wait)
    next(changes)
    assert file.read_text(encoding="utf-8") == "two and more"
    with pytest.raises(KeyboardInterrupt):
        next(changes)


def test_new_and_removed_files_are_changes_and_a_folder_that_is_gone_is_none(tmp_path: Path) -> None:
    empty = state_of(tmp_path)
    (tmp_path / "x.md").write_text("x", encoding="utf-8")
    assert state_of(tmp_path) != empty
    assert state_of(tmp_path / "gone") == {}


def test_an_error_is_told_and_the_watch_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []

    def act() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise UsageError(
                "unknown key", file=tmp_path / "branding.toml", line=3, key="colour", remedy="known keys: color"
            )

    def changes() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    assert watch_folder(tmp_path, act, changes()) == EXIT_OK
    told = capsys.readouterr()
    assert done == [0, 1]
    assert "branding.toml:3" in told.out + told.err
    assert "waiting for the next change" in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--watch",), "--watch needs --reports"),
        (("--reports", "."), "--reports needs --output"),
        (("--output", "inside"), "lies inside the bundle"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    given = [str(tmp_path / word) if word == "inside" else word for word in arguments]
    result = CliRunner().invoke(report, [str(tmp_path), *given], standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
