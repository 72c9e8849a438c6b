"""What a collected test is: its id, what it verifies, where it applies, and its procedure and expected result."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

import pytest

from devicepipe.bench.record import Collected

MARKS = (
    "verifies(*items): the traceability items that the test verifies",
    "boards(*names): the only boards that the test applies to",
)


def case_of(item: pytest.Item, root: Path) -> Collected:
    """A test as a case.

    The procedure is the test function's source, with its decorators; for a test that is no Python function, its whole file.

    Args:
        item: The collected test.
        root: The folder that files are relative to.

    Raises:
        pytest.UsageError: A mark `verifies` is not a list of item ids.
    """
    verifies = sorted({name for mark in item.iter_markers("verifies") for name in _names(item, mark)})
    function = item.function if isinstance(item, pytest.Function) else None
    file, source, line = item.path, b"", 1
    if function is not None:
        try:
            file = Path(inspect.getsourcefile(function) or item.path)
            lines, line = inspect.getsourcelines(function)
            source = "".join(lines).encode()
        except (OSError, TypeError):
            file, line = item.path, 1
    return Collected(
        id=item.nodeid,
        verifies=verifies,
        procedure_file=relative(file, root),
        procedure_line=line,
        procedure_sha256=hashlib.sha256(source or file.read_bytes()).hexdigest(),
        expected=inspect.cleandoc(function.__doc__ or "") if function is not None else "",
    )


def applies(item: pytest.Item, board: str, boards: tuple[str, ...]) -> bool:
    """Whether a test applies to a board: every mark `boards` on it, its class or its module names the board.

    Args:
        item: The collected test.
        board: The board's name.
        boards: All boards that there are, or () for any.

    Raises:
        pytest.UsageError: A mark `boards` is not a list of names, or names a board that is not there: the test would never run.
    """
    for mark in item.iter_markers("boards"):
        names = _names(item, mark)
        for name in names:
            if boards and name not in boards:
                raise pytest.UsageError(
                    f"{item.nodeid}: mark 'boards' names '{name}', which is none of {', '.join(boards)}"
                )
        if board not in names:
            return False
    return True


def relative(file: Path, root: Path) -> str:
    """A file's path relative to `root` where it lies inside, otherwise only its name: evidence holds no path of a machine."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


def _names(item: pytest.Item, mark: pytest.Mark) -> tuple[str, ...]:
    if mark.kwargs or not mark.args or not all(isinstance(name, str) and name.strip() for name in mark.args):
        raise pytest.UsageError(
            f'{item.nodeid}: mark \'{mark.name}\' wants names, e.g. @pytest.mark.{mark.name}("NAME", "NAME")'
        )
    return mark.args
