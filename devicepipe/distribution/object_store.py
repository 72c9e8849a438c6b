"""A repository in an object store that speaks the S3 protocol (the extra `s3`).

Endpoint, region and credentials are boto3's own: AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE and so on. What S3 promises is enough:
an object is written whole or not at all, is read as written at once, and is put only where none (`If-None-Match`) or a certain one
(`If-Match`) is. There is no lock, so of two publishers at once the second one is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, TypeVar

from devicepipe.distribution.store import Conflict
from devicepipe.distribution.timely import CHUNK, timely
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.ledger.disk import MAXIMUM_READ
from devicepipe.peers import in_one_line

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

SCHEME: Final = "s3://"
_LOST: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_MISSING: Final = frozenset({"NoSuchKey", "404"})

T = TypeVar("T")


class ObjectStore:
    """A repository below `s3://BUCKET/PREFIX`.

    Args:
        url: The address.
        client: boto3's S3 client; by default, one of boto3's own settings.

    Raises:
        UsageError: The address names no bucket, or boto3 is not there.
    """

    def __init__(self, url: str, client: Any = None) -> None:
        self._bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not self._bucket:
            raise UsageError(f"'{url}' names no bucket", remedy="write s3://BUCKET/PREFIX")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = client if client is not None else _client()
        self._tags: dict[str, str] = {}

    @property
    def url(self) -> str:
        """See `Store.url`."""
        return f"{SCHEME}{self._bucket}/{self._prefix}".rstrip("/")

    def read(self, name: str) -> bytes:
        """See `Store.read`."""

        def get() -> Iterator[bytes]:
            found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            self._tags[name] = found.get("ETag", "")
            yield from found["Body"].iter_chunks(CHUNK)

        def got() -> bytes:
            data = bytearray()
            for chunk in timely(get, name):
                data += chunk
                if len(data) >= MAXIMUM_READ:
                    break
            return bytes(data[:MAXIMUM_READ])

        return self._asked(name, got)

    def put(self, name: str, data: bytes) -> None:
        """See `Store.put`."""
        self._put(name, data)

    def add(self, name: str, data: bytes) -> None:
        """See `Store.add`."""
        self._put(name, data, IfNoneMatch="*")

    def swap(self, name: str, data: bytes, before: bytes | None) -> None:
        """See `Store.swap`."""
        if before is None:
            self.add(name, data)
            return
        if self.read(name) != before:
            raise Conflict(name)
        tag = self._tags[name]
        if not tag:
            raise BenchError(
                f"{self.url} gives no tag of {name}: without one nobody is told that somebody else publishes too",
                remedy="have the store, or what stands before it, send ETag",
            )
        self._check_conditions(name, before)
        self._put(name, data, IfMatch=tag)

    def locked(self) -> AbstractContextManager[None]:
        """See `Store.locked`: an object store has no lock."""
        return nullcontext()

    def _check_conditions(self, name: str, there: bytes) -> None:
        """See that the store keeps to both conditions. Many do not, and say nothing: the last of two publishers would win."""
        for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"none has this tag"'}):
            try:
                self._put(name, there, **condition)
            except Conflict:
                continue
            raise BenchError(
                f"{self.url} puts {name} although it is there: it does not know conditional writes",
                remedy="use an object store that does (If-None-Match, If-Match), or a folder",
            )

    def _put(self, name: str, data: bytes, **condition: str) -> None:
        key = self._prefix + name

        def put() -> Iterator[bytes]:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, **condition)
            yield b""

        self._asked(name, lambda: list(timely(put, f"the answer to {name}", sent=len(data))))

    def _asked(self, name: str, ask: Callable[[], T]) -> T:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return ask()
        except ClientError as error:
            raise self._told(name, error) from error
        except TimeoutError as error:
            raise BenchError(f"{self.url} is too slow: {error}", remedy="check the network, and try again") from error
        except BotoCoreError as error:
            raise BenchError(
                f"{self.url} cannot be used: {in_one_line(error)}",
                remedy="check network, endpoint, region and credentials of boto3",
            ) from error

    def _told(self, name: str, error: ClientError) -> Exception:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            return FileNotFoundError(2, "No such object", f"{self.url}/{name}")
        if code in _LOST:
            return Conflict(name)
        return BenchError(
            f"{self.url} refuses {name}: {in_one_line(error)}", remedy="check the bucket, and what the account may do"
        )


def _client() -> Any:
    try:
        import boto3
    except ImportError as error:
        raise UsageError("s3:// takes boto3", remedy="pip install devicepipe[s3]") from error
    return boto3.client("s3")
