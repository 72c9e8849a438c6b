"""hil/quarantine.toml: what is read of it, and which mistakes are told where."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.project.config import load_project
from devicepipe.project.quarantine import Quarantined, load_quarantine
from tests.project.test_config import GOOD, MANIFEST

Load = Callable[[str | None], tuple[Quarantined, ...]]
TODAY = dt.date(2026, 11, 29)
LIST = """\
[[quarantine]]
test = "test_alarms.py::test_air[*]"
boards = ["one"]
reason = "fails once in a hundred runs, and we do not know why"
owner = "A. Tester"
expires = 2026-11-29

[[quarantine]]
test = "sub/test_x.py::*"
boards = ["one", "two"]
reason = "the scale is being repaired"
owner = "B. Tester"
expires = 2026-12-31
issue = "#12"
"""


@pytest.fixture
def quarantine_of(tmp_path: Path) -> Load:
    for folder in ("firmware", "boards", "requirements", "hil"):
        (tmp_path / folder).mkdir()
    (tmp_path / "boards/one.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "devicepipe.toml").write_text(GOOD)
    (tmp_path / "hil/sub").mkdir()
    (tmp_path / "hil/test_alarms.py").write_text("def test_air(device, speed): pass\n")
    (tmp_path / "hil/sub/test_x.py").write_text("")

    def load(text: str | None) -> tuple[Quarantined, ...]:
        if text is not None:
            (tmp_path / "hil/quarantine.toml").write_text(text)
        return load_quarantine(load_project(tmp_path / "devicepipe.toml"), TODAY)

    return load


def test_a_good_list_is_read(quarantine_of: Load) -> None:
    assert quarantine_of(None) == ()
    first, second = quarantine_of(LIST)
    assert (first.file, first.line, first.boards, first.issue) == ("hil/quarantine.toml", 2, ("one",), "")
    assert (second.line, second.expires, second.issue) == (9, dt.date(2026, 12, 31), "#12")
    assert first.matches("test_alarms.py::test_air[slow-2]")
    assert not first.matches("test_alarms.py::test_air")
    assert not first.matches("test_alarms.py::test_aira")
    assert second.matches("sub/test_x.py::TestY::test_z")
    assert not second.matches("sub/test_xy.py::test_z")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("2026-11-29", "2026-11-28", 6, "the quarantine of 'test_alarms.py::test_air[*]' ended on 2026-11-28"),
        ("expires = 2026-11-29\n", "", 1, "missing key"),
        ('reason = "fails', 'reason = ""  # "fails', 4, "reason"),
        ('owner = "A. Tester"\n', "", 1, "missing key"),
        ('boards = ["one"]', 'boards = ["three"]', 3, "unknown board 'three'"),
        ('boards = ["one"]', "boards = []", 3, "boards"),
        ('"test_alarms.py::test_air[*]"', '"*"', 2, "test"),
        ('"test_alarms.py::test_air[*]"', '"test_*.py::test_air"', 2, "test"),
        ('"test_alarms.py::test_air[*]"', '"sub/test_x.py::*"', 9, "'sub/test_x.py::*' is in quarantine on one twice"),
        ("test_air[*]", "test_aire[*]", 2, "no test is 'test_alarms.py::test_aire[*]'"),
        ("sub/test_x.py", "sub/test_y.py", 9, "no test is 'sub/test_y.py::*'"),
        ("issue =", "isue =", 14, "unknown key"),
    ],
)
def test_a_mistake_is_told_with_its_line(quarantine_of: Load, old: str, new: str, line: int, says: str) -> None:
    assert old in LIST
    with pytest.raises(UsageError) as caught:
        quarantine_of(LIST.replace(old, new, 1))
    assert says in str(caught.value)
    assert caught.value.file is not None
    assert (caught.value.file.name, caught.value.line) == ("quarantine.toml", line)
