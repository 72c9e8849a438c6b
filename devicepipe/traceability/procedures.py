"""The sources of tests as digests, read without running anything: what a test's `procedure_sha256` is compared with.

What always holds: of a file that a session would run, the digest that the session gives a test is among those given here for its
file, whatever the test is called and however often it is run with other parameters.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.traceability.device_tests import test_files
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
    # As Python's `linecache` has it, of which the session takes the source.
    lines = io.StringIO(text if text.endswith("\n") else f"{text}\n").readlines()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            # The very function that `inspect.getsource` ends a function's source with, which the session takes.
            yield hashlib.sha256("".join(inspect.getblock(lines[first - 1 :])).encode()).hexdigest()
