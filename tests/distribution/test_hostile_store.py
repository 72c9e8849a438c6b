"""Object stores that answer slowly, or do not keep to conditions: a small S3 server over real HTTP with faults to switch on."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devicepipe.distribution import timely
from devicepipe.distribution.client import open_client
from devicepipe.distribution.object_store import ObjectStore
from devicepipe.errors import BenchError
from tests.distribution.publisher import Publisher, parcel


class Server(ThreadingHTTPServer):
    """Objects by their paths, and how it is hostile: `drips`, `forges` errors, `forgets` conditions, and so on; "" is not."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads, self.block_on_close = True, False
        self.objects: dict[str, bytes] = {}
        self.fault = ""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        found = self.server.objects.get(urlsplit(self.path).path)
        if self.server.fault == "forges":
            said = "no\nerror: forged" + "!" * 1000
            self.answer(403, f"<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>".encode())
        elif found is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.answer(200, found)

    def do_PUT(self) -> None:
        path, data = urlsplit(self.path).path, self.rfile.read(int(self.headers["Content-Length"]))
        there = self.server.objects.get(path)
        wanted, none = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        if self.server.fault == "drips":
            self.drip()
        elif self.server.fault != "forgets" and (
            (none and there is not None)
            or (wanted and wanted != tag(there) and self.server.fault != "forgets If-Match")
        ):
            self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self.server.objects[path] = data
            self.answer(200, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if self.server.fault != "sends no tag":
            self.send_header("ETag", tag(body))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self) -> None:
        self.close_connection = True
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-More: ")
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:  # nobody reads it any more
            return


def tag(data: bytes | None) -> str:
    return f'"{hashlib.sha256(data or b"").hexdigest()}"'


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def publisher(server: Server, tmp_path: Path) -> Publisher:
    return Publisher(tmp_path, store=ObjectStore("s3://bucket/pump")).create()


def test_a_write_that_is_answered_slowly_holds_nobody(
    publisher: Publisher, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timely, "PATIENCE", 1)
    server.fault = "drips"
    with pytest.raises(BenchError, match="is too slow: 0 bytes of the answer to targets/pump/"):
        publisher.publish(parcel())
    server.fault = ""
    assert publisher.publish(parcel()) is True


def test_a_store_that_does_not_keep_to_conditions_is_told(publisher: Publisher, server: Server) -> None:
    """Of two publishers the last one won without a word: a refresh that fell into a withdrawal brought the release back."""
    publisher.publish(parcel())
    before = server.objects["/bucket/pump/metadata/timestamp.json"]
    server.fault = "forgets"
    with pytest.raises(
        BenchError, match=r"puts metadata/timestamp\.json although it is there: it does not know conditional"
    ):
        publisher.publish(parcel(state="withdrawn"))
    assert server.objects["/bucket/pump/metadata/timestamp.json"] == before


class Other(ObjectStore):
    """A store in which another machine publishes just before the timestamp is swapped."""

    do: Callable[[], object] | None = None

    def _put(self, name: str, data: bytes, **condition: str) -> None:
        if "timestamp" in name and "IfMatch" in condition and self.do is not None:
            do, self.do = self.do, None
            do()
        super()._put(name, data, **condition)


@pytest.mark.parametrize("fault", ["forgets If-Match", "sends no tag"])
def test_a_store_that_knows_but_one_of_the_two_conditions_is_told(
    publisher: Publisher, server: Server, tmp_path: Path, fault: str
) -> None:
    """A refresh on one machine fell into the withdrawal on another, and brought the release back without a word."""
    publisher.publish(parcel())
    elsewhere = replace(publisher, folder=tmp_path / "elsewhere", store=ObjectStore("s3://bucket/pump"))
    elsewhere.root = publisher.root
    publisher.store = store = Other("s3://bucket/pump")
    store.do = lambda: elsewhere.publish(parcel(state="withdrawn"))
    server.fault = fault
    with pytest.raises(BenchError, match=r"does not know conditional writes|gives no tag of metadata/timestamp\.json"):
        publisher.repository.renew(publisher.root)


def test_an_error_of_a_store_is_one_line_with_one_remedy(publisher: Publisher, server: Server, tmp_path: Path) -> None:
    """Its message could forge lines, without an end; `pull` told two remedies."""
    server.fault = "forges"
    for ask in (lambda: publisher.publish(parcel()), lambda: pulled(publisher, tmp_path)):
        with pytest.raises(BenchError, match="refuses metadata/") as caught:
            ask()
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 400


def pulled(publisher: Publisher, folder: Path) -> None:
    with open_client(folder / "trust", publisher.repository.store.url, publisher.root) as client:
        client.refresh()
