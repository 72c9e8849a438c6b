"""Files that last: whole or not there, never over another one, and one process at a time."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import resource
import threading
from pathlib import Path

import pytest

from devicepipe.cli.main import _as_ours
from devicepipe.durable import alone, locked, sync_tree, write_new
from devicepipe.errors import UsageError
from devicepipe.evidence.ledger.disk import Disk


def test_a_file_is_written_once_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    assert write_new(path, b"first")
    assert not write_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert [one.name for one in path.parent.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644
    sync_tree(tmp_path)


def _append(path: Path, rounds: int) -> None:
    for _ in range(rounds):
        with alone(path):
            count = int(path.read_text())
            path.write_text(str(count + 1))


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    processes = [multiprocessing.get_context("fork").Process(target=_append, args=(path, 50)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert path.read_text() == "200"


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("text")
    (tmp_path / ".file.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match="is a link, and no lock file") as caught, alone(tmp_path / "file"):
        pass
    assert caught.value.file == tmp_path / ".file.lock"
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match="is a link, and no lock file"), Disk(tmp_path).locked():
        pass
    assert (tmp_path / "victim").read_text() == "text"


def test_whoever_waited_for_a_lock_whose_file_was_removed_is_alone_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, asked, let_go = tmp_path / "lock", threading.Event(), threading.Event()
    inside = threading.Event()
    flock = fcntl.flock

    def asking(lock: int, operation: int) -> None:
        asked.set()
        flock(lock, operation)

    def hold() -> None:
        with locked(file):
            inside.set()
            let_go.wait(10)

    waiting = threading.Thread(target=hold)
    with locked(file):
        monkeypatch.setattr("devicepipe.durable.fcntl.flock", asking)
        waiting.start()
        assert asked.wait(10)
        file.unlink()
    try:
        assert inside.wait(10)
        with file.open() as again, pytest.raises(BlockingIOError):  # it has the file that the next one asks for
            flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        let_go.set()
        waiting.join()


@pytest.mark.parametrize("how", ["write", "append"])
def test_a_disk_that_is_full_is_told_with_the_file_that_found_it_so(tmp_path: Path, how: str) -> None:
    """It said "No space left on device: free what is named", and named nothing: the system does not, of an open file."""
    disk = Disk(tmp_path)
    disk.write("metadata/file", b"")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            getattr(disk, how)("metadata/file", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"File too large: {tmp_path}/metadata/file" in str(_as_ours(caught.value))
    assert "what is named" not in str(_as_ours(OSError(28, "No space left on device")))


@pytest.mark.parametrize("before", [None, 0o644, 0o664])
def test_any_user_of_the_machine_held_a_lock_that_they_could_read(tmp_path: Path, before: int | None) -> None:
    """And kept everybody from signing, withdrawing and publishing, without a word, for as long as they liked."""
    file = tmp_path / "roster.lock"
    if before is not None:
        file.touch()
        file.chmod(before)
    umask = os.umask(0)
    try:
        with locked(file):
            assert file.stat().st_mode & 0o007 == 0
    finally:
        os.umask(umask)
