"""Fixtures of the drivers' tests: a project with a bench.toml, its device's images, and programs first on PATH."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devicepipe.bench.drivers.driver import FlashImages, Place
from devicepipe.bench.drivers.registry import Role, make_driver
from devicepipe.project.config import load_project
from devicepipe.project.inventory import load_inventory
from tests.bench.samples import processes_of, write_hex
from tests.project.test_config import GOOD, MANIFEST

ROOT = Path(__file__).parents[3]
MakeDriver = Callable[..., Any]
Install = Callable[[str, str], Path]


def nothing_runs(folder: Path) -> bool:
    """Whether no process works in a folder any more: what was killed may take a moment to be gone."""
    deadline = time.monotonic() + 30.0
    while processes_of(folder):
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("firmware", "boards", "requirements", "hil"):
        (tmp_path / folder).mkdir()
    (tmp_path / "boards/one.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "devicepipe.toml").write_text(GOOD)
    return tmp_path


@pytest.fixture
def driver(root: Path) -> MakeDriver:
    """Make the driver of a role from the lines of its table in bench.toml."""

    def make(role: Role, lines: str, port: str = "/dev/serial/by-id/one") -> Any:
        (root / "hil/bench.toml").write_text(
            f'[[device]]\nid = "one-1"\nboard = "one"\nport = "{port}"\n\n[device.{role}]\n{lines}\n'
        )
        project = load_project(root / "devicepipe.toml")
        inventory = load_inventory(project)
        entry = getattr(inventory.device("one-1"), role)
        place = Place("one-1", project.boards[0].board, port, root, root / "out/drivers.log")
        return make_driver(role, entry, place, inventory)

    return make


@pytest.fixture
def images(tmp_path: Path) -> FlashImages:
    factory = write_hex(tmp_path / "factory.hex", {0x0: bytes(range(256)) * 8, 0x8000: b"the application " * 64})
    (tmp_path / "signed.bin").write_bytes(b"the application " * 64)
    return FlashImages(factory, tmp_path / "signed.bin")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a program first on PATH: a shell script, or with `python:NAME` the function of that name in programs.py."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PROBE_FLASH", str(tmp_path / "flash.bin"))

    def add(name: str, script: str) -> Path:
        program = folder / name
        kind, _, function = script.partition(":")
        if kind == "python":
            program.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                f"from tests.bench.drivers.programs import {function}\n{function}(sys.argv[1:])\n"
            )
        else:
            program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    yield add
    assert nothing_runs(tmp_path)
