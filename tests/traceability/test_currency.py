"""Stale evidence: each of the four that a result is bound to, and an unreviewed change, makes a cell stale, and nothing else
does."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devicepipe.evidence.currency import Expected
from devicepipe.evidence.results import TestCase as Case
from devicepipe.evidence.results import TestRun as Run
from devicepipe.traceability.currency import Stale
from devicepipe.traceability.matrix import trace
from devicepipe.traceability.procedures import procedures_of, shared_files
from tests.traceability.item_samples import sample
from tests.traceability.test_matrix import BOARDS, case, findings, messages, rows, run

CHAIN = [sample("HAZ-001"), sample("RC-001", mitigates=["HAZ-001"]), sample("SRS-001", implements=["RC-001"])]
FINGERPRINTS = {item.id: item.fingerprint for item in CHAIN}
FILE = "hil/test_x.py"
GOOD = Expected(
    FINGERPRINTS,
    procedures={FILE: ["0" * 64]},
    images=dict.fromkeys(BOARDS, "1" * 64),
)


def bound(name: str = "t", verdict: str = "passed", **changes: Any) -> Case:
    made = case(name, ["SRS-001"], verdict)
    return made.model_copy(update={"fingerprints": {"SRS-001": FINGERPRINTS["SRS-001"]}} | changes)


def traced(expected: Expected, *runs: Run):  # type: ignore[no-untyped-def]
    return trace(CHAIN, runs, BOARDS, stale=Stale(runs, expected))


def both(*cases: Case) -> tuple[Run, ...]:
    return tuple(run(board, *cases) for board in BOARDS)


def test_a_result_about_what_is_there_passes() -> None:
    made = traced(GOOD, *both(bound()))
    assert rows(made) == [("HAZ-001", "RC-001", "SRS-001", "t", "passed", "passed")]
    assert made.findings == []


CAUSES: dict[str, tuple[Expected, dict[str, Any], str, tuple[str, int]]] = {
    "another requirement": (
        GOOD,
        {"fingerprints": {"SRS-001": "9" * 64}},
        "the item changed: SRS-001 was another one: 999999999999…, now ",
        ("r.md", 7),
    ),
    "a requirement that was not there": (
        GOOD,
        {"fingerprints": {}},
        "the item changed: SRS-001 was not there",
        ("r.md", 7),
    ),
    "another test": (
        GOOD,
        {"procedure_sha256": "8" * 64},
        "the test changed: its source is another one",
        (FILE, 12),
    ),
    "a test that is gone": (
        GOOD,
        {"procedure_file": "hil/test_gone.py"},
        "the test changed: hil/test_gone.py is gone",
        ("hil/test_gone.py", 12),
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_what_changed_is_named(name: str) -> None:
    expected, changes, said, place = CAUSES[name]
    made = traced(expected, *both(bound(**changes)))
    assert rows(made) == [("HAZ-001", "RC-001", "SRS-001", "t", "stale", "stale")]
    (found,) = [one for one in made.findings if one.kind == "stale-evidence"]
    assert found.message.startswith(said)
    assert found.message.endswith("(on large, small: t)")
    assert (found.item, found.file, found.line) == ("SRS-001", *place)
    assert messages(made, "untested-requirement") == ["not-passed: t stale"] * 2
    assert [one.item for one in made.findings if one.kind == "unverified-control"] == ["RC-001"]


def test_another_image_is_stale_on_its_board_only() -> None:
    images = {"small": "1" * 64, "large": "7" * 64}
    made = traced(Expected(FINGERPRINTS, images=images), *both(bound()))
    assert rows(made) == [("HAZ-001", "RC-001", "SRS-001", "t", "passed", "stale")]
    (said,) = messages(made, "stale-evidence")
    assert said == "the image changed: it was 111111111111…, now 777777777777… (on large: t)"


def test_other_sources_of_the_image() -> None:
    expected = Expected(FINGERPRINTS, other_sources={"large": "it was made of other sources: firmware/a.c"})
    made = traced(expected, *both(bound()))
    assert rows(made) == [("HAZ-001", "RC-001", "SRS-001", "t", "passed", "stale")]


def test_a_run_on_another_board_proves_nothing() -> None:
    strange = run("small", bound())
    strange = strange.model_copy(update={"device": strange.device.model_copy(update={"board": "large"})})
    made = traced(GOOD, strange, run("large", bound()))
    assert rows(made) == [("HAZ-001", "RC-001", "SRS-001", "t", "stale", "passed")]
    assert messages(made, "stale-evidence") == ["the board changed: it was run on large (on small: t)"]


def test_an_unreviewed_change_is_stale() -> None:
    expected = Expected(FINGERPRINTS, reviews={"SRS-001": "RC-001, which it rests on, changed"})
    made = traced(expected, *both(bound()))
    assert rows(made) == [("HAZ-001", "RC-001", "SRS-001", "t", "stale", "stale")]
    (said,) = messages(made, "stale-evidence")
    assert said.startswith("the item or what it rests on changed: a change is not reviewed: RC-001, which it rests on")


def test_a_failure_is_never_hidden() -> None:
    made = traced(GOOD, *both(bound(verdict="failed", procedure_sha256="8" * 64)))
    assert rows(made) == [("HAZ-001", "RC-001", "SRS-001", "t", "failed", "failed")]
    assert [kind for kind, _, _ in findings(made)] == ["unverified-control", *["untested-requirement"] * 2]


def test_another_current_result_still_counts() -> None:
    made = traced(GOOD, *both(bound(procedure_sha256="8" * 64), bound("u")))
    assert [row[3:] for row in rows(made)] == [("t", "stale", "stale"), ("u", "passed", "passed")]
    assert {kind for kind, _, _ in findings(made)} == {"stale-evidence"}


def test_of_a_test_of_two_items_only_the_changed_one_is_stale() -> None:
    items = [*CHAIN, sample("SRS-002", implements=["RC-001"])]
    now = {item.id: item.fingerprint for item in items}
    made = bound(verifies=["SRS-001", "SRS-002"], fingerprints=now | {"SRS-002": "9" * 64})
    runs = both(made)
    traced = trace(items, runs, BOARDS, stale=Stale(runs, Expected(now)))
    assert [row[2:] for row in rows(traced)] == [
        ("SRS-001", "t", "passed", "passed"),
        ("SRS-002", "t", "stale", "stale"),
    ]


def test_evidence_of_before_counts_by_the_items_beside_it() -> None:
    old = bound(fingerprints=None)
    assert rows(traced(Expected(FINGERPRINTS), *both(old)))[0][4:] == ("passed", "passed")
    beside = Expected(FINGERPRINTS, recorded={"SRS-001": "9" * 64})
    assert rows(traced(beside, *both(old)))[0][4:] == ("stale", "stale")


def test_a_test_from_outside_the_product_is_not_compared() -> None:
    made = traced(GOOD, *both(bound(procedure_file="library.py")))
    assert rows(made)[0][4:] == ("passed", "passed")


def test_a_shared_file_that_changed_makes_every_test_another_one() -> None:
    expected = Expected(
        FINGERPRINTS, procedures=GOOD.procedures, changed_files=("hil/plant.py, which tests share, changed",)
    )
    made = traced(expected, *both(bound()))
    assert messages(made, "stale-evidence") == [
        "the test changed: hil/plant.py, which tests share, changed (on large, small: t)"
    ]


# --- the sources of tests

SOURCE = '''
import functools

import pytest

HELP = 1


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@pytest.mark.parametrize("x", [1, 2])
@decorated
def test_one(x):
    """µl ≤ 1."""
    assert x
    # a comment at its end
    if x:
        pass  # and another one

# not of it


class TestAll:
    @pytest.mark.skipif(HELP == 2, reason="(")
    def test_two(self):
        text = """
