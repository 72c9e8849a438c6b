"""Somebody who can write to the store, and has no key, shows the publisher an older state while, or just after, it publishes."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from devicepipe.distribution.layout import TIMESTAMP
from devicepipe.distribution.object_store import ObjectStore
from devicepipe.distribution.seen import Seen
from devicepipe.distribution.store import FolderStore
from devicepipe.errors import BenchError, IntegrityError
from tests.distribution.publisher import IMAGE, Publisher, parcel, stock_client
from tests.distribution.test_object_store import bucket, endpoint

__all__ = ["bucket", "endpoint"]
WITHDRAWN = parcel(state="withdrawn")
FIND = f"pump/1.0.0/{IMAGE}"


class PutBack(FolderStore):
    """A folder in which somebody puts the former timestamp back as soon as it has changed."""

    def swap(self, name: str, data: bytes, before: bytes | None) -> None:
        super().swap(name, data, before)
        if before is not None:
            (self._disk.folder / name).write_bytes(before)


def test_the_publishers_memory_does_not_go_back_with_the_store(publisher: Publisher, tmp_path: Path, url: str) -> None:
    """What was read back was kept as seen, whatever it was: the next `refresh` signed the withdrawn release as the newest."""
    publisher.publish(parcel())
    publisher.store = PutBack(tmp_path / "repository")
    with pytest.raises(IntegrityError, match="is older than version 3, which was published: it was put back") as caught:
        publisher.publish(WITHDRAWN)
    assert caught.value.link == TIMESTAMP
    publisher.store = None
    for again in (
        lambda: publisher.repository.renew(publisher.root, everything=True),
        lambda: publisher.publish(WITHDRAWN),
        lambda: publisher.publish(parcel("1.1.0")),
    ):
        with pytest.raises(IntegrityError, match="is older than version 3"):
            again()
    # What the remedy says: the newest timestamp is at the publisher's, too.
    shutil.copy(tmp_path / "state/timestamp.json", tmp_path / "repository" / TIMESTAMP)
    assert publisher.publish(WITHDRAWN) is False
    publisher.repository.renew(publisher.root)
    assert stock_client(url, tmp_path / "client", publisher.root).get_targetinfo(FIND) is None


def test_a_refresh_that_is_put_back_at_once_is_told(publisher: Publisher, tmp_path: Path) -> None:
    publisher.store = PutBack(tmp_path / "repository")
    with pytest.raises(IntegrityError, match="it was put back"):
        publisher.repository.renew(publisher.root)


def test_a_link_to_an_older_copy_in_the_place_of_the_folder_is_no_other_repository(
    publisher: Publisher, tmp_path: Path
) -> None:
    """The memory was of where the folder's name led: beside a link `refresh` signed the withdrawn release as the newest."""
    publisher.publish(parcel())
    shutil.copytree(tmp_path / "repository", tmp_path / "older")
    publisher.publish(WITHDRAWN)
    (tmp_path / "repository").rename(tmp_path / "newest")
    (tmp_path / "repository").symlink_to("older")
    with pytest.raises(IntegrityError, match="it was put back"):
        publisher.repository.renew(publisher.root, everything=True)


def test_names_that_are_taken_do_not_hold_a_publication_for_minutes(publisher: Publisher, tmp_path: Path) -> None:
    """A thousand files of 128 MiB, sparse, so that they take no room, were read one after another: for more than four minutes."""
    publisher.publish(parcel())
    for version in range(3, 103):
        (tmp_path / f"repository/metadata/{version}.targets.json").touch()
    with pytest.raises(BenchError, match="has 100 versions of targets beyond 2, which is published"):
        publisher.publish(parcel("1.1.0"))
    (tmp_path / "repository/metadata/102.targets.json").unlink()
    assert publisher.publish(parcel("1.1.0")) is True


class ObjectsPutBack(ObjectStore):
    """As `PutBack`, in a bucket."""

    def swap(self, name: str, data: bytes, before: bytes | None) -> None:
        super().swap(name, data, before)
        if before is not None:
            bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
            boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=before)


def test_a_bucket_that_is_put_back_is_not_renewed(bucket: str, tmp_path: Path) -> None:
    url = f"s3://{bucket}/pump"
    publisher = Publisher(tmp_path, store=ObjectStore(url)).create()
    publisher.publish(parcel())
    publisher.store = ObjectsPutBack(url)
    with pytest.raises(IntegrityError, match="it was put back"):
        publisher.publish(WITHDRAWN)
    publisher.store = ObjectStore(url)
    with pytest.raises(IntegrityError, match="it was put back"):
        publisher.repository.renew(publisher.root, everything=True)


@pytest.mark.parametrize("at", ["before the swap", "after the swap"])
def test_a_withdrawal_that_was_killed_is_not_undone_by_a_refresh(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Killed between the swap and what is kept of it, the publisher does not know that it has published."""
    publisher.publish(parcel())
    old = (tmp_path / "repository" / TIMESTAMP).read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if at == "before the swap":
            patch.setattr(FolderStore, "swap", killed)
        else:
            patch.setattr(Seen, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            publisher.publish(WITHDRAWN)
    assert ((tmp_path / "repository" / TIMESTAMP).read_bytes() == old) == (at == "before the swap")
    (tmp_path / "repository" / TIMESTAMP).write_bytes(old)
    publisher.clock.now += timedelta(days=1)
    for refused in (
        lambda: publisher.repository.renew(publisher.root),
        lambda: publisher.publish(parcel("1.1.0")),
        lambda: publisher.publish(parcel()),
    ):
        with pytest.raises(
            IntegrityError, match="was withdrawn here, and is not withdrawn in the repository"
        ) as caught:
            refused()
        assert caught.value.link == "pump 1.0.0"
    assert publisher.publish(WITHDRAWN) is True
    publisher.repository.renew(publisher.root)


def test_another_timestamp_of_the_same_version_is_not_the_one_that_was_published(
    publisher: Publisher, tmp_path: Path
) -> None:
    """As a copy of the machine would sign one: two timelines under one number."""
    kept = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-kept"))
    publisher.publish(parcel())
    other = Publisher(kept, publisher.setup, publisher.clock)
    other.root = publisher.root
    other.publish(parcel("1.1.0"))
    shutil.rmtree(tmp_path / "repository")
    shutil.copytree(kept / "repository", tmp_path / "repository")
    with pytest.raises(IntegrityError, match="is not the version 2 that was published"):
        publisher.repository.renew(publisher.root)


def test_a_repository_that_is_made_anew_begins_anew(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(parcel())
    publisher.publish(WITHDRAWN)
    shutil.rmtree(tmp_path / "repository")
    publisher.create()
    assert publisher.publish(parcel()) is True
