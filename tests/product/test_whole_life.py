"""The whole life of a release, through the commands: candidate, rejected, mended, approved, published, keys changed, withdrawn.

All keys are on a token (SoftHSM2), none is for development. Every bundle along the way is verified with no network and without the
project, also after the release key was changed.
"""

from __future__ import annotations

import functools
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from tuf.ngclient import Updater

from devicepipe.approval.accounts import Accounts
from devicepipe.distribution.client import StoreFetcher
from devicepipe.errors import IntegrityError, UsageError
from tests.approval.conftest import Clock
from tests.cli.calls import cheap_passwords, enrol, run
from tests.product.conftest import Product, make_product
from tests.signing.softhsm import Token, softhsm_tokens

TEAM = {
    "eva": (("engineer",), "horse battery staple"),
    "ada": (("engineer", "qa"), "a purple bicycle bell"),
    "ron": (("reviewer",), "quite another phrase"),
    "quinn": (("qa",), "seven blue elephants"),
    "mara": (("release-manager",), "eleven wooden spoons"),
}
IMAGE = "images/microbit/factory.hex"
ROLES = ("root", "targets", "snapshot", "timestamp")


class Life:
    """The product, its team and its token."""

    def __init__(self, product: Product, token: Token, clock: Clock, archive: Path) -> None:
        self.product, self.token, self.clock, self.archive = product, token, clock, archive
        self.people: dict[str, pyotp.TOTP] = {}

    def bundle(self, version: str) -> Path:
        return self.product.root / f"dist/infusion-pump-{version}"

    def public(self, name: str) -> Path:
        """The public half of a new key on the token."""
        path = self.product.root / f"keys/{name}.pub.pem"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.token.make(name).pem)
        return path

    def configure(self) -> None:
        lines = ["[keys]"]
        for name in ("image", "release", "production"):
            self.public(name)
            lines += [f'{name} = "{self.token.uri(name)}"', f'{name}-public = "keys/{name}.pub.pem"']
        for role in ROLES:
            self.public(role)
            key = f'{{ public = "keys/{role}.pub.pem", signer = "{self.token.uri(role)}" }}'
            lines += [f"[publication.{role}]", f"keys = [{key}]"]
        config = self.product.root / "devicepipe.toml"
        config.write_text("\n".join([config.read_text(encoding="utf-8"), *lines, ""]), encoding="utf-8")

    def enrol(self) -> None:
        for who, (roles, word) in TEAM.items():
            self.people[who] = enrol(who, word, *roles, at="example.org")

    def release(self, version: str) -> None:
        done = self.product.run("release", version)
        assert done.code == 0, done.err + done.out

    def sign(self, command: str, version: str, who: str, meaning: str, *options: str) -> Any:
        self.clock.pass_(minutes=20)  # each signs in a session of the own
        secrets = (TEAM[who][1], self.people[who].at(self.clock.now))
        return run(command, self.bundle(version), "--as", who, "--meaning", meaning, *options, secrets=secrets)[1]

    def rotate(self, name: str, new: str) -> None:
        """Have another key on the token take the place of one."""
        public = self.public(new)
        if name == "root":
            self.product.edit(
                "devicepipe.toml",
                "[publication.root]\nkeys = [",
                f'[publication.root]\nkeys = [{{ public = "keys/{new}.pub.pem", signer = "{self.token.uri(new)}" }}, ',
            )
            run("repository", "rotate")
        else:
            run("keys", "rotate", name, "--signer", self.token.uri(new), "--public", public, "--reason", "Once a year")
            self.product.edit("devicepipe.toml", f'"{self.token.uri(name)}"', f'"{self.token.uri(new)}"')
            self.product.edit("devicepipe.toml", f'"keys/{name}.pub.pem"', f'"keys/{new}.pub.pem"')
        self.product.commit(f"chore: another key for {name}")

    def keep(self, version: str) -> None:
        """What an auditor takes away: the bundle, what people signed, what ships."""
        for folder in self.bundle(version).parent.glob(f"{self.bundle(version).name}*"):
            shutil.copytree(folder, self.archive / folder.name, dirs_exist_ok=True)

    def states(self, key: Path, *options: object) -> dict[str, str]:
        """Verify every bundle of the archive, with nothing but a public key; the state of each."""
        bundles = [path for path in sorted(self.archive.iterdir()) if (path / "release.json").is_file()]
        return {
            path.name.removeprefix("infusion-pump-"): run("verify", path, "--key", key, *options)[1]["approval"][
                "state"
            ]
            for path in bundles
        }


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    product = make_product(tmp_path / "product")
    clock = Clock()
    (tmp_path / "archive").mkdir()
    with softhsm_tokens(tmp_path / "token") as tokens:
        made = Life(product, tokens.make("life"), clock, tmp_path / "archive")
        product.make_small()
        made.configure()
        product.commit("chore: small, with keys on a token")
        monkeypatch.chdir(product.root)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        cheap_passwords(monkeypatch)
        monkeypatch.setattr("devicepipe.stages.approval.Accounts", functools.partial(Accounts, now=clock))
        made.enrol()
        product.commit("chore: who may sign")
        yield made


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("somebody asked for the network")

    def cut() -> None:
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    return cut


