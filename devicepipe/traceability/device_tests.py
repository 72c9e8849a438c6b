"""Which device tests there are and what they verify, read from their source without running or importing anything.

What pytest would collect by its usual names is found: functions `test*`, also in classes `Test*`, of files `test_*.py` and
`*_test.py`. What a test verifies are the texts in `@pytest.mark.verifies(...)` on it, on its class, in the module's `pytestmark`,
and in the `marks` of its parameters (all of them together: one parametrised test stands for all its cases). A mark whose
arguments are no plain texts cannot be read this way: such a test has `decided` false, and only a run says what it verifies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devicepipe.traceability.markdown import read_bytes, text_of

_PATTERNS = ("test_*.py", "*_test.py")


@dataclass(frozen=True, slots=True)
class DeviceTest:
    """A test function as it stands in its file: id ("test_flow.py::test_rate"), what it names, place relative to the root.

    `only` are the boards that it applies to where marks `boards` on it say so, None where it applies to all.
    """

    id: str
    verifies: tuple[str, ...]
    file: str
    line: int
    decided: bool = True
    effectiveness: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None


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
    from devicepipe.traceability.python_tests import tests_in_source

    return tests_in_source(text_of(data, path), path, folder, root)


test_files.__test__ = tests_in.__test__ = tests_of.__test__ = False  # type: ignore[attr-defined]  # no tests, whatever pytest makes of the names
