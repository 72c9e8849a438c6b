"""What device tests verify, read from their source: as pytest itself would say."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.traceability.device_tests import DeviceTest, read_tests

SOURCE = """
import pytest

pytestmark = [pytest.mark.virtual_time(at="f"), pytest.mark.verifies("SRS-009")]
ITEM = "SRS-001"


@pytest.mark.verifies("SRS-002", "SRS-001")
@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.verifies("SRS-003"))])
def test_one(x): ...


class TestGroup:
    pytestmark = pytest.mark.verifies("SRS-004")

    def test_two(self): ...

    def helper(self): ...


@pytest.mark.verifies(ITEM)
def test_three(): ...


def check_nothing(): ...
"""


def test_marks_of_function_class_module_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "hil/sub").mkdir(parents=True)
    (tmp_path / "hil/sub/test_x.py").write_text(SOURCE)
    (tmp_path / "hil/helper.py").write_text("def test_no(): ...\n")
    assert read_tests(tmp_path / "hil", tmp_path) == (
        DeviceTest("sub/test_x.py::test_one", ("SRS-001", "SRS-002", "SRS-003", "SRS-009"), "hil/sub/test_x.py", 8),
        DeviceTest("sub/test_x.py::TestGroup::test_two", ("SRS-004", "SRS-009"), "hil/sub/test_x.py", 16),
        DeviceTest("sub/test_x.py::test_three", ("SRS-009",), "hil/sub/test_x.py", 21, decided=False),
    )


def test_a_file_that_is_no_python_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("import pytest\ndef test_x(:\n")
    with pytest.raises(UsageError, match="no Python") as caught:
        read_tests(tmp_path, tmp_path)
    assert caught.value.line == 2


def test_marks_of_effectiveness_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\n\n\n"
        '@pytest.mark.verifies("RC-002", "RC-001", kind="effectiveness")\n'
        '@pytest.mark.verifies("SRS-001")\n'
        "def test_one(): ...\n"
    )
    (found,) = read_tests(tmp_path, tmp_path)
    assert found.verifies == ("RC-001", "RC-002", "SRS-001")
    assert found.effectiveness == ("RC-001", "RC-002")


@pytest.mark.parametrize("wrong", ['kind="effective"', 'knid="effectiveness"'])
def test_a_mark_of_another_kind_is_named_with_its_line(tmp_path: Path, wrong: str) -> None:
    source = f'import pytest\n\n\n@pytest.mark.verifies("RC-001", {wrong})\ndef test_one(): ...\n'
    (tmp_path / "test_x.py").write_text(source)
    with pytest.raises(UsageError, match=wrong[:4]) as caught:
        read_tests(tmp_path, tmp_path)
    assert caught.value.line == 4
    assert "effectiveness" in str(caught.value.remedy)


def test_the_boards_of_a_whole_test_are_read_and_those_of_a_parameter_are_not(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\n\npytestmark = [pytest.mark.boards('a', 'b')]\n\n\n"
        "@pytest.mark.boards('b', 'c')\ndef test_one(): ...\n\n\n"
        "@pytest.mark.parametrize('x', [1, pytest.param(2, marks=pytest.mark.boards('a'))])\ndef test_two(x): ...\n"
    )
    (tmp_path / "test_y.py").write_text("def test_three(): ...\n")
    assert [test.only for test in read_tests(tmp_path, tmp_path)] == [("b",), ("a", "b"), None]
