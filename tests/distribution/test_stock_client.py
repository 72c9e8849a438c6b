"""The stock client of python-tuf, unchanged, over HTTP: takes what was published, and refuses everything else.

Metadata that an attacker could not sign are made here with the real keys, so that nothing but the one fault is wrong with them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Snapshot, Timestamp

from devicepipe.distribution.state import meta_of
from tests.distribution.publisher import (
    IMAGE,
    Publisher,
    parcel,
    role,
    served,
    setup_of,
    signed_root,
    signer,
    stock_client,
)

PATH = f"pump/1.0.0/{IMAGE}"


def fetch(url: str, folder: Path, root: bytes | None, path: str = PATH) -> bytes:
    client = stock_client(url, folder, root)
    target = client.get_targetinfo(path)
    assert target is not None
    return Path(client.download_target(target)).read_bytes()


def metadata(publisher: Publisher) -> Path:
    return publisher.folder / "repository/metadata"


def put_back(publisher: Publisher, kept: Path) -> None:
    """The whole repository as it was when it was kept."""
    shutil.rmtree(publisher.folder / "repository")
    shutil.copytree(kept, publisher.folder / "repository")


def keep(publisher: Publisher, tmp_path: Path) -> Path:
    return shutil.copytree(publisher.folder / "repository", tmp_path / "kept")


def test_takes_what_was_published(publisher: Publisher, url: str, tmp_path: Path) -> None:
    publisher.publish(parcel())
    publisher.publish(parcel("1.1.0"))
    client = tmp_path / "client"
    assert fetch(url, client, publisher.root) == b"the factory image of 1.0.0"
    assert fetch(url, client, None, f"pump/1.1.0/{IMAGE}") == b"the factory image of 1.1.0"


def test_takes_a_version_with_a_build_number(publisher: Publisher, url: str, tmp_path: Path) -> None:
    publisher.publish(parcel("1.0.0+7"))
    assert fetch(url, tmp_path / "client", publisher.root, f"pump/1.0.0_7/{IMAGE}") == b"the factory image of 1.0.0+7"


def test_finds_no_image_of_a_withdrawn_release(publisher: Publisher, url: str, tmp_path: Path) -> None:
    publisher.publish(parcel())
    publisher.publish(parcel(state="withdrawn"))
    client = stock_client(url, tmp_path / "client", publisher.root)
    assert client.get_targetinfo(PATH) is None
    statement = client.get_targetinfo("pump/1.0.0/release/release.json")
    assert statement is not None
    assert statement.custom["devicepipe"]["state"] == "withdrawn"


@pytest.mark.parametrize("role_", ["root", "targets", "snapshot", "timestamp"])
def test_refuses_expired_metadata(tmp_path: Path, role_: str) -> None:
    publisher = Publisher(tmp_path)
    lasting = {"root": 365, "targets": 90, "snapshot": 90, "timestamp": 90} | {role_: 1}
    publisher.setup = {
        name: role(*one.signers, threshold=one.threshold, days=lasting[name]) for name, one in publisher.setup.items()
    }
    publisher.clock.now -= timedelta(days=2)
    publisher.root = signed_root(publisher.setup, now=publisher.clock.now)
    publisher.create().publish(parcel())
    with (
        served(tmp_path / "repository") as url,
        pytest.raises(ExpiredMetadataError, match=role_),
    ):
        fetch(url, tmp_path / "client", publisher.root)


def test_takes_it_again_once_it_was_renewed(publisher: Publisher, url: str, tmp_path: Path) -> None:
    publisher.clock.now -= timedelta(days=80)
    publisher.publish(parcel())
    with pytest.raises(ExpiredMetadataError, match="timestamp"):
        fetch(url, tmp_path / "client", publisher.root)
    publisher.clock.now += timedelta(days=80)
    assert publisher.repository.renew(publisher.root) == ("targets", "snapshot", "timestamp")
    assert fetch(url, tmp_path / "client", publisher.root) == b"the factory image of 1.0.0"


def test_refuses_all_of_it_put_back(publisher: Publisher, url: str, tmp_path: Path) -> None:
    publisher.publish(parcel())
    kept = keep(publisher, tmp_path)
    publisher.publish(parcel(state="withdrawn"))
    stock_client(url, tmp_path / "client", publisher.root).refresh()
    put_back(publisher, kept)
    with pytest.raises(BadVersionNumberError, match="timestamp version"):
        fetch(url, tmp_path / "client", None)


@pytest.mark.parametrize("role_", ["targets", "snapshot"])
def test_refuses_one_role_put_back(publisher: Publisher, url: str, tmp_path: Path, role_: str) -> None:
    """Mixed: the newest timestamp, and older metadata under the name of the newer ones."""
    publisher.publish(parcel())
    publisher.publish(parcel("1.1.0"))
    shutil.copy(metadata(publisher) / f"2.{role_}.json", metadata(publisher) / f"3.{role_}.json")
    with pytest.raises(LengthOrHashMismatchError):
        fetch(url, tmp_path / "client", publisher.root)


def test_refuses_metadata_of_two_states_by_the_real_keys(publisher: Publisher, url: str, tmp_path: Path) -> None:
    """Mixed, by whoever has the keys of snapshot and timestamp: a later snapshot that names earlier targets."""
    publisher.publish(parcel())
    publisher.publish(parcel(state="withdrawn"))
    stock_client(url, tmp_path / "client", publisher.root).refresh()
    repository = publisher.repository
    state = repository.state(publisher.root)
    earlier = (metadata(publisher) / "2.targets.json").read_bytes()
    snapshot = Snapshot(version=4, meta={"targets.json": meta_of(earlier, 2)})
    data = repository._signed(state.root, "snapshot", snapshot).data
    (metadata(publisher) / "4.snapshot.json").write_bytes(data)
    timestamp = Timestamp(version=4, snapshot_meta=meta_of(data, 4))
    (metadata(publisher) / "timestamp.json").write_bytes(repository._signed(state.root, "timestamp", timestamp).data)
    with pytest.raises(BadVersionNumberError, match=r"targets\.json version"):
        fetch(url, tmp_path / "client", None)


@pytest.mark.parametrize("role_", ["root", "targets", "snapshot", "timestamp"])
def test_refuses_metadata_that_too_few_keys_signed(tmp_path: Path, role_: str) -> None:
    publisher = Publisher(tmp_path, setup_of(**{role_: role(*(signer() for _ in range(3)), threshold=2)})).create()
    publisher.publish(parcel())
    name = {"root": "1.root.json", "timestamp": "timestamp.json"}.get(role_, f"2.{role_}.json")
    file = metadata(publisher) / name
    parsed = json.loads(file.read_bytes())
    assert len(parsed["signatures"]) == 3
    parsed["signatures"] = parsed["signatures"][:1]
    root = json.dumps(parsed).encode() if role_ == "root" else publisher.root
    _rehash(publisher, file, json.dumps(parsed).encode())
    with served(tmp_path / "repository") as url, pytest.raises(UnsignedMetadataError, match="signed by 1/2"):
        fetch(url, tmp_path / "client", root)


def _rehash(publisher: Publisher, file: Path, data: bytes) -> None:
    """Bring other bytes of a role's metadata in, with the metadata above it signed anew to name them."""
    repository, folder = publisher.repository, metadata(publisher)
    state = repository.state(publisher.root)
    file.write_bytes(data)
    if file.name.endswith("targets.json"):
        snapshot = Snapshot(version=2, meta={"targets.json": meta_of(data, 2)})
        file, data = folder / "2.snapshot.json", repository._signed(state.root, "snapshot", snapshot).data
        file.write_bytes(data)
    if file.name.endswith("snapshot.json"):
        timestamp = Timestamp(version=2, snapshot_meta=meta_of(data, 2))
        (folder / "timestamp.json").write_bytes(repository._signed(state.root, "timestamp", timestamp).data)


