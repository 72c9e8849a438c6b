"""Device tests as Python's own parser sees them: see device_tests.py."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.traceability.device_tests import DeviceTest

_MARK = "verifies"
_KINDS = ("implementation", "effectiveness")


def tests_in_source(text: str, path: Path, folder: Path, root: Path) -> tuple[DeviceTest, ...]:
    """The tests of a file's text, in the order of its lines. Raises UsageError where it is no Python; names the line."""
    try:
        module = ast.parse(text, filename=str(path))
    except SyntaxError as error:
        raise UsageError(
            f"is no Python: {error.msg}", file=path, line=error.lineno, remedy="correct the test"
        ) from error
    name, file = path.relative_to(folder).as_posix(), path.relative_to(root).as_posix()
    _check_kinds(module, path)
    return tuple(_tests(module, name, file, _marks(*_assigned(module))))


def _check_kinds(module: ast.Module, path: Path) -> None:
    """A run refuses a mark with another kind; read as one without, it would have lost the risk control unseen."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or _called(node) != _MARK:
            continue
        for keyword in node.keywords:
            value = keyword.value
            if keyword.arg != "kind" or (isinstance(value, ast.Constant) and value.value not in _KINDS):
                raise UsageError(
                    f"{_MARK}: unknown {ast.unparse(keyword)}", file=path, line=keyword.lineno, key=_MARK,
                    remedy=f"write kind={' or kind='.join(json.dumps(kind) for kind in _KINDS)}",
                )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Named:
    items: tuple[str, ...]
    decided: bool
    effective: tuple[str, ...] = ()
    only: frozenset[str] | None = None

    def __add__(self, other: _Named) -> _Named:
        decided = self.decided and other.decided
        only = self.only if other.only is None else other.only if self.only is None else self.only & other.only
        return _Named((*self.items, *other.items), decided, (*self.effective, *other.effective), only)


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
            only = None if named.only is None else tuple(sorted(named.only))
            yield DeviceTest(f"{prefix}::{node.name}", verifies, file, line, named.decided, effective, only)


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
    return _Named(tuple(items), decided, tuple(effective), _only(expressions))


def _only(expressions: Sequence[ast.expr]) -> frozenset[str] | None:
    """The boards that marks `boards` of a whole test, not those of one of its parameters, leave of all (None)."""
    only: frozenset[str] | None = None
    for expression in expressions:
        for node in expression.elts if isinstance(expression, ast.List | ast.Tuple) else [expression]:
            if isinstance(node, ast.Call) and _called(node) == "boards":
                named = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                if len(named) == len(node.args):
                    only = frozenset(named) if only is None else only & frozenset(named)
    return only


def _is_effectiveness(keyword: ast.keyword) -> bool:
    value = keyword.value
    return keyword.arg == "kind" and isinstance(value, ast.Constant) and value.value == "effectiveness"


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
