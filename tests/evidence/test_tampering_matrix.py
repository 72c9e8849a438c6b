"""The tampering matrix: each kind of record, in each way that somebody without the keys can spoil it, and the link that is named.

The kinds: a tile and the checkpoint of the log, an attestation, the gate's decision, a waiver, a person's approval, an SBOM, a PDF,
an image, and the metadata of the four TUF roles. The ways: a bit flipped, the record dropped, exchanged for its neighbour or two of
its parts for each other, replaced by the same record of another release that the same keys signed, and altered and signed anew with
a key that nobody trusts. Whatever is not listed below as impossible is tried, and all of it is detected.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from devicepipe.approval.accounts import Accounts
from devicepipe.approval.record import read_record
from devicepipe.distribution.client import open_client
from devicepipe.distribution.state import to_bytes
from devicepipe.errors import BenchError, IntegrityError
from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.verify import verify_log
from devicepipe.evidence.signatures import sign_release
from devicepipe.evidence.verify import verify_bundle
from tests.approval.conftest import CHEAP, Clock
from tests.approval.conftest import PASSWORD as PASSPHRASE
from tests.approval.test_record import PEOPLE, Team
from tests.distribution.publisher import IMAGE, Publisher, parcel, role, setup_of, signed_root, signer
from tests.evidence.ledger.keys import ORIGIN, log_signer
from tests.evidence.ledger.logs import make_log
from tests.evidence.reseal import reseal
from tests.evidence.synthetic_bundle import development_keys, make_bundle
from tests.evidence.test_policy_links import FILE as WAIVER
from tests.evidence.test_policy_links import waived, waiver

KEYS, UNTRUSTED = development_keys(), development_keys(1)
ENTRIES = 300
SETUP = setup_of()
PATH = f"pump/1.0.0/{IMAGE}"


@dataclass(frozen=True)
class Record:
    """A kind of record: its file below a world's folder, a neighbour of its kind, and who checks it."""

    file: str
    neighbour: str
    check: Callable[[Path], object]


def check_bundle(world: Path) -> None:
    verify_bundle(world / "bundle", KEYS.release.public)


def check_approvals(world: Path) -> None:
    read_record(verify_bundle(world / "bundle", KEYS.release.public))


def check_log(world: Path) -> None:
    """With the checkpoint that the auditor kept from last time, as any auditor does."""
    kept = {"kept": (world / "kept-checkpoint").read_bytes()}
    verify_log(world / "log", Trust((log_signer().key.public,), ORIGIN), earlier=kept, processes=1)


def check_repository(world: Path) -> None:
    """As a client that has seen the state before."""
    with open_client(world / "trust", (world / "repository").as_uri()) as client:
        client.refresh()
        target = client.find(PATH)
        assert target is not None
        client.download(target, world / "downloaded")


RECORDS = {
    "log tile": Record("log/tile/0/000", "log/tile/entries/000", check_log),
    "log entries": Record("log/tile/entries/000", "log/tile/0/000", check_log),
    "checkpoint": Record("log/checkpoint", "kept-checkpoint", check_log),
    "attestation": Record(
        "bundle/attestations/alpha/build.dsse.json", "bundle/attestations/alpha/test.dsse.json", check_bundle
    ),
    "decision": Record("bundle/attestations/gate.dsse.json", "bundle/attestations/source.dsse.json", check_bundle),
    "waiver": Record(f"bundle/{WAIVER}", "bundle/evidence/policy/basic.toml", check_bundle),
    "approval": Record("bundle.signatures/0002.dsse.json", "bundle.signatures/0003.dsse.json", check_approvals),
    "SBOM": Record("bundle/evidence/alpha/sbom.cdx.json", "bundle/evidence/build-sbom.cdx.json", check_bundle),
    "PDF": Record("bundle/documents/report.pdf", "bundle/documents/index.pdf", check_bundle),
    "image": Record("bundle/images/alpha/application.signed.bin", "bundle/images/alpha/table.signed.bin", check_bundle),
    "TUF root": Record("repository/metadata/2.root.json", "repository/metadata/1.root.json", check_repository),
    "TUF targets": Record("repository/metadata/4.targets.json", "repository/metadata/3.targets.json", check_repository),
    "TUF snapshot": Record(
        "repository/metadata/4.snapshot.json", "repository/metadata/3.snapshot.json", check_repository
    ),
    "TUF timestamp": Record(
        "repository/metadata/timestamp.json", "repository/metadata/4.snapshot.json", check_repository
    ),
}
WAYS = ("flipped", "dropped", "reordered", "replayed", "signed anew")


def make_world(folder: Path, version: str, *, of: str) -> Path:
    """A release with a waiver, its approvals, a log, and a repository that it was published in."""
    folder.mkdir()
    spoil = waived(waiver(made_on=f"2026-02-01T00:00:0{len(of)}Z"))
    spoil = type(spoil)(
        edit=spoil.edit,
        files={
            **spoil.files,
            "documents/index.pdf": b"%PDF-1.7 the index",
            "documents/report.pdf": f"%PDF-1.7 of {of}".encode(),
        },
    )
    made = make_bundle(folder, version=version, spoil=spoil)
    clock = Clock()
    accounts = Accounts(f"sqlite:///{folder}/accounts.sqlite", CHEAP, clock)
    uris = {
        name: accounts.add(name, shown, f"{name}@example.com", roles, PASSPHRASE)
        for name, (shown, roles) in PEOPLE.items()
    }
    Team(accounts, clock, verify_bundle(made.path, KEYS.release.public), uris).approve()
    accounts.dispose()
    make_log(folder / "log", ENTRIES, of=of)
    make_log(folder / "earlier-log", 100, of=of)
    shutil.copy(folder / "earlier-log/checkpoint", folder / "kept-checkpoint")
    _publish(folder, of)
    return folder


