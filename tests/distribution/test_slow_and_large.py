"""A server that sends slowly, or without an end, and a targets' key in wrong hands: how long, and for how much, a client waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import boto3
import pytest
from tuf.api.metadata import TargetFile

from devicepipe.distribution import releases, timely
from devicepipe.distribution.client import open_client
from devicepipe.distribution.object_store import ObjectStore
from devicepipe.distribution.pulling import wanted_files
from devicepipe.distribution.releases import STATEMENT, Published, releases_of
from devicepipe.errors import BenchError, IntegrityError, UsageError
from tests.distribution.publisher import IMAGE, Publisher, parcel, served

FIND = f"pump/1.0.0/{IMAGE}"


class Dripping(SimpleHTTPRequestHandler):
    """Sends the header, or the body, of some names a byte at a time."""

    name, header = "", False

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        if self.name not in self.path:
            super().do_GET()
            return
        data = b"X-More: " + b"x" * 10_000
        if not self.header:
            data = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        if not self.header:
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
        else:
            self.flush_headers()
        try:
            for byte in data:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:  # nobody reads it any more
            return


@contextmanager
def dripping(folder: Path, name: str, *, header: bool = False) -> Iterator[str]:
    """The address of a folder behind a server that drips."""
    kind = type("Named", (Dripping,), {"name": name, "header": header})
    with served(folder, kind, wait=False) as url:
        yield url


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of a second, so that the test does not take a minute."""
    monkeypatch.setattr(timely, "PATIENCE", 1)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("name", "header"), [("timestamp.json", False), ("timestamp.json", True), ("factory.hex", False)]
)
def test_a_mirror_that_drips_holds_nobody(publisher: Publisher, tmp_path: Path, name: str, header: bool) -> None:
    """No byte is later than a socket waits for, and all of them take for ever."""
    publisher.publish(parcel(files={IMAGE: bytes(1000)}))
    began = time.monotonic()

    def fetch(url: str) -> None:
        with open_client(tmp_path / "trust", url, publisher.root) as client:
            client.refresh()
            target = client.find(FIND)
            assert target is not None
            client.download(target, tmp_path / "got")

    told = rf"cannot be fetched: \d+ bytes of \S*{name} came in \d s: 8192 a second must"
    with dripping(tmp_path / "repository", name, header=header) as url, pytest.raises(BenchError, match=told):
        fetch(url)
    assert time.monotonic() - began < 10
    fetch(publisher.repository.store.url)  # and the lock is let go


@pytest.mark.usefixtures("hasty")
def test_an_object_store_that_drips_holds_nobody(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(parcel())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with dripping(tmp_path, "timestamp.json") as url:
        store = ObjectStore("s3://repository", boto3.client("s3", endpoint_url=url, region_name="us-east-1"))
        assert store.read("metadata/1.root.json") == publisher.root
        with pytest.raises(BenchError, match=r"too slow: \d+ bytes of metadata/timestamp.json came in \d s"):
            store.read("metadata/timestamp.json")


def test_what_comes_in_time_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def steady() -> Iterator[bytes]:
        for _ in range(30):
            time.sleep(0.05)
            yield bytes(1000)

    monkeypatch.setattr(timely, "PATIENCE", 0.5)
    assert sum(map(len, timely.timely(steady, "it"))) == 30_000


def test_what_never_begins_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def never() -> Iterator[bytes]:
        stop.wait()
        yield b""

    monkeypatch.setattr(timely, "PATIENCE", 0.1)
    with pytest.raises(TimeoutError, match="0 bytes of it came"):
        next(timely.timely(never, "it"))
    stop.set()


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ({"release.signatures/0001.dsse.json": 10**15}, "too large: it has 1000000000000000 bytes, 134217727 at most"),
        ({"images/alpha/factory.hex": 128 * 1024**2}, "too large: it has 134217728 bytes"),
        (
            {f"release.signatures/{number:04}.dsse.json": 10 * 1024**2 for number in range(1, 8)},
            "evidence and signatures have 73400320 bytes, 67108864 at most",
        ),
        (
            {f"images/alpha/{number}.bin": 100 * 1024**2 for number in range(11)},
            "the release has 1153433600 bytes, 1073741824 at most",
        ),
    ],
)
def test_what_a_stolen_key_of_the_targets_calls_large_is_not_fetched(
    publisher: Publisher, lengths: dict[str, int], told: str
) -> None:
    """10^15 bytes of a signature were fetched, without an end, before anything that people signed was looked at."""
    publisher.publish(parcel())
    (good,) = releases_of(publisher.repository.state(publisher.root).targets.signed)
    more = {name: TargetFile(length, {"sha256": "0" * 64}, name) for name, length in lengths.items()}
    assert wanted_files(good) == dict(good.targets)
    with pytest.raises(IntegrityError, match=told):
        wanted_files(Published(good.state, {**good.targets, **more}))


def test_no_more_is_published_than_is_fetched(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, name in (("FILE", IMAGE), ("EVIDENCE", STATEMENT), ("RELEASE", IMAGE)):
        with monkeypatch.context() as patch:
            patch.setattr(releases, f"LARGEST_{limit}", 100)
            with pytest.raises(UsageError, match=r"cannot be published: .* bytes, 100 at most"):
                publisher.publish(parcel(files={name: bytes(101)}))
    assert publisher.publish(parcel()) is True
