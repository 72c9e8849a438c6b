"""What people declare is read before anything is built, and a mistake in it says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.project.config import Project, load_project
from devicepipe.stages.declarations import read_declarations
from tests.project.test_config import GOOD, MANIFEST

TABLES = """
[analysis]
baseline = "firmware/baseline.toml"
[coverage]
never-executed = "firmware/never.toml"
[vulnerabilities]
snapshot = "security/snapshot.toml"
vex = "security/vex"
"""
FILES = {
    "firmware/baseline.toml": "",
    "firmware/deviations.toml": "",
    "firmware/stack.toml": "",
    "firmware/never.toml": "",
    "security/snapshot.toml": f"""[snapshot]
sha256 = "{"0" * 64}"
date = 2026-01-02
newest-record = "2026-01-01T00:00:00Z"
format = "osv"
records = 1
description = "sample"
""",
    "security/vex/a.json": None,
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for folder in ("firmware", "boards", "requirements", "hil", "security/vex"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "boards/one.json").write_text(json.dumps(MANIFEST))
    for name, text in FILES.items():
        if text is not None:
            (tmp_path / name).write_text(text)
    named = 'deviations = "firmware/deviations.toml"\nstack = "firmware/stack.toml"\n'
    text = GOOD.replace('project = "firmware"\n', f'project = "firmware"\n{named}') + TABLES
    (tmp_path / "devicepipe.toml").write_text(text)
    return load_project(tmp_path / "devicepipe.toml")


def test_what_is_right_is_read(project: Project) -> None:
    read_declarations(project)


@pytest.mark.parametrize("file", FILES)
def test_a_mistake_is_told_with_its_file_and_a_remedy(project: Project, file: str) -> None:
    (project.root / file).write_text("x = = 1")
    with pytest.raises(UsageError) as caught:
        read_declarations(project)
    assert caught.value.file == project.root / file
    assert caught.value.remedy


def test_a_baseline_that_is_not_there_says_what_makes_it(project: Project) -> None:
    (project.root / "firmware/baseline.toml").unlink()
    with pytest.raises(UsageError, match="cannot be read") as caught:
        read_declarations(project)
    assert "analyse --write-baseline" in caught.value.remedy
