"""hil/quarantine.toml: device tests that nobody trusts at the moment, and until when.

What always holds of what was read: every entry names tests of one file, boards of the product, a reason, who looks after it, and a
last day that has not passed.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from devicepipe.errors import UsageError
from devicepipe.project.config import Project
from devicepipe.project.sections import Name
from devicepipe.project.toml_file import Table, Text, TomlFile

QUARANTINE_NAME = "quarantine.toml"
_REMEDY = "see docs/reference/device-tests.md"


class _Entry(Table):
    test: Annotated[str, StringConstraints(pattern=r"^[^*:\s][^*:]*::.+$")]
    boards: tuple[Name, ...] = Field(min_length=1, strict=False)
    reason: Text
    owner: Text
    expires: dt.date
    issue: Text | None = None


class _File(Table):
    quarantine: tuple[_Entry, ...] = Field(default=(), strict=False)


class Quarantined(BaseModel):
    """[[quarantine]]: tests that are in quarantine on some boards.

    Attributes:
        test: A test's id from the tests' folder on, e.g. "test_alarms.py::test_air"; `*` after the file stands for anything.
        boards: The boards that it is about.
        reason: Why it is not trusted.
        owner: Who looks after it.
        expires: The last day.
        issue: Where it is followed, or "".
        file: The list, from the product's folder on.
        line: Where the entry stands in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    test: str
    boards: tuple[str, ...]
    reason: str
    owner: str
    expires: dt.date
    issue: str
    file: str
    line: int

    def matches(self, test: str) -> bool:
        """Whether a test is meant, by its id from the tests' folder on."""
        return re.fullmatch(".*".join(map(re.escape, self.test.split("*"))), test) is not None


def load_quarantine(project: Project, today: dt.date | None = None) -> tuple[Quarantined, ...]:
    """Read the list of the folder of device tests; there need not be one.

    Args:
        project: The product.
        today: The day that it is read for; None: today, in UTC.

    Raises:
        UsageError: A mistake in it, with file, line, key and what was expected; the last day of an entry has passed; or it is about
            a test that cannot be there.
    """
    path = project.root / project.tests.path / QUARANTINE_NAME
    if not path.exists():
        return ()
    source = TomlFile.read(path)
    entries = source.parse(_File, remedy=_REMEDY).quarantine
    day = today or dt.datetime.now(dt.UTC).date()
    boards, seen = {board.name for board in project.boards}, set[tuple[str, str]]()
    found: list[Quarantined] = []
    for index, entry in enumerate(entries):
        where = ("quarantine", index)
        for board in entry.boards:
            if board not in boards:
                raise source.error(f"unknown board '{board}'", (*where, "boards"), remedy=f"known: {', '.join(boards)}")
            if (entry.test, board) in seen:
                raise source.error(f"'{entry.test}' is in quarantine on {board} twice", (*where, "test"))
            seen.add((entry.test, board))
        if entry.expires < day:
            raise _expired(source, entry, index)
        if not _may_match(path.parent, entry.test):
            raise source.error(
                f"no test is '{entry.test}'",
                (*where, "test"),
                remedy="it was corrected, renamed or left out: take the entry out",
            )
        found.append(
            Quarantined(
                **entry.model_dump(exclude={"issue"}),
                issue=entry.issue or "",
                file=path.relative_to(project.root).as_posix(),
                line=source.error("", (*where, "test")).line or 1,
            )
        )
    return tuple(found)


def _may_match(tests: Path, test: str) -> bool:
    """Whether there can be such a test: its file is there, and some file has its name. Only pytest's collection knows for sure."""
    name, _, rest = test.partition("::")
    if not (tests / name).is_file():
        return False
    text = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in sorted(tests.rglob("*.py")))
    words = rest.split("[")[0].split("::")
    return all("*" in word or re.search(rf"\b{re.escape(word)}\b", text) for word in words)


def _expired(source: TomlFile, entry: _Entry, index: int) -> UsageError:
    return source.error(
        f"the quarantine of '{entry.test}' ended on {entry.expires.isoformat()}",
        ("quarantine", index, "expires"),
        remedy=f"{entry.owner}: correct the test or the product, and take the entry out",
    )
