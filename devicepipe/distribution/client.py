"""A TUF client: tuf.ngclient with what it trusts kept in a folder, over HTTP(S), a folder or an object store.

What always holds: metadata are trusted by the TUF client's rules only, none of which is written here; what was trusted once is
never traded for something older; a file is given away only with the length and the digest that the targets metadata name. One
process at a time uses a folder of trust, and one that is killed at any point leaves it so that the next one goes on from it. No
server keeps it waiting for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
    SlowRetrievalError,
)
from tuf.api.metadata import Root, TargetFile, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from devicepipe.distribution.layout import (
    LARGEST_ROOT,
    LARGEST_SNAPSHOT,
    LARGEST_TARGETS,
    LARGEST_TIMESTAMP,
    METADATA,
    TARGETS,
)
from devicepipe.distribution.object_store import SCHEME, ObjectStore
from devicepipe.distribution.state import check_root, read_metadata
from devicepipe.distribution.store import FolderStore, Store
from devicepipe.distribution.timely import CHUNK, timely
from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.peers import in_one_line

FIRST_ROOT: Final = "first-root"
"""The root that trust began with, in the folder of trust."""
_HISTORY: Final = "root_history"
_NOT_FOUND: Final = 404
_ROLE: Final = re.compile(r"\b(root|timestamp|snapshot|targets)\b", re.IGNORECASE)


class StoreFetcher(FetcherInterface):
    """Fetches from a folder (`file:`) or an object store (`s3:`) what others fetch over HTTP."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/") + "/"
        self._store: Store = (
            ObjectStore(base) if base.startswith(SCHEME) else FolderStore(Path(unquote(urlsplit(base).path)))
        )

    def _fetch(self, url: str) -> Iterator[bytes]:
        if not url.startswith(self._base):
            raise DownloadError(f"{url} is not in {self._base}")
        try:
            # Whole, and bounded: nothing there is followed elsewhere, waited for, or read without end.
            return iter((self._store.read(unquote(url.removeprefix(self._base))),))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DownloadHTTPError(f"there is no {url}", _NOT_FOUND) from error


class WebFetcher(FetcherInterface):
    """Fetches over HTTP(S), in time or not at all."""

    def __init__(self) -> None:
        self._fetcher = Urllib3Fetcher(chunk_size=CHUNK, app_user_agent="devicepipe")

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield from timely(lambda: self._fetcher.fetch(url), url.rpartition("/")[2])
        except TimeoutError as error:
            raise SlowRetrievalError(str(error)) from error
        except ValueError as error:  # which urllib3 lets through, e.g. of a chunk with a negative length
            raise DownloadError(f"the server's answer is none that can be understood: {error}") from error


class _Noting(FetcherInterface):
    """Has another fetcher fetch, and keeps what was asked for last: what the TUF client refuses then is that."""

    def __init__(self, fetcher: FetcherInterface) -> None:
        self._fetcher = fetcher
        self.last = ""

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.last = url.rpartition("/")[2]
        return self._fetcher.fetch(url)


