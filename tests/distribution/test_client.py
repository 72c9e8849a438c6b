"""The folder of trust and what is fetched from where: interrupted, tampered with, shared, or not there."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from devicepipe.distribution.client import FIRST_ROOT, open_client
from devicepipe.errors import BenchError, IntegrityError, UsageError
from tests.distribution.publisher import IMAGE, Publisher, parcel, served, setup_of, signed_root
from tests.killing import killed_at, points_of

PATH = f"pump/1.0.0/{IMAGE}"


@pytest.fixture
def place(publisher: Publisher) -> str:
    publisher.publish(parcel())
    return publisher.repository.store.url


def fetch(place: str, tmp_path: Path, root: bytes | None) -> bytes:
    with open_client(tmp_path / "trust", place, root) as client:
        client.refresh()
        target = client.find(PATH)
        assert target is not None
        return client.download(target, tmp_path / "got").read_bytes()


def test_by_folder_and_by_http(place: str, url: str, publisher: Publisher, tmp_path: Path) -> None:
    assert fetch(place, tmp_path / "a", publisher.root) == fetch(url, tmp_path / "b", publisher.root)
    assert fetch(place, tmp_path / "a", None) == b"the factory image of 1.0.0"


def test_a_root_is_compared_with_those_that_were_trusted(place: str, publisher: Publisher, tmp_path: Path) -> None:
    first, second = publisher.root, signed_root(publisher.setup, 2)
    fetch(place, tmp_path, first)
    with pytest.raises(UsageError, match="is not of the roots that were trusted"):
        fetch(place, tmp_path, second)  # nobody has published it
    publisher.repository.rotate(first, second)
    fetch(place, tmp_path, None)
    fetch(place, tmp_path, second)
    with pytest.raises(UsageError, match="is not of the roots that were trusted"):
        fetch(place, tmp_path, signed_root(setup_of()))


@pytest.mark.parametrize("spoil", [b"", b"{}", b"[" * 100_000, b'{"signed": {"_type": "root"}, "signatures": []}'])
def test_what_is_no_root_begins_no_trust(place: str, publisher: Publisher, tmp_path: Path, spoil: bytes) -> None:
    with pytest.raises(IntegrityError, match="is no TUF metadata"):
        fetch(place, tmp_path, spoil)
    assert fetch(place, tmp_path, publisher.root) == b"the factory image of 1.0.0"


def test_an_unsigned_root_begins_no_trust(place: str, publisher: Publisher, tmp_path: Path) -> None:
    root = publisher.root.replace(b'"sig":"', b'"sig":"ff')
    with pytest.raises(IntegrityError, match="is signed by 0 of its own keys, 2 must"):
        fetch(place, tmp_path, root)


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot.json", "targets.json", "root.json", "root_history"])
@pytest.mark.parametrize("how", ["torn", "dropped"])
def test_trust_that_was_torn_or_lost_is_taken_up_again(
    place: str, publisher: Publisher, tmp_path: Path, name: str, how: str
) -> None:
    """Whatever a client that was killed, or a loss of power, left of what the TUF client keeps."""
    fetch(place, tmp_path, publisher.root)
    file = tmp_path / "trust" / name
    if file.is_dir():
        shutil.rmtree(file)
    elif how == "torn":
        file.write_bytes(file.read_bytes()[:100])
    else:
        file.unlink()
    assert fetch(place, tmp_path, None) == b"the factory image of 1.0.0"


@pytest.mark.parametrize("begun", [False, True])
def test_a_client_is_killed_at_every_step(place: str, publisher: Publisher, tmp_path: Path, begun: bool) -> None:
    """The first time, and when it comes again for something newer: the next one goes on, and knows what was seen."""
    trust, kept = tmp_path / "trust", tmp_path / "kept"
    kept.mkdir()
    if begun:
        fetch(place, tmp_path, publisher.root)
        kept.rmdir()
        trust.rename(kept)
        publisher.publish(parcel("1.1.0"))
    shutil.copytree(kept, trust)
    total = points_of(lambda: fetch(place, tmp_path, publisher.root))
    assert total > 10
    for point in range(total):
        shutil.rmtree(trust)
        shutil.copytree(kept, trust)
        killed_at(lambda: fetch(place, tmp_path, publisher.root), point)
        again = None if (trust / FIRST_ROOT).exists() else publisher.root
        assert fetch(place, tmp_path, again) == b"the factory image of 1.0.0"


def test_an_older_repository_is_refused_after_a_kill_too(place: str, publisher: Publisher, tmp_path: Path) -> None:
    kept = shutil.copytree(tmp_path / "repository", tmp_path / "kept")
    publisher.publish(parcel("1.1.0"))
    fetch(place, tmp_path, publisher.root)
    (tmp_path / "trust/root.json").unlink()
    shutil.rmtree(tmp_path / "repository")
    shutil.copytree(kept, tmp_path / "repository")
    with pytest.raises(IntegrityError, match="timestamp version"):
        fetch(place, tmp_path, None)


def test_what_has_expired_is_told_with_its_remedy(publisher: Publisher, tmp_path: Path) -> None:
    publisher.clock.now -= timedelta(days=8)
    publisher.publish(parcel())
    with pytest.raises(IntegrityError, match="has expired") as caught:
        fetch(publisher.repository.store.url, tmp_path, publisher.root)
    assert caught.value.link == "timestamp.json"
    assert "refresh" in caught.value.remedy


@pytest.mark.parametrize("how", ["fifo", "folder", "symlink", "endless"])
def test_a_file_that_is_none_is_not_waited_for(place: str, publisher: Publisher, tmp_path: Path, how: str) -> None:
    file = tmp_path / "repository/metadata/timestamp.json"
    file.unlink()
    if how == "fifo":
        os.mkfifo(file)
    elif how == "folder":
        file.mkdir()
    elif how == "symlink":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as sparse:
            sparse.truncate(1 << 32)
    with pytest.raises((BenchError, IntegrityError)):
        fetch(place, tmp_path, publisher.root)


def test_a_server_that_is_not_there(publisher: Publisher, tmp_path: Path) -> None:
    with served(tmp_path) as url:
        pass
    with pytest.raises(BenchError, match="cannot be fetched"):
        fetch(url, tmp_path, publisher.root)


@pytest.mark.parametrize("url", ["ftp://x/y", "file:relative", "x", ""])
def test_an_address_of_no_known_kind(publisher: Publisher, tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="is no repository"):
        fetch(url, tmp_path, publisher.root)


class Negative(SimpleHTTPRequestHandler):
    """Sends a chunk of a negative length."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"-5\r\nwhat\r\n")
        self.close_connection = True


def test_a_chunk_of_a_negative_length_is_no_defect_of_ours(publisher: Publisher, tmp_path: Path) -> None:
    with (
        served(tmp_path / "repository", Negative) as url,
        pytest.raises(BenchError, match=r"cannot be fetched: .*negative"),
        open_client(tmp_path / "trust", url, publisher.root) as client,
    ):
        client.refresh()
