"""A repository in an object store: moto's S3 server, over HTTP, as boto3 and the stock TUF client see it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from devicepipe.distribution.client import open_client
from devicepipe.distribution.object_store import ObjectStore
from devicepipe.errors import BenchError, IntegrityError, UsageError
from tests.distribution.publisher import IMAGE, Publisher, parcel, stock_client
from tests.distribution.test_crashes import killed, said, whole


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An S3 server on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket that everybody may read; boto3 is told of it as its users tell it."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{abs(hash(tmp_path)):x}"
    boto3.client("s3").create_bucket(Bucket=name, ACL="public-read")
    return name


@pytest.fixture
def publisher(bucket: str, tmp_path: Path) -> Publisher:
    return Publisher(tmp_path, store=ObjectStore(f"s3://{bucket}/pump/field")).create()


def test_the_stock_client_takes_it_over_http(publisher: Publisher, endpoint: str, bucket: str, tmp_path: Path) -> None:
    publisher.publish(parcel())
    client = stock_client(f"{endpoint}/{bucket}/pump/field", tmp_path / "client", publisher.root)
    target = client.get_targetinfo(f"pump/1.0.0/{IMAGE}")
    assert target is not None
    assert Path(client.download_target(target)).read_bytes() == b"the factory image of 1.0.0"


def test_our_client_takes_it_by_its_address(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(parcel())
    assert publisher.store is not None
    with open_client(tmp_path / "trust", publisher.store.url, publisher.root) as client:
        client.refresh()
        target = client.find(f"pump/1.0.0/{IMAGE}")
        assert target is not None
        assert client.download(target, tmp_path / "file").read_bytes() == b"the factory image of 1.0.0"


def test_withdrawn_renewed_and_again(publisher: Publisher) -> None:
    assert publisher.publish(parcel()) is True
    assert publisher.publish(parcel()) is False
    assert publisher.publish(parcel(state="withdrawn")) is True
    publisher.repository.renew(publisher.root, everything=True)
    assert publisher.repository.state(publisher.root).versions == {
        "root": 1, "timestamp": 4, "snapshot": 4, "targets": 4,
    }  # fmt: skip


class Others(ObjectStore):
    """A store in which somebody else does something just before a step."""

    def __init__(self, url: str, before: str, do: Callable[[], object]) -> None:
        super().__init__(url)
        self.before, self.do = before, do

    def _put(self, name: str, data: bytes, **condition: str) -> None:
        if name.endswith(self.before):
            self.before = "nothing more"
            self.do()
        super()._put(name, data, **condition)


@pytest.mark.parametrize("before", [".targets.json", ".snapshot.json", "timestamp.json"])
def test_of_two_publishers_at_once_one_is_told_and_neither_is_lost(publisher: Publisher, before: str) -> None:
    url = publisher.store.url if publisher.store else ""

    def other() -> None:
        publisher.store = ObjectStore(url)
        publisher.publish(parcel("1.1.0"))

    publisher.store = Others(url, before, other)
    with pytest.raises(BenchError, match="somebody else publishes too"):
        publisher.publish(parcel())
    publisher.store = ObjectStore(url)
    assert publisher.publish(parcel()) is True
    found = said(whole(publisher.store, publisher.root))
    assert {f"pump/1.0.0/{IMAGE}", f"pump/1.1.0/{IMAGE}"} <= {*found}


class Ending(ObjectStore):
    """A store whose process is killed before, or after, its n-th request that writes."""

    def __init__(self, url: str, left: int) -> None:
        super().__init__(url)
        self.left = left

    def _put(self, name: str, data: bytes, **condition: str) -> None:
        self._end()
        super()._put(name, data, **condition)
        self._end()

    def _end(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_is_killed_at_every_request(publisher: Publisher) -> None:
    url, points = publisher.store.url if publisher.store else "", 0

    def until(at: int) -> Callable[[], object]:
        def work() -> None:
            publisher.store = Ending(url, at)
            publisher.publish(parcel())

        return work

    while killed(until(points + 1)):
        points += 1
        found = said(whole(ObjectStore(url), publisher.root))
        assert found == [] or f"pump/1.0.0/{IMAGE}" in found
        if found:
            break
    assert points >= 5
    publisher.store = ObjectStore(url)
    assert publisher.publish(parcel()) is False


def test_an_altered_object_is_found(publisher: Publisher, bucket: str) -> None:
    publisher.publish(parcel())
    client: Any = boto3.client("s3")
    for key in ("pump/field/metadata/2.targets.json", "pump/field/metadata/timestamp.json"):
        data = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        client.put_object(Bucket=bucket, Key=key, Body=data.replace(b'"version":2', b'"version":3'))
        with pytest.raises(IntegrityError) as caught:
            publisher.publish(parcel("1.1.0"))
        assert caught.value.link == key.removeprefix("pump/field/")
        client.put_object(Bucket=bucket, Key=key, Body=data)
    assert publisher.publish(parcel("1.1.0")) is True


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix"])
def test_an_address_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        ObjectStore(url, client=object())


def test_a_bucket_that_is_not_there_or_no_server_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="refuses"):
        ObjectStore("s3://no-such-bucket-here/x").put("metadata/1.root.json", b"!")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(BenchError, match="cannot be used"):
        ObjectStore(f"s3://{bucket}/x").read("metadata/1.root.json")
