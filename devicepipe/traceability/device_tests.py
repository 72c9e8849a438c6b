"""Which device tests there are and what they verify, read from their source without running or importing anything.

What pytest would collect by its usual names is found: functions `test*`, also in classes `Test*`, of files `test_*.py` and
`*_test.py`. What a test verifies are the texts in `@pytest.mark.verifies(...)` on it, on its class, in the module's `pytestmark`,
and in the `marks` of its parameters (all of them together: one parametrised test stands for all its cases). A mark whose
arguments are no plain texts cannot be read this way: such a test has `decided` false, and only a run says what it verifies.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.traceability.markdown import read_bytes, text_of

_PATTERNS = ("test_*.py", "*_test.py")
_MARK = "verifies"


@dataclass(frozen=True, slots=True)
class DeviceTest:
    """A test function as it stands in its file: id ("test_flow.py::test_rate"), what it names, place relative to the root."""

    id: str
    verifies: tuple[str, ...]
    file: str
    line: int
    decided: bool = True
    effectiveness: tuple[str, ...] = ()


def test_files(folder: Path) -> list[Path]:
    """The files below a folder in which pytest looks for tests, sorted."""
    return sorted({path for pattern in _PATTERNS for path in folder.rglob(pattern)})


def read_tests(folder: Path, root: Path) -> tuple[DeviceTest, ...]:
    """The tests of all files below a folder, in the order of files and lines; ids are relative to the folder, files to the root.

    Raises:
        UsageError: A file is no Python; names the line.
    """
    return tuple(test for path in test_files(folder) for test in tests_in(path, folder, root))


def tests_in(path: Path, folder: Path, root: Path) -> tuple[DeviceTest, ...]:
    """The tests of one file. Raises UsageError as `read_tests` does."""
    return tests_of(read_bytes(path), path, folder, root)


def tests_of(data: bytes, path: Path, folder: Path, root: Path) -> tuple[DeviceTest, ...]:
    """The tests of a file's bytes. Raises UsageError as `read_tests` does."""
    try:
        module = ast.parse(text_of(data, path), filename=str(path))
    except SyntaxError as error:
        raise UsageError(
            f"is no Python: {error.msg}", file=path, line=error.lineno, remedy="correct the test"
        ) from error
    name, file = path.relative_to(folder).as_posix(), path.relative_to(root).as_posix()
    return tuple(_tests(module, name, file, _marks(*_assigned(module))))


test_files.__test__ = tests_in.__test__ = False  # type: ignore[attr-defined]  # no tests, whatever pytest makes of the names


@dataclass(frozen=True, slots=True)
class _Named:
    items: tuple[str, ...]
    decided: bool
    effective: tuple[str, ...] = ()

    def __add__(self, other: _Named) -> _Named:
        decided = self.decided and other.decided
        return _Named((*self.items, *other.items), decided, (*self.effective, *other.effective))


def _tests(scope: ast.Module | ast.ClassDef, prefix: str, file: str, above: _Named) -> Iterator[DeviceTest]:
    for node in scope.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            marks = above + _marks(*node.decorator_list, *_assigned(node))
            yield from _tests(node, f"{prefix}::{node.name}", file, marks)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            named = above + _marks(*node.decorator_list)
            line = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            verifies = tuple(sorted(set(named.items)))
            effective = tuple(sorted(set(named.effective)))
            yield DeviceTest(f"{prefix}::{node.name}", verifies, file, line, named.decided, effective)


def _assigned(scope: ast.Module | ast.ClassDef) -> list[ast.expr]:
    """What `pytestmark` is given in a module or class."""
    return [
        node.value
        for node in scope.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
    ]


def _marks(*expressions: ast.expr) -> _Named:
    """The items that all marks `verifies` in some expressions name."""
    items: list[str] = []
    effective: list[str] = []
    decided = True
    for expression in expressions:
        for node in ast.walk(expression):
            if not isinstance(node, ast.Call) or _called(node) != _MARK:
                continue
            shows = any(_is_effectiveness(keyword) for keyword in node.keywords)
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    items.append(argument.value)
                    effective += [argument.value] if shows else []
                else:
                    decided = False
    return _Named(tuple(items), decided, tuple(effective))


def _is_effectiveness(keyword: ast.keyword) -> bool:
    value = keyword.value
    return keyword.arg == "kind" and isinstance(value, ast.Constant) and value.value == "effectiveness"


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
