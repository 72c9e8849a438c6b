"""kill -9 and loss of power at every step: readers find the old state or the new one, whole, and running it again finishes."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.distribution.layout import target_file
from devicepipe.distribution.releases import Parcel
from devicepipe.distribution.state import RepositoryState, load_state
from devicepipe.distribution.store import FolderStore, Store
from devicepipe.evidence.ledger.disk import Disk
from tests.distribution.publisher import IMAGE, Publisher, parcel, role, served, setup_of, signed_root, stock_client
from tests.evidence.ledger.model_disk import ModelDisk, PowerLoss

FIRST, SECOND, WITHDRAWN = parcel(), parcel("1.1.0"), parcel(state="withdrawn")


class Power(ModelDisk):
    """The model, as a place for a repository."""

    def make(self, mode: int = 0o755) -> None:
        """The folder is there."""

    def after_kill(self) -> Power:
        return self._as_power(super().after_kill())

    def after_loss(self) -> Power:
        return self._as_power(super().after_loss())

    def _as_power(self, left: ModelDisk) -> Power:
        power = Power(self.choose)
        power.tree, power.lasting = left.tree, left.lasting
        return power


def whole(store: Store, anchor: bytes) -> RepositoryState:
    """What a reader finds; every file that is named is there, as it is named."""
    state = load_state(store, anchor)
    for path, target in state.targets.signed.targets.items():
        target.verify_length_and_hashes(store.read(target_file(path, target.hashes["sha256"])))
    return state


def said(state: RepositoryState) -> list[str]:
    return sorted(state.targets.signed.targets)


@pytest.mark.parametrize("seed", range(80))
def test_a_crash_at_a_random_step_leaves_the_old_state_or_the_new_one(tmp_path: Path, seed: int) -> None:
    """Both kinds of crash in turn, several a repository, through its making, three changes, a renewal and a rotation."""
    choose = random.Random(seed)
    disk = Power(choose)
    store = FolderStore(disk.folder, disk)
    publisher = Publisher(tmp_path, SETUP, store=store)
    following = signed_root(SETUP, 2)

    def publish(what: Parcel) -> Callable[[], object]:
        return lambda: publisher.publish(what)

    steps: list[Callable[[], object]] = [
        publisher.create,
        publish(FIRST),
        publish(SECOND),
        publish(WITHDRAWN),
        lambda: publisher.repository.renew(publisher.root, everything=True),
        lambda: publisher.repository.rotate(publisher.root, following),
    ]
    before: list[str] | None = None
    for step in steps:
        found: list[list[str]] = []
        while True:
            disk.stop_at = choose.choice([None, disk.steps + choose.randrange(1, 60)])
            try:
                step()
                break
            except PowerLoss:
                disk = disk.after_kill() if choose.random() < 0.5 else disk.after_loss()
                store = publisher.store = FolderStore(disk.folder, disk)
                if before is not None or _is_made(store):
                    found.append(said(whole(store, publisher.root)))
        disk.stop_at = None
        after = said(whole(store, publisher.root))
        assert all(one in (before, after) for one in found)
        before = after
    assert load_state(store, publisher.root).root.signed.version == 2


SETUP = setup_of()


def _is_made(store: Store) -> bool:
    try:
        store.read("metadata/1.root.json")
    except FileNotFoundError:
        return False
    return True


class Killing(Disk):
    """The real disk, until the step at which the process ends itself as kill -9 would: half a write done, the rest not."""

    def __init__(self, folder: Path, left: int) -> None:
        super().__init__(folder)
        self.left = left

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _write(self, name: str, data: bytes) -> None:
        super()._write(name, data[: len(data) // 2])
        self._step()
        super()._write(name, data)

    def _rename(self, old: str, new: str) -> None:
        self._step()
        super()._rename(old, new)
        self._step()

    def _make_folder(self, name: str) -> None:
        super()._make_folder(name)
        self._step()


def killed(work: Callable[[], object]) -> bool:
    """Do something in a process of its own; whether that was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("what", [FIRST, WITHDRAWN], ids=["publish", "withdraw"])
def test_a_process_is_killed_at_every_step_while_a_stock_client_looks(tmp_path: Path, what: Parcel) -> None:
    publisher = Publisher(tmp_path).create()
    if what is WITHDRAWN:
        publisher.publish(FIRST)
    folder, points = tmp_path / "repository", 0
    old = said(load_state(FolderStore(folder), publisher.root))
    with served(folder) as url:
        while killed(_publish(publisher, folder, what, points + 1)):
            points += 1
            found = said(whole(FolderStore(folder), publisher.root))
            client = stock_client(url, tmp_path / "client", publisher.root)
            target = client.get_targetinfo(f"pump/1.0.0/{IMAGE}")
            assert (target is not None) == (f"pump/1.0.0/{IMAGE}" in found)
            if found != old:
                assert publisher.publish(what) is False  # it had come to an end but for that
                break
    assert points >= 5
    publisher.publish(what)
    state = whole(FolderStore(folder), publisher.root)
    assert (f"pump/1.0.0/{IMAGE}" in said(state)) == (what is FIRST)


def _publish(publisher: Publisher, folder: Path, what: Parcel, at: int) -> Callable[[], object]:
    def work() -> None:
        publisher.store = FolderStore(folder, Killing(folder, at))
        publisher.publish(what)

    return work


def test_what_a_killed_process_left_is_never_overwritten_by_metadata(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path).create()
    left = publisher.folder / "repository/metadata/2.targets.json"
    left.write_bytes(b"half of")
    publisher.publish(FIRST)
    assert left.read_bytes() == b"half of"
    assert publisher.repository.state(publisher.root).versions["targets"] == 3


def test_a_root_that_is_published_and_no_timestamp_yet_is_finished(tmp_path: Path) -> None:
    """The one window that there is: a rotation with `broken`, whose timestamp key was lost."""
    publisher = Publisher(tmp_path).create()
    publisher.publish(FIRST)
    folder = tmp_path / "repository"
    publisher.setup["timestamp"] = role(setup_of()["timestamp"].signers[0], days=7)
    following, points = signed_root(publisher.setup, 2), 0

    def rotate_until(at: int) -> Callable[[], object]:
        def work() -> None:
            publisher.store = FolderStore(folder, Killing(folder, at))
            publisher.repository.rotate(publisher.root, following, broken=True)

        return work

    while killed(rotate_until(points + 1)):
        points += 1
    assert points > 3
    publisher.store = None
    publisher.repository.rotate(publisher.root, following)
    state = whole(FolderStore(folder), publisher.root)
    assert state.versions["root"] == 2
    assert said(state) != []
