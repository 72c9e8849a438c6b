"""The reference product in a repository of its own, so that tests may spoil it and release it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
PARTS = ("devicepipe.toml", ".gitignore", "boards", "firmware", "hil", "requirements", "reports")


@dataclass(frozen=True)
class Outcome:
    """What a devicepipe command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Product:
    """A product's git repository."""

    root: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text, f"{name} no longer holds {old!r}"
        (self.root / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def only_board(self, name: str) -> None:
        """Keep one board in devicepipe.toml: a quicker release where one board shows it as well as two."""
        text = (self.root / "devicepipe.toml").read_text(encoding="utf-8")
        head, *boards = text.split("[[board]]")
        last, rest = boards[-1].split("\n\n", 1)
        kept = [board for board in [*boards[:-1], last + "\n\n"] if f'name = "{name}"' in board]
        assert len(kept) == 1
        (self.root / "devicepipe.toml").write_text(f"{head}[[board]]{kept[0]}{rest}", encoding="utf-8")

    def run(self, *arguments: str) -> Outcome:
        """Run the devicepipe command in the product's root."""
        done = subprocess.run(
            [sys.executable, "-m", "devicepipe", *arguments],
            cwd=self.root,
            env=os.environ | {"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


def make_product(root: Path) -> Product:
    """A git repository with the reference product as it stands in the working tree, committed."""
    root.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PARTS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    shutil.copytree(REPOSITORY / ".devicepipe/cache", root / ".devicepipe/cache")
    product = Product(root)
    product.git("init", "-q", "-b", "main")
    product.git("config", "user.name", "A Tester")
    product.git("config", "user.email", "tester@example.org")
    product.commit("feat: the product")
    return product


@pytest.fixture
def product(tmp_path: Path) -> Product:
    return make_product(tmp_path / "product")


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """The product, released once as 1.2.3 on both boards: dist/infusion-pump-1.2.3. Not to be changed."""
    product = make_product(tmp_path_factory.mktemp("released") / "product")
    outcome = product.run("release", "1.2.3", "--json")
    assert outcome.code == 0, outcome.err + outcome.out
    return product
