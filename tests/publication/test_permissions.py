"""What is made under an umask that forbids nothing, as services and containers have it, is still for its owner alone to write."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest

from tests.cli.calls import run
from tests.publication.publishing import APPROVED, pull, sign

ROOT = Path(__file__).parents[2]
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@pytest.fixture
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_no_umask")
def test_nobody_else_can_write_log_repository_signatures_or_what_is_trusted(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    pull(root, first=True)
    made = [root / "trust", root / "dist/repository", root / ".devicepipe/log", root / f"{APPROVED}.signatures"]
    made += [path for folder in made for path in folder.rglob("*")] + [root / ".devicepipe/publication/seen.json"]
    assert len(made) > 30
    assert [str(one) for one in made if not one.is_symlink() and _mode(one) & OTHERS_WRITE] == []


@pytest.mark.usefixtures("_no_umask")
def test_nobody_else_can_look_at_what_a_client_trusts(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("publish", bundle, "mara", people)
    run("pull", root / "dist/repository", "--root", root / "publication/root.json", "--output", root / "pulled",
        "--key", root / ".devicepipe/keys/release.pub.pem", "--trust", root / "new/trust")  # fmt: skip
    assert {_mode(root / "new"), _mode(root / "new/trust")} == {0o700}


def test_a_command_makes_nothing_that_everybody_can_write(root: Path) -> None:
    """The folder of the product's state, which many commands make: who can write it can put other files in their places."""
    for path in (root / ".devicepipe").iterdir():
        path.rename(root / path.name)
    (root / ".devicepipe").rmdir()
    command = [sys.executable, "-m", "devicepipe", "keys"]
    subprocess.run(
        command, cwd=root, env=os.environ | {"PYTHONPATH": str(ROOT)}, umask=0, capture_output=True, check=True
    )
    assert not _mode(root / ".devicepipe") & stat.S_IWOTH


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
