"""docs/howto/own-project.md: what it tells to write is what devicepipe takes, with this repository's firmware for the micro:bit."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from devicepipe.project.config import load_project

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/howto/own-project.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_project_file_is_whole_and_has_what_the_firmware_asks_for(tmp_path: Path) -> None:
    for name in ("firmware/soup.toml", "firmware/stack.toml", "boards/microbit.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in ("requirements", "hil"):
        (tmp_path / folder).mkdir()
    (tmp_path / "devicepipe.toml").write_text(block("toml"), encoding="utf-8")
    ours, whole = load_project(tmp_path / "devicepipe.toml"), load_project(ROOT / "devicepipe.toml")
    (board,) = ours.boards
    assert board.name == "microbit"
    # Without its data the pump answers `no-library` and not what the example of a test expects.
    assert [(one.name, one.region, one.image) for one in ours.data] == [
        (one.name, one.region, one.image) for one in whole.data
    ]
