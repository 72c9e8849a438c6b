"""The cache of what was read: it never gives another answer than reading anew, whatever is edited, and whatever becomes of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.errors import UsageError
from devicepipe.stages.trace_check import check_working_tree
from devicepipe.stages.trace_project import STATE, open_trace_project
from devicepipe.traceability.drafts import Draft
from tests.traceability.test_schema import CONFIG, REPOSITORY, project

Answer = tuple[list[Draft], list[str]]

PARTS = [
    "## HAZ-001 H\n- severity: critical\n\nText.\n\n",
    "## RC-001 C\n- mitigates: HAZ-001\n\nText.\n\n",
    "## RC-002 C\n- mitigates: HAZ-002\n\nText.\n\n",
    "## SRS-001 R\n- implements: RC-001\n- boards: microbit\n\nÄ “quoted” text.\n\n",
    "## SRS-001 Again\n\nText.\n\n",
    "## SRS-002 R\n- boards: tiny\n\nText.\n\n",
    "## SRS-003 R\n- verification: analysis\n- evidence: record.txt\n\nText.\n\n",
    "## DSG-001 D\n- realises: SRS-001, SRS-003\n\nText.\n\n",
    "## Lost\n\n",
    "- stray: field\n\n",
]
GOOD = "# T\n" + "".join(PARTS[:2])
TESTS = [
    '@pytest.mark.verifies("SRS-001")\ndef test_a(): ...\n',
    "def test_b(): ...\n",
    "class TestC:\n    def test_c(self): ...\n",
    "def broken(:\n",
]
TOML = [
    "",
    'schema = "schema.toml"\n',
    'code = ["gone"]\n',
    'severities = ["minor"]\n',
    "types = { hazard = { fields = { cause = { needed = true } } } }\n",
]

SCHEMAS = [
    "[types.design]\nboards = true\n",
    '[rules.x]\nof = "hazard"\nhas = ["y"]\n',
    "[types.hazard.fields]\na = { needed = true }\n",
]

EDITS: st.SearchStrategy[tuple[str, str, list[str]]] = st.one_of(
    st.tuples(st.just("items"), st.sampled_from(["a", "b", "sub/c"]), st.lists(st.sampled_from(PARTS), max_size=4)),
    st.tuples(st.just("tests"), st.sampled_from(["a", "b"]), st.lists(st.sampled_from(TESTS), max_size=3)),
    st.tuples(st.just("toml"), st.just(""), st.sampled_from(TOML).map(lambda text: [text])),
    st.tuples(st.just("record"), st.just(""), st.sampled_from(["one", "two"]).map(lambda text: [text])),
    st.tuples(st.just("gone"), st.sampled_from(["a", "b"]), st.just(list[str]())),
    st.tuples(st.just("board"), st.just(""), st.sampled_from(["\n", "}"]).map(lambda text: [text])),
    st.tuples(st.just("schema"), st.just(""), st.sampled_from(SCHEMAS).map(lambda text: [text])),
    st.tuples(st.just("folder"), st.sampled_from(["gone", "hil", "firmware/src"]), st.just(list[str]())),
)


def damaged(kept: list[Path], how: str) -> None:
    """Spoil the entries of a cache."""
    content = [entry.read_bytes() for entry in kept]
    for number, entry in enumerate(kept):
        if how == "gone" and not number:
            entry.unlink()
        elif how == "cut":
            entry.write_bytes(content[number][:-3])
        elif how == "other content":
            entry.write_bytes(content[number][:64] + b"[]")
        elif how == "empty":
            entry.write_bytes(b"")
        elif how == "junk":
            entry.write_bytes(b"\xff" * 100)
        elif how == "exchanged":  # each entry in the place of another one, whole and sealed
            entry.write_bytes(content[number - 1])


DAMAGES = ["none", "gone", "cut", "other content", "empty", "junk", "exchanged"]


def answer(root: Path, *, cached: bool) -> Answer:
    """What is read, and what is wrong; a configuration that is wrong is all there is."""
    try:
        made = open_trace_project(root, cached=cached)
    except UsageError as error:
        return [], [str(error)]
    found = check_working_tree(made, cached=cached)
    return list(found.items), [str(one) for one in found.findings]


def whole(root: Path, *, cached: bool) -> tuple[object, ...]:
    try:
        found = check_working_tree(open_trace_project(root, cached=cached), cached=cached)
    except UsageError as error:
        return (str(error),)
    return found.items, found.tests, found.rows, found.findings


def edit(root: Path, kind: str, name: str, parts: list[str]) -> None:
    if kind == "toml":
        (root / "devicepipe.toml").write_text(CONFIG + parts[0])
    elif kind == "record":
        (root / "record.txt").write_text(parts[0])
    elif kind == "board":
        (root / "boards/microbit.json").write_text((REPOSITORY / "boards/microbit.json").read_text() + parts[0])
    elif kind == "schema":
        (root / "schema.toml").write_text(parts[0])
    elif kind == "folder":  # there, or gone
        folder = root / name
        shutil.rmtree(folder) if folder.exists() else folder.mkdir(parents=True)
    elif kind == "gone":
        (root / f"requirements/{name}.md").unlink(missing_ok=True)
    else:
        path = root / (f"requirements/{name}.md" if kind == "items" else f"hil/test_{name}.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(("# T\n" if kind == "items" else "import pytest\n") + "".join(parts))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(EDITS, st.sampled_from(DAMAGES)), min_size=1, max_size=6))
def test_the_cache_gives_what_reading_anew_gives(
    steps: list[tuple[tuple[str, str, list[str]], str]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        project(root, items=GOOD)
        for (kind, file, parts), damage in steps:
            edit(root, kind, file, parts)
            expected = whole(root, cached=False)
            assert whole(root, cached=True) == expected
            damaged(sorted(path for path in (root / STATE).rglob("*") if path.is_file()), damage)
            assert whole(root, cached=True) == expected


def entries(root: Path) -> list[Path]:
    return [path for path in (root / STATE / "items").iterdir() if path.is_file()]


def test_what_has_not_changed_is_not_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, items=GOOD)
    expected = answer(tmp_path, cached=True)
    monkeypatch.setattr("devicepipe.traceability.drafts.parse", lambda *_: pytest.fail("parsed again"))
    assert answer(tmp_path, cached=True) == expected


def test_entries_that_are_not_used_any_more_go(tmp_path: Path) -> None:
    project(tmp_path, items=GOOD)
    answer(tmp_path, cached=True)
    before = entries(tmp_path)
    edit(tmp_path, "items", "all", PARTS[:1])
    edit(tmp_path, "toml", "", ['probabilities = ["rare"]\n'])
    answer(tmp_path, cached=True)
    assert len(entries(tmp_path)) == len(before) == 1
    assert len([*(tmp_path / STATE / "project").iterdir()]) == 1
    assert entries(tmp_path) != before


def test_what_is_wrong_is_told_each_time(tmp_path: Path) -> None:
    project(tmp_path, items="# T\n## SRS-001 R\n- boards: tiny\n\nText.\n")
    first = answer(tmp_path, cached=True)
    assert first == answer(tmp_path, cached=True)
    assert "unknown board 'tiny'" in first[1][0]


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / ".devicepipe").mkdir()
    (tmp_path / ".devicepipe/cache").write_text("a file where the folder should be")
    assert answer(tmp_path, cached=True) == answer(tmp_path, cached=False)
