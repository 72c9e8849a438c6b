"""What ships of the reference product: from an approved release, under a key on a token, on a device that refuses the bench's.

One small release is made and approved once; each test looks at it, and puts back what it spoilt.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
import pytest

from devicepipe.bench.device import Device
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.spec import SessionSpec
from devicepipe.cli.progress import make_progress
from devicepipe.errors import IntegrityError, ProductError, UsageError
from devicepipe.evidence.predicates import ImageSigning
from devicepipe.evidence.production import PRODUCTION_KEY, Start, production_folder, verify_production
from devicepipe.evidence.results import TestResult
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from devicepipe.pipeline.production import make_production
from devicepipe.project.config import load_project
from devicepipe.signing.image import verify_image
from devicepipe.signing.keys import PublicKey
from devicepipe.stages import production as stage
from devicepipe.stages.context import open_keys
from tests.cli.calls import TEAM, WORDS, cheap_passwords, enrol, run, sign
from tests.evidence.synthetic_bundle import production_pair
from tests.product.conftest import Product, make_product
from tests.signing.softhsm import Token, softhsm_tokens

BOARD = "microbit"


@dataclass(frozen=True)
class Released:
    """The product, its release, and the token that holds the production key."""

    product: Product
    bundle: VerifiedBundle
    token: Token
    authenticators: dict[str, pyotp.TOTP]

    @property
    def folder(self) -> Path:
        return production_folder(self.bundle.folder)

    def make(self) -> bool:
        """Make what ships; whether it was made now."""
        project = load_project(self.product.root / "devicepipe.toml")
        return make_production(project, self.bundle, progress=make_progress(quiet=True), cancel=threading.Event())[1]

    def approve(self) -> None:
        for command, who in (("submit", "eva"), ("approve", "ron"), ("approve", "quinn")):
            sign(command, self.bundle.folder, who, WORDS[who], self.authenticators[who].now())


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    product = make_product(tmp_path_factory.mktemp("production") / "product")
    with pytest.MonkeyPatch.context() as patch, softhsm_tokens(tmp_path_factory.mktemp("token")) as tokens:
        token = tokens.make("production")
        public = token.make("image")
        product.make_small()
        (product.root / "keys").mkdir()
        (product.root / "keys/production.pub.pem").write_bytes(public.pem)
        config = product.root / "devicepipe.toml"
        keys = f'[keys]\nproduction = "{token.uri("image")}"\nproduction-public = "keys/production.pub.pem"\n'
        config.write_text(config.read_text(encoding="utf-8") + keys, encoding="utf-8")
        product.commit("chore: small, and a production key")
        done = product.run("release", "1.0.0")
        assert done.code == 0, done.err + done.out
        patch.chdir(product.root)
        cheap_passwords(patch)
        authenticators = {who: enrol(who, WORDS[who], role) for who, role in TEAM.items()}
        project = load_project(config)
        bundle = verify_bundle(product.root / "dist/infusion-pump-1.0.0", open_keys(project).release.public)
        released = Released(product, bundle, token, authenticators)
        with pytest.raises(UsageError, match="the release is a draft: only an approved one"):
            released.make()
        released.approve()
        yield released


@pytest.fixture
def released(context: Released) -> Iterator[Released]:
    """The approved release, of which nothing ships yet."""
    shutil.rmtree(context.folder, ignore_errors=True)
    yield context
    assert [path.name for path in context.folder.parent.glob(f".{context.folder.name}-*")] == []


def test_what_was_tested_ships_under_the_production_key(released: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries: list[str] = []

    def accepted(device: Device, console: SerialLog, spec: SessionSpec) -> Start:
        started = good(device, console, spec)
        libraries.append(device.command("library"))
        return started

    good = stage._accepted
    monkeypatch.setattr(stage, "_accepted", accepted)
    code, told = run("production", released.bundle.folder)
    assert (code, told["made"]) == (0, True)
    # The drug library too is signed with the production key, and the application takes it.
    assert [line.startswith("OK library version=1.0.0+0 ") for line in libraries] == [True, True], libraries
    found = verify_production(released.bundle)
    key = PublicKey.load(released.product.root / "keys/production.pub.pem")
    assert found.production_key == key
    tested = released.bundle.predicate(TestResult, BOARD).devicepipe
    image = verify_image(found.folder / f"images/{BOARD}/application.signed.bin", key)
    assert (image.payload_digest, image.image_digest) == (tested.payload_digest, tested.image_digest)
    board = found.production.board(BOARD)
    first, refused, second = board.starts
    assert f" digest={tested.image_digest} key=production " in first.line
    assert (second.line, refused.line) == (first.line, "boot: refused unknown-key")
    log = found.read(board.serial_log).decode()
    assert log.count(f"key=production keyhash={key.keyid[:16]}") >= 3
    assert "key=development" not in log
    # Nothing is made twice, and what is there is only looked at.
    before = {path: path.stat().st_mtime_ns for path in found.folder.rglob("*")}
    assert run("production", released.bundle.folder)[1]["made"] is False
    assert {path: path.stat().st_mtime_ns for path in found.folder.rglob("*")} == before
    uses = [
        one for one in run("log", "show", "--kind", "key-use")[1] if one["details"]["purpose"] == "production image"
    ]
    assert [one["digest"] for one in uses] == [found.sha256(one.image) for one in board.images]
    public = released.product.root / ".devicepipe/keys/release.pub.pem"
    told = run("verify", released.bundle.folder, "--key", public)[1]["production"]
    assert told["boards"] == {BOARD: board.shipped}
    # A flipped byte is found by the same command.
    path = found.folder / board.factory_image
    path.write_bytes(path.read_bytes().replace(b"A", b"B", 1))
    with pytest.raises(IntegrityError) as caught:
        run("verify", released.bundle.folder, "--key", public)
    assert caught.value.link == board.factory_image
    with pytest.raises(IntegrityError):
        released.make()


def test_the_production_bootloader_differs_from_the_tested_one_in_44_bytes_at_most(released: Released) -> None:
    """32 of the key and 12 of its kind, at the end of the bootloader's region: seen with nothing of ours but a HEX reader."""
    from intelhex import IntelHex

    released.make()
    name = f"images/{BOARD}/bootloader.hex"
    ours, theirs = (IntelHex(str(folder / name)).todict() for folder in (released.folder, released.bundle.folder))
    differing = {at for at in ours if ours[at] != theirs.get(at)}
    assert ours.keys() == theirs.keys()
    assert differing <= set(range(0x7FC0, 0x7FEC))
    assert len(differing) > 32