class Stock:
    """The client of python-tuf, which began with the root of the day of the first publication."""

    def __init__(self, life: Life) -> None:
        self.folder = life.archive.parent / "stock"
        self.folder.mkdir()
        self.base = (life.product.root / "dist/repository").as_uri()
        self.root = (life.product.root / "publication/root.json").read_bytes()

    def find(self, path: str) -> bytes | None:
        """The file that the newest metadata name; None where they name none."""
        where = (str(self.folder), f"{self.base}/metadata/", str(self.folder), f"{self.base}/targets/")
        client = Updater(*where, StoreFetcher(self.base), bootstrap=self.root)
        client.refresh()
        target = client.get_targetinfo(path)
        return Path(client.download_target(target)).read_bytes() if target else None


def test_rejected_mended_approved_published_withdrawn_under_changed_keys(
    life: Life, offline: Callable[[], None]
) -> None:
    # A candidate, which QA rejects.
    life.release("1.0.0")
    life.sign("submit", "1.0.0", "eva", "Ready for review")
    life.sign("approve", "1.0.0", "ron", "I have reviewed the verification report")
    assert life.sign("reject", "1.0.0", "quinn", "The status tells too little")["state"] == "draft"
    life.keep("1.0.0")

    # It is mended by somebody who may not approve it then; two others do.
    life.product.edit("requirements/small.md", "The pump says what it does.", "The pump says what it does, at once.")
    life.product.review()
    life.product.git("config", "user.email", "ada@example.org")
    life.product.commit("fix: the status tells all")
    life.release("1.0.1")
    life.sign("submit", "1.0.1", "eva", "Ready for review")
    with pytest.raises(UsageError, match="ada is an author of the change"):
        life.sign("approve", "1.0.1", "ada", "I approve what I wrote", "--role", "qa")
    life.sign("approve", "1.0.1", "ron", "I have reviewed the verification report")
    with pytest.raises(UsageError, match="has approved it already"):
        life.sign("approve", "1.0.1", "ron", "Twice is better")
    with pytest.raises(UsageError, match="the release is a candidate"):
        run("production", life.bundle("1.0.1"))
    assert life.sign("approve", "1.0.1", "quinn", "I approve the release")["state"] == "approved"

    # The key of the token signs what ships, and a release manager publishes it.
    assert run("production", life.bundle("1.0.1"))[1]["made"] is True
    run("repository", "init")
    stock = Stock(life)
    assert life.sign("publish", "1.0.1", "mara", "Released to the field")["state"] == "released"
    factory = (life.bundle("1.0.1").with_name("infusion-pump-1.0.1.production") / IMAGE).read_bytes()
    assert stock.find(f"infusion-pump/1.0.1/{IMAGE}") == factory
    life.keep("1.0.1")
    first = life.product.root / "keys/release.pub.pem"
    assert life.states(first) == {"1.0.0": "draft", "1.0.1": "released"}

    # Other keys come in: that of releases, and that of the repository's root.
    life.rotate("release", "release-b")
    life.rotate("root", "root-b")
    assert stock.find(f"infusion-pump/1.0.1/{IMAGE}") == factory

    # It is withdrawn, under the new keys.
    assert life.sign("unpublish", "1.0.1", "quinn", "Field report 7: alarms without cause")["state"] == "withdrawn"
    assert stock.find(f"infusion-pump/1.0.1/{IMAGE}") is None
    life.keep("1.0.1")

    # Years later: an archive, a public key and the history of the keys, and nothing else.
    shutil.copytree(life.product.root / "keys/history", life.archive / "key-history")
    second = Path(shutil.copy(life.product.root / "keys/release-b.pub.pem", life.archive))
    first = Path(shutil.copy(first, life.archive))
    shutil.rmtree(life.product.root / ".devicepipe")
    offline()
    history = ("--history", life.archive / "key-history")
    assert life.states(second, *history) == {"1.0.0": "draft", "1.0.1": "withdrawn"}
    with pytest.raises(IntegrityError):
        life.states(second)