def _publish(folder: Path, of: str) -> None:
    """Two releases, a client that has seen the first one, and a root with another key of the timestamp."""
    publisher = Publisher(folder, SETUP).create()
    publisher.publish(parcel(files={IMAGE: f"the factory image of {of}".encode()}))
    with open_client(folder / "trust", (folder / "repository").as_uri(), publisher.root) as client:
        client.refresh()
    publisher.publish(parcel("1.1.0"))
    publisher.setup = SETUP | {"timestamp": role(signer())}
    following = signed_root(publisher.setup, 2)
    publisher.repository.rotate(publisher.root, following, broken=True)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases by the same keys. Each record of ours holds."""
    folder = tmp_path_factory.mktemp("worlds")
    make_world(folder / "ours", "1.2.3", of="pump")
    make_world(folder / "other", "1.2.4", of="other")
    for record in RECORDS.values():
        record.check(shutil.copytree(folder / "ours", folder / "checked", dirs_exist_ok=True))
    return folder


# --- the ways


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def reorder(path: Path, neighbour: Path) -> None:
    here, there = path.read_bytes(), neighbour.read_bytes()
    assert here != there
    path.write_bytes(there)
    neighbour.write_bytes(here)


def reorder_hashes(path: Path) -> None:
    """The first two hashes of a tile."""
    data = path.read_bytes()
    path.write_bytes(data[32:64] + data[:32] + data[64:])


def reorder_entries(path: Path) -> None:
    """The first two entries of a bundle of them: each has its length before it, in two bytes."""
    data = path.read_bytes()
    first = 2 + int.from_bytes(data[:2])
    second = first + 2 + int.from_bytes(data[first : first + 2])
    path.write_bytes(data[first:second] + data[:first] + data[second:])


def spoil(world: Path, other: Path, kind: str, way: str) -> None:
    record = RECORDS[kind]
    path = world / record.file
    if way == "flipped":
        flip(path)
    elif way == "dropped":
        path.unlink()
    elif way == "replayed":
        path.write_bytes((other / record.file).read_bytes())
    elif way == "reordered":
        within = {"log tile": reorder_hashes, "log entries": reorder_entries}.get(kind)
        within(path) if within else reorder(path, world / record.neighbour)
    else:
        sign_anew(world, kind, path)


def sign_anew(world: Path, kind: str, path: Path) -> None:
    """Alter the record, and sign what it rests on with a key that nobody trusts."""
    if kind.startswith("log") or kind == "checkpoint":
        entries = ENTRIES if kind == "checkpoint" else ENTRIES + 1
        shutil.rmtree(world / "log")
        make_log(world / "log", entries, signer=log_signer(1), of="mallory")
    elif kind == "approval":
        bundle = verify_bundle(world / "bundle", KEYS.release.public)
        given = read_record(bundle).signatures[1].signature
        altered = given.model_copy(update={"meaning": "I have read nothing"})
        pair = UNTRUSTED.release
        path.write_bytes(sign_release(altered, bundle.sha256("release.json"), pair.signer, pair.public))
    elif kind.startswith("TUF"):
        metadata = Metadata[Any].from_bytes(path.read_bytes())
        metadata.signed.expires += timedelta(days=1)
        metadata.sign(CryptoSigner.generate_ed25519())
        path.write_bytes(to_bytes(metadata))
    else:
        path.write_bytes(path.read_bytes() + b" ")
        reseal(world / "bundle", UNTRUSTED.release)


SEALED = "release.json.dsse"
NAMED = {
    # Where another link than the record's own file is named, and it should be.
    ("log tile", "signed anew"): "checkpoint",
    ("log entries", "signed anew"): "checkpoint",
    ("checkpoint", "reordered"): "kept",
    # Which the key of the next root signed, and not that of the other publication's by the same root keys.
    ("TUF root", "dropped"): "timestamp.json",
    ("TUF root", "replayed"): "timestamp.json",
    # Both do not hold, and the first one is named.
    ("waiver", "reordered"): "evidence/policy/basic.toml",
    ("PDF", "reordered"): "documents/index.pdf",
    **dict.fromkeys(((kind, "signed anew") for kind in RECORDS if RECORDS[kind].check is check_bundle), SEALED),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", RECORDS)
def test_whatever_is_done_to_a_record_is_detected_and_named(worlds: Path, tmp_path: Path, kind: str, way: str) -> None:
    record = RECORDS[kind]
    world = shutil.copytree(worlds / "ours", tmp_path / "world")
    spoil(world, worlds / "other", kind, way)
    if way == "dropped" and kind in ("TUF targets", "TUF snapshot", "TUF timestamp"):
        # A client cannot tell what is withheld from what a network lost: it names it, and takes nothing.
        with pytest.raises(BenchError, match=re.escape(Path(record.file).name)):
            record.check(world)
        return
    with pytest.raises(IntegrityError) as caught:
        record.check(world)
    assert caught.value.link == NAMED.get((kind, way), link_of(record.file))


def link_of(file: str) -> str:
    """How a check calls the record's file."""
    if file.startswith("repository/"):
        return f"{file.rpartition('/')[2].removesuffix('.json').rpartition('.')[2]}.json"
    return file.partition("/")[2]
