"""What an older bundle proves of a tree: everything while nothing changed, and nothing that rests on what did."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from devicepipe.cli.main import cli
from devicepipe.errors import UsageError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.layout import SOURCE_CONFIG, SOURCE_FILES
from devicepipe.evidence.trace import Traceability
from devicepipe.project.config import load_project
from devicepipe.stages.proof import still_proven
from devicepipe.traceability.items import read_items
from devicepipe.traceability.procedures import procedures_of
from devicepipe.traceability.reviews import record_reviews, review_of
from tests.evidence.synthetic_bundle import Spoil, make_bundle
from tests.project.test_config import GOOD, MANIFEST

BOARDS = ("alpha", "beta")
ITEMS = "# Pump\n\n## HAZ-001 Too much\n\nMore than was set.\n\n## RC-001 Limit\n- mitigates: HAZ-001\n\nIt refuses.\n"
RANGE = "\n## SRS-001 Range\n- implements: RC-001\n\n1 to 10 ml/h.\n"
TESTS = '"""Tests."""\n\n\ndef test_1(device):\n    """It runs."""\n\n\ndef test_2(device):\n    """It runs on."""\n'
FILES = {
    "requirements/pump.md": ITEMS + RANGE,
    "hil/test_pump.py": TESTS,
    "hil/plant.py": "RATE = 1\n",
    "firmware/main.c": "int main(void);\n",
    "firmware/README.md": "Firmware.\n",
    "boards/alpha.json": json.dumps(MANIFEST),
    "boards/beta.json": json.dumps(MANIFEST),
    ".gitignore": ".devicepipe\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "product"
    config = GOOD.replace("boards/one.json", "boards/alpha.json", 1).replace("boards/one.json", "boards/beta.json")
    config = config.replace('name = "one"', 'name = "alpha"').replace('name = "two"', 'name = "beta"')
    for name, text in {**FILES, "devicepipe.toml": config}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


@pytest.fixture
def bundle(root: Path, tmp_path: Path) -> Path:
    """A release of the product as it stands."""
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
    lines = [
        f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
        if not name.startswith(".git/")
    ]
    items = read_items(load_project(root / "devicepipe.toml"))
    digests = [
        hashlib.sha256(text.encode()).hexdigest()
        for text in (
            'def test_1(device):\n    """It runs."""\n',
            'def test_2(device):\n    """It runs on."""\n',
        )
    ]
    assert set(digests) < set(procedures_of(root, ["hil/test_pump.py"])["hil/test_pump.py"])

    def tests(result: dict[str, Any]) -> None:
        for case, digest in zip(result["devicepipe"]["cases"], digests, strict=True):
            case["procedureSha256"] = digest
            case["fingerprints"] = {item.id: item.fingerprint for item in items if item.id == "SRS-001"}

    edits: dict[str, Callable[[dict[str, Any]], None]] = {f"{board}/test": tests for board in BOARDS}
    edits["traceability"] = lambda trace: trace.update(items=[item.to_json() for item in items])
    files = {SOURCE_FILES: "".join(lines).encode(), SOURCE_CONFIG: (root / "devicepipe.toml").read_bytes()}
    return make_bundle(tmp_path, boards=BOARDS, spoil=Spoil(edit=edits, files=files)).path


def proven(root: Path, bundle: Path) -> Traceability:
    return still_proven(load_project(root / "devicepipe.toml"), Bundle(bundle))


def verdicts(traced: Traceability) -> list[tuple[str, ...]]:
    """Of device tests, on the boards."""
    return [
        (row.test.rpartition("::")[2], *(row.verdicts[board] for board in BOARDS))
        for row in traced.matrix
        if not row.verdicts["host"]
    ]


def on_host(traced: Traceability) -> set[str]:
    """The verdicts of the tests of another framework."""
    return {row.verdicts["host"] for row in traced.matrix} - {""}


def stale(traced: Traceability) -> list[str]:
    return [found.message for found in traced.findings if found.kind == "stale-evidence"]


def replace(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return change


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text)


def test_an_unchanged_tree_is_proven(root: Path, bundle: Path) -> None:
    traced = proven(root, bundle)
    assert verdicts(traced) == [("test_1", "passed", "passed"), ("test_2", "passed", "passed")]
    assert traced.findings == []
    assert on_host(traced) == {"passed"}


def test_results_of_other_frameworks_are_stale_as_well(root: Path, bundle: Path) -> None:
    replace("requirements/pump.md", "1 to 10", "1 to 20")(root)
    assert on_host(proven(root, bundle)) == {"stale"}
    replace("requirements/pump.md", "1 to 20", "1 to 10")(root)
    assert on_host(proven(root, bundle)) == {"passed"}
    replace("firmware/main.c", "void", "int x")(root)
    assert on_host(proven(root, bundle)) == {"stale"}


NOTHING = {
    "another hazard": replace("requirements/pump.md", "More than", "Much more than"),
    "a text about the firmware": replace("firmware/README.md", "Firmware", "The firmware"),
    "another requirement": write(
        "requirements/other.md", "# Other\n\n## SRS-002 New\n- implements: RC-001\n\nIt shall.\n"
    ),
    "a further test": replace(
        "hil/test_pump.py", '"""Tests."""\n', '"""Tests."""\n\n\ndef test_3(device):\n    pass\n'
    ),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_it_does_not_rest_on_may_change(root: Path, bundle: Path, name: str) -> None:
    NOTHING[name](root)
    traced = proven(root, bundle)
    assert [row for row in verdicts(traced) if row[0]] == [
        ("test_1", "passed", "passed"),
        ("test_2", "passed", "passed"),
    ]
    assert stale(traced) == []


CHANGES = {
    "the requirement": (
        replace("requirements/pump.md", "1 to 10", "1 to 20"),
        "the item changed: SRS-001 was another one",
        [("test_1", "stale", "stale"), ("test_2", "stale", "stale")],
    ),
    "a test": (
        replace("hil/test_pump.py", "It runs.", "It walks."),
        "the test changed: its source is another one",
        [("test_1", "stale", "stale"), ("test_2", "passed", "passed")],
    ),
    "what tests share": (
        replace("hil/plant.py", "1", "2"),
        "the test changed: hil/plant.py, which tests share, changed",
        [("test_1", "stale", "stale"), ("test_2", "stale", "stale")],
    ),
    "a source": (
        replace("firmware/main.c", "void", "int x"),
        "the image changed: it was made of other sources: firmware/main.c",
        [("test_1", "stale", "stale"), ("test_2", "stale", "stale")],
    ),
    "a source that git does not know yet": (
        write("firmware/more.c", "int x;\n"),
        "the image changed: it was made of other sources: firmware/more.c",
        [("test_1", "stale", "stale"), ("test_2", "stale", "stale")],
    ),
    "a board's manifest": (
        lambda root: (root / "boards/beta.json").write_text(json.dumps(MANIFEST | {"name": "Beta"})),
        "the image changed: it was made of other sources: boards/beta.json",
        [("test_1", "passed", "stale"), ("test_2", "passed", "stale")],
    ),
    "what is configured of images": (
        lambda root: (root / "devicepipe.toml").write_text(
            (root / "devicepipe.toml").read_text() + "\n[image]\nsecurity-counter = 9\n"
        ),
        "the image changed: it was made of other sources: [image] of devicepipe.toml",
        [("test_1", "stale", "stale"), ("test_2", "stale", "stale")],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_named_and_nothing_else_is_stale(root: Path, bundle: Path, name: str) -> None:
    change, said, expected = CHANGES[name]
    change(root)
    traced = proven(root, bundle)
    assert verdicts(traced) == expected
    (message,) = stale(traced)
    assert message.startswith(said)


def test_a_parent_that_changed_makes_evidence_stale_until_it_is_reviewed(root: Path, bundle: Path) -> None:
    def review() -> None:
        project = load_project(root / "devicepipe.toml")
        items = {item.id: item for item in read_items(project)}
        when = "2026-11-29T10:00:00Z"
        record_reviews(project, [review_of(item, items, by="A. Tester", on=when, note="x") for item in items.values()])

    review()
    replace("requirements/pump.md", "It refuses.", "It stops.")(root)
    traced = proven(root, bundle)
    assert verdicts(traced) == [("test_1", "stale", "stale"), ("test_2", "stale", "stale")]
    assert "RC-001, which it rests on, changed" in stale(traced)[0]
    review()
    assert stale(proven(root, bundle)) == []


def test_the_matrix_shows_what_is_stale(root: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    replace("hil/test_pump.py", "It runs.", "It walks.")(root)
    result = CliRunner().invoke(cli, ["trace", "matrix", "--evidence", str(bundle)], standalone_mode=False)
    assert result.return_value == 1
    assert "test_1,stale,stale" in result.output
    assert "test_2,passed,passed" in result.output
    assert "its source is another one" in result.output
    shown = CliRunner().invoke(cli, ["trace", "show", "SRS-001", "--evidence", str(bundle)], standalone_mode=False)
    assert "alpha stale, beta stale" in shown.output


def test_a_bundle_that_does_not_say_its_sources_is_refused(root: Path, tmp_path: Path) -> None:
    made = make_bundle(tmp_path, boards=BOARDS, spoil=Spoil(files={SOURCE_FILES: b""}))
    with pytest.raises(UsageError, match="does not say which sources"):
        proven(root, made.path)
