"""The reference product in a repository of its own, so that tests may spoil it and release it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
RELEASED_BOARDS = ("microbit", "virt_rv32")
PARTS = ("devicepipe.toml", ".gitignore", "boards", "firmware", "hil", "requirements", "reports", "security")

SMALL_ITEMS = """# Small

## HAZ-001 The pump is believed to do what it does not do
- severity: critical
- probability: occasional
- severity-after: critical
- probability-after: improbable

Somebody acts on a wrong display.

## RC-001 Plain replies
- mitigates: HAZ-001
- new-hazards: none; it only says what is

The pump says what it does.

## SRS-001 Status
- implements: RC-001
- verification: test
- boards: all
- security-control: authentication, authorization, cryptography, integrity, confidentiality, logging, resiliency, updatability

The device shall answer the status command.
"""

SMALL_TESTS = '''
import pytest


@pytest.mark.verifies("RC-001", kind="effectiveness")
@pytest.mark.verifies("SRS-001")
def test_status(device):
    """It answers."""
    assert device.command("status").startswith("OK status state=idle ")
'''


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

    def only_boards(self, *names: str) -> None:
        """Keep some boards in devicepipe.toml: a quicker release where they show it as well as all of them."""
        text = (self.root / "devicepipe.toml").read_text(encoding="utf-8")
        table = re.compile(r"^\[\[board\]\]\n(?:(?!\[).*\n)*", re.MULTILINE)
        boards = {
            name: found[0]
            for found in table.finditer(text)
            for name in re.findall(r'^name = "(\w+)"', found[0], re.MULTILINE)
        }
        assert set(names) <= set(boards)
        for name in set(boards) - set(names):
            text = text.replace(boards[name], "")
        (self.root / "devicepipe.toml").write_text(text, encoding="utf-8")
        inventory = self.root / "hil/bench.toml"
        devices = re.split(r"(?=^\[\[device\]\]\n)", inventory.read_text(encoding="utf-8"), flags=re.MULTILINE)
        gone = [f'board = "{name}"' for name in set(boards) - set(names)]
        inventory.write_text(
            "".join(one for one in devices if not any(board in one for board in gone)), encoding="utf-8"
        )

    def review(self) -> None:
        """Review all items as they stand: what was reviewed of the reference product is another one with fewer boards or items."""
        (self.root / "requirements/reviews.jsonl").unlink(missing_ok=True)
        done = self.run("trace", "review", "--all", "--note", "for a test")
        assert done.code == 0, done.err

    def coverage(self, table: str) -> None:
        """Have another table [coverage] in devicepipe.toml, or none."""
        text = (self.root / "devicepipe.toml").read_text(encoding="utf-8")
        text = re.sub(r"^\[coverage\]\n(?:(?!\[).*\n)*", "", text, flags=re.MULTILINE)
        (self.root / "devicepipe.toml").write_text(f"{text}\n{table}", encoding="utf-8")

    def campaigns(self, points: dict[str, int]) -> None:
        """The campaigns of a release: those named, with so many points."""
        file = self.root / "devicepipe.toml"
        text = re.sub(r"^(powercut|bitflip|fuzz) = .*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        runs = "".join(f"{kind} = {{ points = {count} }}\n" for kind, count in points.items())
        file.write_text(text.replace("[campaigns]\n", f"[campaigns]\n{runs}"), encoding="utf-8")

    def make_small(self) -> None:
        """One board, and of requirements and device tests only what a release needs: for what the pump itself is not needed."""
        self.only_boards("microbit")
        self.coverage("")
        for file in (self.root / "requirements").glob("*.md"):
            if file.name != "soup.md":
                file.unlink()
        soup = self.root / "requirements/soup.md"
        self.campaigns({})
        text = re.sub(
            r"^- requirements: .*$", "- requirements: SRS-001", soup.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        soup.write_text(text, encoding="utf-8")
        (self.root / "requirements/small.md").write_text(SMALL_ITEMS, encoding="utf-8")
        for file in (self.root / "hil").glob("test_*.py"):
            file.unlink()
        (self.root / "hil/test_small.py").write_text(SMALL_TESTS, encoding="utf-8")
        self.review()

    def run(self, *arguments: str, secrets: tuple[str, ...] = ()) -> Outcome:
        """Run the devicepipe command in the product's root; `secrets` are what it asks for."""
        reading, writing = os.pipe()
        os.write(writing, "".join(f"{secret}\n" for secret in secrets).encode())
        os.close(writing)
        asked = ("--secrets-fd", str(reading)) if secrets else ()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "devicepipe", *arguments, *asked],
                cwd=self.root,
                env=os.environ | {"COLUMNS": "200"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
                pass_fds=(reading,),
            )
        finally:
            os.close(reading)
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
    """The product, released once as 1.2.3 on two boards of different architectures. Not to be changed."""
    product = make_product(tmp_path_factory.mktemp("released") / "product")
    product.only_boards(*RELEASED_BOARDS)
    product.campaigns({"powercut": 4, "bitflip": 15, "fuzz": 4})
    product.review()
    product.commit("chore: two boards")
    outcome = product.run("release", "1.2.3", "--json")
    assert outcome.code == 0, outcome.err + outcome.out
    return product