def test_a_bootloader_that_was_built_otherwise_does_not_ship(
    released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = stage._inputs
    monkeypatch.setattr(stage, "_inputs", lambda *given: _replaced(good(*given), version="1.0.1"))
    with pytest.raises(IntegrityError, match="differs from the tested bootloader in more than the key: first at 0x"):
        released.make()
    assert not released.folder.exists()


def test_a_device_that_starts_what_must_be_refused_does_not_ship(
    released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image that it shall refuse is one of the production key."""
    good, shipped = stage._refused, stage.sign_production_images
    images: list[Path] = []

    def signed(shipping: stage.Shipping, board: Any) -> None:
        shipped(shipping, board)
        images.append(shipping.images[board.name]["application"].path)

    monkeypatch.setattr("devicepipe.pipeline.production.sign_production_images", signed)
    monkeypatch.setattr(stage, "_refused", lambda device, console, _: good(device, console, images[0].read_bytes()))
    with pytest.raises(ProductError, match="starts an image that the bench signed"):
        released.make()
    assert not released.folder.exists()


def test_a_device_with_the_bootloader_of_the_bench_does_not_start_what_ships(
    released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = released.bundle.path(f"images/{BOARD}/bootloader.hex")
    monkeypatch.setattr(stage, "check_other_key", lambda *_: [])
    monkeypatch.setattr(stage, "_bootloader", lambda _: tested)
    with pytest.raises(ProductError, match="does not start the factory image: 'boot: refused unknown-key'"):
        released.make()
    assert not released.folder.exists()


def test_another_payload_than_the_tested_one_does_not_ship(released: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    read = VerifiedBundle.read

    def other(self: VerifiedBundle, name: str) -> bytes:
        data = read(self, name)
        return data[:-1] + bytes([data[-1] ^ 1]) if name == f"images/{BOARD}/application.bin" else data

    monkeypatch.setattr(VerifiedBundle, "read", other)
    with pytest.raises(IntegrityError, match="is not the payload that was tested under another key"):
        released.make()


def test_a_payload_that_holds_the_key_of_the_bench_does_not_ship(
    released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = VerifiedBundle.read
    signing = released.bundle.predicate(ImageSigning, BOARD)
    bench = bytes.fromhex(signing.key.keyid)

    def other(self: VerifiedBundle, name: str) -> bytes:
        return read(self, name) + (bench if name == f"images/{BOARD}/application.bin" else b"")

    monkeypatch.setattr(VerifiedBundle, "read", other)
    with pytest.raises(ProductError, match="it holds the key of the bench"):
        released.make()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("production = ", "# ", "no production key is configured"),
        ("keys/production.pub.pem", "keys/other.pub.pem", "who approved the release approved that key"),
        ("object=image", "object=nothing", "."),
    ],
)
def test_a_production_key_that_is_not_the_released_one_signs_nothing(
    released: Released, old: str, new: str, why: str
) -> None:
    config, other = released.product.root / "devicepipe.toml", released.product.root / "keys/other.pub.pem"
    text = config.read_text(encoding="utf-8")
    other.write_bytes(production_pair().public.pem)
    try:
        config.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(UsageError, match=why):
            released.make()
    finally:
        config.write_text(text, encoding="utf-8")
        other.unlink()
    assert not released.folder.exists()


@pytest.mark.parametrize("after", ["build", "sign", "start"])
def test_whoever_is_killed_runs_it_again(released: Released, after: str) -> None:
    """kill -9 in each step leaves nothing that could be taken for the whole."""
    running = subprocess.Popen(
        [sys.executable, "-m", "devicepipe", "production", str(released.bundle.folder)],
        cwd=released.product.root,
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    for line in running.stderr:
        if f"{after} {BOARD}" in line:
            break
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    assert not released.folder.exists()
    assert released.make() is True
    verify_production(released.bundle)


@pytest.mark.parametrize("step", ["attest_production", "sync_tree", "ledger.append", "sync"])
def test_an_end_at_any_step_leaves_the_whole_or_nothing(
    released: Released, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The process ends right before the step; `sync` of the parent folder comes after the rename."""

    class Ended(BaseException):
        pass

    def end(*given: object) -> None:
        if step != "sync" or given == (released.folder.parent,):
            raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(f"devicepipe.pipeline.production.{step}", end)
        with pytest.raises(Ended):
            released.make()
    if step == "sync":
        verify_production(released.bundle)
        assert released.make() is False
    else:
        assert not released.folder.exists()


def test_the_key_in_the_folder_is_the_one_of_the_commit(released: Released) -> None:
    released.make()
    committed = released.product.git("show", "HEAD:keys/production.pub.pem") + "\n"
    assert (released.folder / PRODUCTION_KEY).read_text() == committed
    assert hashlib.sha256(committed.encode()).hexdigest() == verify_production(released.bundle).sha256(PRODUCTION_KEY)


def _replaced(inputs: Any, **changes: Any) -> Any:
    import dataclasses

    return dataclasses.replace(inputs, **changes)