class Client:
    """A client of one repository. Made by `open_client` only, which sees to it that it is alone.

    Args:
        folder: The folder of trust.
        root: The root metadata that trust begins with.
        metadata_url: Where the metadata are.
        targets_url: Where the files are.
        fetcher: What fetches.

    Raises:
        IntegrityError: The root does not hold.
    """

    def __init__(
        self, folder: Path, root: bytes, metadata_url: str, targets_url: str, fetcher: FetcherInterface
    ) -> None:
        config = UpdaterConfig(
            root_max_length=LARGEST_ROOT,
            timestamp_max_length=LARGEST_TIMESTAMP,
            snapshot_max_length=LARGEST_SNAPSHOT,
            targets_max_length=LARGEST_TARGETS,
        )
        self._folder = folder
        self._fetcher = _Noting(fetcher)
        with self._told("the root"):
            self._updater = Updater(
                str(folder),
                metadata_url,
                target_base_url=targets_url,
                fetcher=self._fetcher,
                config=config,
                bootstrap=root,
            )

    def refresh(self) -> None:
        """Fetch and verify the newest metadata of the four roles; once for a client.

        Raises:
            IntegrityError: They do not hold: wrong, expired, older than what was trusted before, or not of one state.
            BenchError: They cannot be fetched.
        """
        with self._told("the metadata"):
            self._updater.refresh()

    def targets(self) -> Targets:
        """The targets metadata, as they were verified. Call `refresh` first."""
        # The updater gives single targets only; what it verified is what it has just kept.
        link = "targets.json"
        return read_metadata((self._folder / link).read_bytes(), Targets, link).signed

    def find(self, path: str) -> TargetFile | None:
        """What the metadata say of a target; None where there is none. Raises IntegrityError and BenchError as `refresh`."""
        with self._told(path):
            return self._updater.get_targetinfo(path)

    def download(self, target: TargetFile, file: Path) -> Path:
        """Fetch a target into a file, unless the file is it already.

        Raises:
            IntegrityError: What comes has another length or digest.
            BenchError: It cannot be fetched.
        """
        with self._told(target.path):
            if self._updater.find_cached_target(target, str(file)) is None:
                self._updater.download_target(target, str(file))
        return file

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Errors of the TUF client as ours."""
        from urllib3.exceptions import HTTPError

        try:
            yield
        except DownloadLengthMismatchError as error:
            raise IntegrityError(
                "is longer than the metadata say, or than any may be", link=self._link(what, error)
            ) from error
        except ExpiredMetadataError as error:
            link = self._link(what, error)
            command = "rotate" if link == "root.json" else "refresh"
            raise IntegrityError(
                "has expired: it may be old, and what is newer kept from you",
                link=link,
                remedy=f"the publisher renews it: `devicepipe repository {command}`; if it was, the copy you read from is stale",
            ) from error
        except RepositoryError as error:
            raise IntegrityError(f"is refused: {error}", link=self._link(what, error)) from error
        except (DownloadError, HTTPError) as error:
            if isinstance(error.__cause__, BenchError):  # of an object store, which says all
                raise error.__cause__ from error
            raise BenchError(
                f"{what} cannot be fetched: {in_one_line(error.__cause__ or error)}",
                remedy="check the address and the network, and try again",
            ) from error

    def _link(self, what: str, error: Exception) -> str:
        """What does not hold: the role that the TUF client names or that was asked for last, else what was asked for."""
        if what not in ("the metadata", "the root"):
            return what
        found = _ROLE.search(str(error)) or _ROLE.search(self._fetcher.last)
        return f"{found[0].lower()}.json" if found else what


@contextmanager
def open_client(folder: Path, url: str, root: bytes | None = None) -> Iterator[Client]:
    """A client of the repository at a URL (`https:`, `http:`, `file:`, `s3:`), alone in its folder of trust.

    Args:
        folder: The folder of trust; made if there is none.
        url: The repository.
        root: The root metadata to begin with; needed the first time, and later only compared.

    Raises:
        UsageError: The first time without a root; a root that is not of what was trusted first; a URL of no known kind.
        IntegrityError: The root does not hold.
        BenchError: As `ObjectStore`.
    """
    if not url.startswith(("https://", "http://", "file:///", SCHEME)):
        raise UsageError(
            f"'{url}' is no repository", remedy="name a folder, or an address: https://…, file:///…, s3://…"
        )
    base = url.rstrip("/")
    fetcher = StoreFetcher(base) if base.startswith(("file:", SCHEME)) else WebFetcher()
    disk = Disk(folder)
    disk.make(0o700)
    (folder / _HISTORY).mkdir(0o755, exist_ok=True)  # which the TUF client would make as the umask has it
    with disk.locked():
        first = _first_root(disk, url, root)
        yield Client(folder, first, f"{base}/{METADATA}/", f"{base}/{TARGETS}/", fetcher)


def _first_root(disk: Disk, url: str, root: bytes | None) -> bytes:
    """The root that trust began with: `root`, the first time."""
    try:
        first = disk.read(FIRST_ROOT)
    except FileNotFoundError:
        if root is None:
            raise UsageError(
                f"nothing of {url} is trusted yet",
                remedy="name the root that its publisher gave you: --root root.json",
            ) from None
        check_root(read_metadata(root, Root, "the root"), None, "the root")
        disk.replace(FIRST_ROOT, root, f".{FIRST_ROOT}.new")
        return root
    if root is not None and root != first and root not in _followed(disk):
        raise UsageError(
            f"is not of the roots that were trusted for {url}",
            file=disk.folder / FIRST_ROOT,
            remedy="leave --root out; only if you mean to begin anew, remove the folder",
        )
    return first


def _followed(disk: Disk) -> list[bytes]:
    """The roots that the client came to from the first one."""
    return [disk.read(f"{_HISTORY}/{name}") for name in disk.names(_HISTORY)]