def test_no():
    pass
"""
        assert text

    async def test_three(self): assert True


def test_last(): return 1'''


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample_of_procedures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_digests_are_those_that_a_session_gives(tmp_path: Path) -> None:
    (tmp_path / "hil").mkdir()
    file = tmp_path / FILE
    file.write_text(SOURCE, encoding="utf-8")
    module = load(file)
    functions = [module.test_one, module.TestAll.test_two, module.TestAll.test_three, module.test_last]
    found = procedures_of(tmp_path, [FILE, "hil/gone.py"])
    assert set(found) == {FILE}
    for function in functions:
        source = "".join(inspect.getsourcelines(function)[0]).encode()
        assert hashlib.sha256(source).hexdigest() in found[FILE], function
    assert hashlib.sha256(file.read_bytes()).hexdigest() in found[FILE]
    file.write_text(SOURCE.replace("assert x", "assert not x"), encoding="utf-8")
    source = "".join(inspect.getsourcelines(functions[1])[0]).encode()
    changed = procedures_of(tmp_path, [FILE])[FILE]
    assert len(set(changed) & set(found[FILE])) == len(found[FILE]) - 2  # the file and the one function


def test_files_that_tests_share(tmp_path: Path) -> None:
    for name in ("hil/test_a.py", "hil/conftest.py", "hil/plant/model.py", "hil/notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    assert list(shared_files(tmp_path / "hil", tmp_path)) == ["hil/conftest.py", "hil/plant/model.py"]
