"""`devicepipe trace check`: every finding at once, each with file and line, and nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from devicepipe.cli.main import cli
from tests.traceability.test_schema import project

ITEMS = """# Pump

## UN-001 Comfort

The nurse can work.

## SRS-001 Range
- satisfies: UN-001

1 to 10 ml/h.

## SRS-002 Alarm
- satisfies: UN-001
- boards: tiny

It sounds.

## DSG-001 Rate check
- realises: SRS-001

A table.
"""
TESTS = """import pytest


@pytest.mark.verifies("SRS-001", "SRS-404")
def test_range(): ...


def test_nothing(): ...
"""
CODE = """/* @realises DSG-001 */
int check(int rate) { return rate; }

/* @realises DSG-404 */
int other(void) { return 0; }

// @realises nothing
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project(tmp_path, items=ITEMS)
    (tmp_path / "hil/test_range.py").write_text(TESTS)
    (tmp_path / "firmware/src").mkdir()
    (tmp_path / "firmware/src/check.c").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["trace", "check", *arguments], standalone_mode=False)


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments], cwd=root, check=True)


def state(root: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and ".devicepipe" not in path.parts
    }


def test_every_finding_is_told_at_once_with_its_place(root: Path) -> None:
    before = state(root)
    result = run()
    assert result.return_value == 1
    assert result.output.splitlines() == [
        "requirements/all.md:14: error: boards: unknown board 'tiny' (known boards: microbit, or all) [invalid]",
        (
            "firmware/src/check.c:7: error: @realises: expected the ids of items after @realises, found 'nothing' "
            "(write e.g. /* @realises DSG-004, SRS-012 */, and nothing else in the line) [invalid]"
        ),
        "requirements/all.md:12: error: SRS-002: no design item realises it [unrealised-requirement]",
        "requirements/all.md:12: error: SRS-002: no-test: nothing verifies it on microbit [untested-requirement]",
        "hil/test_range.py:4: error: SRS-404: test_range.py::test_range verifies SRS-404, but there is no such item [unknown-item]",
        "hil/test_range.py:8: warning: test_range.py::test_nothing: the test verifies no item [orphan-test]",
        "firmware/src/check.c:4: error: DSG-404: the code of other realises DSG-404, but there is no such item [unknown-item]",
        "4 items, 2 tests, 2 code markers: 6 errors, 1 warning",
    ]
    assert state(root) == before


def test_json_holds_the_same(root: Path) -> None:
    document = json.loads(run("--json").output)
    assert document["errors"] == 6
    assert [one["severity"] for one in document["findings"]].count("warning") == 1
    assert document["findings"][2] == {
        "kind": "unrealised-requirement",
        "severity": "error",
        "item": "SRS-002",
        "board": "",
        "message": "no design item realises it",
        "file": "requirements/all.md",
        "line": 12,
    }


def test_severities_are_the_product_s_to_set(root: Path) -> None:
    with (root / "devicepipe.toml").open("a") as file:
        file.write(
            'rules = { unrealised-requirement = { severity = "warning" }, unimplemented-design = { severity = "off" } }\n'
        )
    assert "warning: SRS-002: no design item realises it" in run().output


def test_trailers_of_commits_since_the_last_tag_name_items(root: Path) -> None:
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "begin\n\nImplements: SRS-405")
    git(root, "tag", "v1.0.0")
    (root / "notes.txt").write_text("Notes.")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "more\n\nImplements: SRS-001, SRS-404\nChange: none, really")
    git(root, "commit", "-q", "--allow-empty", "-m", "other")
    output = run().output
    assert "(more) says 'Implements: SRS-404', but there is no such item [unknown-item-in-commit]" in output
    assert "SRS-405" not in output
    assert "1 commit with trailers" in output
    assert "SRS-405" in run("--commits", "HEAD").output
    assert "git knows no commits 'v9..HEAD'" in str(run("--commits", "v9..HEAD").exception)


def test_a_product_without_mistakes_exits_with_0(root: Path) -> None:
    fixed = ITEMS.replace("- boards: tiny\n", "").replace("realises: SRS-001", "realises: SRS-001, SRS-002")
    (root / "requirements/all.md").write_text(fixed)
    (root / "hil/test_range.py").write_text(TESTS.replace("SRS-404", "SRS-002"))
    (root / "firmware/src/check.c").write_text(CODE[: CODE.index("/* @realises DSG-404")])
    result = run()
    assert (result.return_value, result.output.splitlines()[-1]) == (
        0,
        "4 items, 2 tests, 1 code marker: 0 errors, 1 warning",
    )


def test_markers_of_design_that_is_kept_elsewhere_are_told_only(root: Path) -> None:
    (root / "requirements/all.md").write_text("# T\n## SRS-001 R\n\nText.\n\n## SRS-002 R\n\nText.\n")
    (root / "hil/test_range.py").write_text(TESTS.replace("SRS-404", "SRS-002"))
    (root / "firmware/src/check.c").write_text(
        "/* @realises DSG-001 */\nint f(void);\n/* @realises DGS-001 */\nint g(void);\n"
    )
    told = [line for line in run().output.splitlines() if "check.c" in line]
    assert told == [
        (
            "firmware/src/check.c:1: warning: DSG-001: the code of f realises DSG-001, but the product keeps no design items "
            "[unknown-item]"
        ),
        "firmware/src/check.c:3: error: DGS-001: the code of g realises DGS-001, but there is no such item [unknown-item]",
    ]


def test_a_check_that_finds_everything_unchanged_imports_no_models(root: Path) -> None:
    """They take longer than checking 10,000 items: benchmarks/bench_trace.py."""
    (root / "firmware/src/check.c").write_text(CODE[: CODE.index("// @realises nothing")])
    code = (
        "import sys, atexit\nfrom devicepipe.cli.main import main\nsys.argv[1:] = ['trace', 'check']\n"
        "atexit.register(lambda: print([name for name in ('pydantic', 'pydantic_core') if name in sys.modules]))\nmain()\n"
    )
    told = [
        subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert [one.stdout.splitlines()[:-1] for one in told[1:]] == [told[0].stdout.splitlines()[:-1]]
    assert told[1].stdout.splitlines()[-1] == "[]", told[1].stderr
