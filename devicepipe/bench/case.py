"""What a collected test is: its id, what it verifies, where it applies, and its procedure and expected result."""

from __future__ import annotations

import ast
import hashlib
import inspect
from pathlib import Path

import pytest
from pydantic import ValidationError

from devicepipe.bench.lockstep import VirtualTime
from devicepipe.bench.record import Collected, Limit
from devicepipe.bench.spec import SessionSpec
from devicepipe.evidence.results import Quarantine
from devicepipe.project.quarantine import Quarantined

MARKS = (
    'verifies(*items): the items that the test verifies; with kind="effectiveness", risk controls that it shows to work',
    "boards(*names): the only boards that the test applies to",
    "requires(*tags): what the device must have, by its tags in the inventory or as built-in capability; else the test is not run",
    "limit(name, unit, low=None, high=None): a value that the test must measure, with its limits",
    "virtual_time(at, every=100): the device is halted at the function `at`, called every so many ms, unless the test waits for it",
)

IMPLEMENTATION, EFFECTIVENESS = "implementation", "effectiveness"
"""In which sense a test verifies an item: that it is done as written, or that it, a risk control, makes the risk smaller."""


def case_of(item: pytest.Item, spec: SessionSpec) -> Collected:
    """A test as a case.

    The procedure is the test function's source, with its decorators; for a test that is no Python function, its whole file.

    Args:
        item: The collected test.
        spec: The session.

    Raises:
        pytest.UsageError: A mark `verifies` is not a list of item ids, `requires` not one of tags, or `limit` no name with limits.
    """
    kinds = [
        (name, kind)
        for mark in item.iter_markers("verifies")
        for names, kind in [_verified(item, mark)]
        for name in names
    ]
    required = {name for mark in item.iter_markers("requires") for name in _names(item, mark)}
    if "emulated" not in spec.has and virtual_time_of(item) is not None:
        required.add("virtual-time")
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
        verifies=sorted({name for name, _ in kinds}),
        effectiveness=sorted({name for name, kind in kinds if kind == EFFECTIVENESS}),
        procedure_file=relative(file, spec.root),
        procedure_line=line,
        procedure_sha256=hashlib.sha256(source or file.read_bytes()).hexdigest(),
        expected=inspect.cleandoc(function.__doc__ or "") if function is not None else "",
        limits=limits_of(item),
        lacks=spec.lacks(required),
        quarantine=_quarantine(item, spec),
    )


def quarantined(item: pytest.Item, spec: SessionSpec) -> Quarantined | None:
    """The entry of the list of tests in quarantine that is about a test; None where there is none."""
    name = f"{relative(item.path, spec.tests)}::{item.nodeid.partition('::')[2]}"
    return next((entry for entry in spec.quarantine if entry.matches(name)), None)


def _quarantine(item: pytest.Item, spec: SessionSpec) -> Quarantine | None:
    if (entry := quarantined(item, spec)) is None:
        return None
    return Quarantine(
        reason=entry.reason,
        owner=entry.owner,
        issue=entry.issue,
        expires=entry.expires.isoformat(),
        file=entry.file,
        line=entry.line,
    )


def limits_of(item: pytest.Item) -> list[Limit]:
    """What a test must measure, by its marks `limit`.

    Raises:
        pytest.UsageError: A mark is not a name, a unit and at least one finite limit, or two are about one value.
    """
    limits: dict[str, Limit] = {}
    for mark in item.iter_markers("limit"):
        try:
            limit = limit_of(*mark.args, **mark.kwargs)
        except (TypeError, ValueError) as error:
            said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise pytest.UsageError(
                f"{item.nodeid}: mark 'limit' wants a value's name, its unit and its limits, e.g. "
                f'@pytest.mark.limit("flow error", "%", low=-5, high=5): {said}'
            ) from error
        if limit.name in limits:
            raise pytest.UsageError(f"{item.nodeid}: two marks 'limit' are about '{limit.name}'")
        limits[limit.name] = limit
    return list(limits.values())


def limit_of(name: str, unit: str, low: float | None = None, high: float | None = None) -> Limit:
    """The arguments of a mark `limit`.

    Raises:
        TypeError, ValueError: They say nothing that a value could be held to.
    """
    if not all(isinstance(text, str) and text.strip() for text in (name, unit)):
        raise TypeError("the name and the unit are texts")
    numbers = [number for number in (low, high) if number is not None]
    if not numbers or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        raise TypeError("at least one limit is a number, and none is anything else")
    if low is not None and high is not None and low > high:
        raise ValueError("the lower limit is above the upper one")
    return Limit(name=name, unit=unit, low=low, high=high)


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


def virtual_time_of(item: pytest.Item) -> VirtualTime | None:
    """The closest mark `virtual_time` of a test; None where there is none, or its `at` is None: the test runs in real time.

    Args:
        item: The collected test.

    Raises:
        pytest.UsageError: The mark names no function or no period.
    """
    mark = item.get_closest_marker("virtual_time")
    if mark is None:
        return None
    try:
        return _mode(*mark.args, **mark.kwargs)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(
            f"{item.nodeid}: mark 'virtual_time' wants a function and the ms between its calls, e.g. "
            f'@pytest.mark.virtual_time(at="exchanged", every=100): {error}'
        ) from error


def _mode(at: str | None, every: float = 100.0) -> VirtualTime | None:
    return None if at is None else VirtualTime(at, every)


def shadowed_tests(source: str) -> list[tuple[str, int, int]]:
    """Tests that never run, since the same module or class defines one of that name again: name, first line, line of the second.

    Args:
        source: A module's Python source.
    """
    found: list[tuple[str, int, int]] = []
    for scope in ast.walk(ast.parse(source)):
        if not isinstance(scope, ast.Module | ast.ClassDef):
            continue
        first: dict[str, int] = {}
        for node in scope.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if node.name.startswith(("test", "Test")) and node.name in first:
                found.append((node.name, first[node.name], node.lineno))
            first[node.name] = node.lineno
    return found


def relative(file: Path, root: Path) -> str:
    """A file's path relative to `root` where it lies inside, otherwise only its name: evidence holds no path of a machine."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


def _verified(item: pytest.Item, mark: pytest.Mark) -> tuple[tuple[str, ...], str]:
    """The items that a mark `verifies` names, and in which sense."""
    kind = mark.kwargs.get("kind", IMPLEMENTATION)
    if kind not in (IMPLEMENTATION, EFFECTIVENESS):
        raise pytest.UsageError(
            f"{item.nodeid}: mark 'verifies' knows the kinds {IMPLEMENTATION} and {EFFECTIVENESS}, not {kind!r}"
        )
    others = {key: value for key, value in mark.kwargs.items() if key != "kind"}
    return _names(item, pytest.Mark(mark.name, mark.args, others, _ispytest=True)), kind


def _names(item: pytest.Item, mark: pytest.Mark) -> tuple[str, ...]:
    if mark.kwargs or not mark.args or not all(isinstance(name, str) and name.strip() for name in mark.args):
        raise pytest.UsageError(
            f'{item.nodeid}: mark \'{mark.name}\' wants names, e.g. @pytest.mark.{mark.name}("NAME", "NAME")'
        )
    return mark.args