def test_refuses_metadata_by_another_key(publisher: Publisher, url: str, tmp_path: Path) -> None:
    publisher.publish(parcel())
    (tmp_path / "other").mkdir()
    other = Publisher(tmp_path / "other").create()
    other.publish(parcel())
    shutil.copy(metadata(other) / "timestamp.json", metadata(publisher) / "timestamp.json")
    with pytest.raises(UnsignedMetadataError, match="timestamp was signed by 0/1"):
        fetch(url, tmp_path / "client", publisher.root)


FAULTS: dict[str, tuple[Callable[[bytes], bytes], type[Exception]]] = {
    "flipped": (lambda data: data[:-1] + bytes([data[-1] ^ 1]), LengthOrHashMismatchError),
    "cut": (lambda data: data[:-1], LengthOrHashMismatchError),
    "longer": (lambda data: data + b"!", DownloadLengthMismatchError),
    "of-another-release": (lambda data: data.replace(b"1.0.0", b"1.1.0"), LengthOrHashMismatchError),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refuses_a_file_of_other_length_or_digest(publisher: Publisher, url: str, tmp_path: Path, fault: str) -> None:
    publisher.publish(parcel())
    spoil, error = FAULTS[fault]
    (file,) = (publisher.folder / "repository/targets/pump/1.0.0/images/alpha").glob("*.factory.hex")
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(error):
        fetch(url, tmp_path / "client", publisher.root)
    assert not [*(tmp_path / "client/files").iterdir()]


@pytest.mark.parametrize("name", ["2.targets.json", "2.snapshot.json", "timestamp.json"])
@pytest.mark.parametrize("how", ["flipped", "dropped"])
def test_refuses_altered_and_missing_metadata(
    publisher: Publisher, url: str, tmp_path: Path, name: str, how: str
) -> None:
    publisher.publish(parcel())
    file = metadata(publisher) / name
    data = file.read_bytes()
    file.unlink() if how == "dropped" else file.write_bytes(data.replace(b'"version":2', b'"version":3'))
    with pytest.raises((RepositoryError, DownloadHTTPError) if how == "dropped" else RepositoryError):
        fetch(url, tmp_path / "client", publisher.root)


def test_follows_the_root_over_two_rotations_and_refuses_one_that_is_left_out(
    publisher: Publisher, url: str, tmp_path: Path
) -> None:
    publisher.publish(parcel())
    client = tmp_path / "client"
    fetch(url, client, publisher.root)
    first = publisher.root
    for version in (2, 3):
        former = publisher.setup["root"].signers
        publisher.setup["root"] = role(*(signer() for _ in range(3)), threshold=2, days=365)
        following = signed_root(publisher.setup, version, more=former)
        publisher.repository.rotate(publisher.root, following)
        publisher.root = following
    assert fetch(url, client, None) == fetch(url, tmp_path / "new", first) == b"the factory image of 1.0.0"
    shutil.copy(metadata(publisher) / "3.root.json", metadata(publisher) / "2.root.json")
    with pytest.raises(RepositoryError, match="root was signed by 0/2"):
        fetch(url, tmp_path / "third", first)
