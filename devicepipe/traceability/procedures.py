"""The sources of tests as digests, read without running anything: what a test's `procedure_sha256` is compared with.

What always holds: of a file that a session would run, the digest that the session gives a test is among those given here for its
file, whatever the test is called and however often it is run with other parameters.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.traceability.device_tests import test_files, tests_in
from devicepipe.traceability.impact import TestState
from devicepipe.traceability.markdown import read_text


def procedures_of(root: Path, files: Iterable[str]) -> dict[str, list[str]]:
    """The digests of the functions in some files, and of each file as a whole, sorted; a file that is not there is left out.

    Args:
        root: What the files are relative to.
        files: The files, as `TestCase.procedure_file` names them.

    Raises:
        UsageError: A file is no Python; names the line.
    """
    return {name: sorted(_digests(root / name)) for name in sorted(set(files)) if (root / name).is_file()}


def shared_files(folder: Path, root: Path) -> dict[str, str]:
    """The Python files below the tests' folder that tests share, but are none themselves: path relative to the root → SHA-256."""
    tests = set(test_files(folder))
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.py"))
        if path not in tests
    }


def _digests(path: Path) -> Iterator[str]:
    whole = path.read_bytes()
    yield hashlib.sha256(whole).hexdigest()
    if path.suffix != ".py":
        return
    text = read_text(path)
    try:
        module = ast.parse(text, filename=str(path))
    except SyntaxError as error:
        raise UsageError(
            f"is no Python: {error.msg}", file=path, line=error.lineno, remedy="correct the test"
        ) from error
    lines = _lines(text)
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            yield _digest(lines, first)


def _lines(text: str) -> list[str]:
    """As Python's `linecache` has them, of which the session takes the source."""
    return io.StringIO(text if text.endswith("\n") else f"{text}\n").readlines()


def _digest(lines: Sequence[str], first: int) -> str:
    """The digest of the function that begins in a line, as far as `inspect.getsource` takes it to go, which the session uses."""
    return hashlib.sha256("".join(inspect.getblock(lines[first - 1 :])).encode()).hexdigest()


def test_states(folder: Path, root: Path) -> dict[str, TestState]:
    """The tests below a folder by id (with the file's path relative to the root), each with its source's digest.

    Raises:
        UsageError: A file is no Python; names the line.
    """
    found: dict[str, TestState] = {}
    for path in test_files(folder):
        lines = _lines(read_text(path))
        for test in tests_in(path, folder, root):
            file, _, name = test.id.partition("::")
            full = f"{(folder / file).relative_to(root).as_posix()}::{name}"
            found[full] = TestState(full, test.verifies, _digest(lines, test.line), test.file, test.line)
    return found


test_states.__test__ = False  # type: ignore[attr-defined]  # no test, whatever pytest makes of the name
