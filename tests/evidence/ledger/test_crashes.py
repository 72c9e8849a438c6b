"""kill -9 and loss of power at every step of an append: nothing acknowledged is lost, nothing half-done is accepted."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.ledger import writer as writer_module
from devicepipe.evidence.ledger.checkpoint import Trust, open_checkpoint
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.journal import JOURNAL, Record, parse_journal
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.tree import leaf_hash, root_hash
from devicepipe.evidence.ledger.writer import Recovery, create_log, open_writer, recover_log
from tests.evidence.ledger.keys import ORIGIN, log_signer
from tests.evidence.ledger.model_disk import ModelDisk, PowerLoss

SIGNER = log_signer()
TRUST = Trust((SIGNER.key.public,), ORIGIN)
FOLDER = Path("model")


@dataclass
class Told:
    """What the log's user was told, and what the user asked for last."""

    acknowledged: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)


def numbered(start: int, count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(start, start + count)]


def session(disk: Disk, folder: Path, sizes: Sequence[int], told: Told) -> Recovery:
    """Append batches of these sizes."""
    with open_writer(folder, SIGNER, disk=disk) as writer:
        settle(Log.open(folder, TRUST, disk), writer.checkpoint.size, told)
        for size in sizes:
            told.asked = numbered(len(told.acknowledged), size)
            numbers = writer.append_raw(told.asked)
            assert numbers == range(len(told.acknowledged), len(told.acknowledged) + size)
            told.acknowledged += told.asked
            told.asked = []
        return writer.recovery


def settle(log: Log, size: int, told: Told) -> None:
    """What is there must be what was acknowledged, and at most the whole of the batch that was asked for last."""
    whole = [*told.acknowledged, *told.asked]
    assert size in (len(told.acknowledged), len(whole))
    told.acknowledged, told.asked = whole[:size], []
    check(log, told.acknowledged)


def check(log: Log, entries: Sequence[bytes]) -> None:
    """The published log is these entries, tree and all."""
    assert [data for _, data in log.entries()] == entries[: log.size]
    assert log.signed.root == root_hash(map(leaf_hash, entries[: log.size])) == log.root_at(log.size)


def crash_and_go_on(seed: int, *, kill: bool | None) -> None:
    """Crashes of one kind, or of both in turn where `kill` is None: what a killed process did not sync is lost with the power."""
    choose = random.Random(seed)

    def after(disk: ModelDisk) -> ModelDisk:
        return disk.after_kill() if kill or (kill is None and choose.random() < 0.5) else disk.after_loss()

    disk, told = ModelDisk(choose), Told()
    while True:
        disk.stop_at = choose.choice([None, choose.randrange(1, 12)])
        try:
            create_log(FOLDER, SIGNER, disk)
            break
        except PowerLoss:
            disk = after(disk)
        except UsageError:  # it was made, and not yet told
            assert disk.published
            break
    seen: list[bytes] = []
    for _ in range(6):
        disk.stop_at = disk.steps + choose.randrange(1, choose.choice([8, 60]))
        sizes = [choose.choice([0, 1, 2, 7, 100, 255, 256, 257, 600]) for _ in range(choose.randrange(1, 5))]
        try:
            session(disk, FOLDER, sizes, told)
        except PowerLoss:
            seen += disk.published
            disk = after(disk)
    disk.stop_at = None
    session(disk, FOLDER, [3], told)
    log = Log.open(FOLDER, TRUST, disk)
    assert log.size == len(told.acknowledged)
    check(log, told.acknowledged)
    assert disk.read(JOURNAL) == b""
    for data in {*seen, *disk.published}:
        earlier = open_checkpoint(data, TRUST, "earlier")
        assert log.root_at(earlier.size) == earlier.root  # whoever saw a checkpoint still finds its tree in the log


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_kill_at_any_step(seed: int) -> None:
    crash_and_go_on(seed, kill=True)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_loss_of_power_at_any_step(seed: int) -> None:
    crash_and_go_on(seed, kill=False)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_both_at_any_step(seed: int) -> None:
    crash_and_go_on(seed, kill=None)


@pytest.mark.parametrize("kill", [True, False])
def test_every_step_of_a_session(kill: bool) -> None:
    choose = random.Random(1)
    step = 0
    while True:
        step += 1
        disk, told = ModelDisk(choose), Told()
        create_log(FOLDER, SIGNER, disk)
        session(disk, FOLDER, [200], told)
        disk.stop_at = disk.steps + step
        try:
            session(disk, FOLDER, [40, 30], told)  # fills a tile: a partial one goes, a full one and a level come
        except PowerLoss:
            disk = disk.after_kill() if kill else disk.after_loss()
        else:
            break
        session(disk, FOLDER, [1], told)
        check(Log.open(FOLDER, TRUST, disk), told.acknowledged)
    assert step > 20


def test_the_model_loses_what_is_not_synced() -> None:
    """The must-fail of the tests above: without fsync they would find it."""

    class Hasty(ModelDisk):
        def _sync_file(self, name: str) -> None:
            pass

    lost = 0
    for seed in range(40):
        disk, told = Hasty(random.Random(seed)), Told()
        try:
            create_log(FOLDER, SIGNER, disk)
            session(disk, FOLDER, [5], told)
            session(disk.after_loss(), FOLDER, [1], told)
        except (AssertionError, IntegrityError, UsageError):
            lost += 1
    assert lost > 20


def test_the_model_finds_a_checkpoint_that_comes_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    class Early(ModelDisk):
        def sync(self) -> None:
            pass

    lost = 0
    for seed in range(40):
        disk, told = Early(random.Random(seed)), Told()
        disk.tree[""], disk.lasting[""] = {}, {}
        try:
            create_log(FOLDER, SIGNER, disk)
            disk._sync_folder("")
            session(disk, FOLDER, [300], told)
            session(disk.after_loss(), FOLDER, [1], told)
        except (AssertionError, IntegrityError, UsageError, FileNotFoundError):
            lost += 1
    assert lost > 20


# --- real processes ------------------------------------------------------------------------------------------------------


class Suicidal(Disk):
    """Kills its own process in the middle of a step, the hard way."""

    def __init__(self, folder: Path, steps: int, choose: random.Random) -> None:
        super().__init__(folder)
        self.left = steps
        self.choose = choose

    def _last(self) -> bool:
        self.left -= 1
        return self.left == 0

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _append(self, name: str, data: bytes) -> None:
        if self._last():
            super()._append(name, data[: self.choose.randrange(len(data) + 1)])
            self._die()
        super()._append(name, data)
        if self._last():
            self._die()

    def _sync_file(self, name: str) -> None:
        """What a killed process wrote is there without it."""

    _sync_folder = _sync_file

    def _write(self, name: str, data: bytes) -> None:
        if self._last():
            super()._write(name, data[: self.choose.randrange(len(data) + 1)])
            self._die()
        super()._write(name, data)

    def _rename(self, old: str, new: str) -> None:
        if self._last():
            self._die()
        super()._rename(old, new)
        if self._last():
            self._die()

    def truncate(self, name: str, size: int) -> None:
        if self._last():
            self._die()
        super().truncate(name, size)

    def remove(self, name: str) -> None:
        if self._last():
            self._die()
        super().remove(name)


def in_child(work: Callable[[int], None]) -> tuple[bytes, int]:
    """What a child process wrote to its pipe, and how it ended."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reads)
            work(writes)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a child must not come back into the tests
            os._exit(1)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        said = pipe.read()
    return said, os.waitpid(child, 0)[1]


def test_kill_9_at_200_random_points(tmp_path: Path) -> None:
    choose = random.Random(20261129)
    killed, before = 0, 0
    folder = tmp_path / "0"
    create_log(folder, SIGNER)
    while killed < 200:
        if before > 700:
            folder, before = tmp_path / str(len([*tmp_path.iterdir()])), 0
            create_log(folder, SIGNER)
        steps, sizes = choose.randrange(1, 22), [choose.choice([1, 3, 50, 256]) for _ in range(3)]

        def work(pipe: int, folder: Path = folder, steps: int = steps, sizes: Sequence[int] = tuple(sizes)) -> None:
            disk = Suicidal(folder, steps, random.Random(steps))
            with open_writer(folder, SIGNER, disk=disk) as writer:
                os.write(pipe, b"%d\n" % writer.checkpoint.size)
                for size in sizes:
                    numbers = writer.append_raw(numbered(writer.checkpoint.size, size))
                    os.write(pipe, b"%d\n" % numbers.stop)  # acknowledged: whoever reads this relies on it

        said, status = in_child(work)
        assert os.WIFSIGNALED(status) or status == 0
        killed += os.WIFSIGNALED(status)
        acknowledged = int(said.split()[-1])
        assert acknowledged >= before
        log = Log.open(folder, TRUST)
        check(log, numbered(0, log.size))  # what is published is right at every moment
        recovery = recover_log(folder, TRUST)
        recovered = Log.open(folder, TRUST)
        assert recovered.size - acknowledged in (0, *sizes)  # and a batch is there whole or not at all
        assert recovery.published == recovered.size - log.size
        check(recovered, numbered(0, recovered.size))
        before = recovered.size
    with open_writer(folder, SIGNER) as writer:
        assert writer.recovery == Recovery()


def test_two_processes_append_without_loss(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    create_log(folder, SIGNER)
    batches, children = 25, []
    for name in (b"one", b"two", b"three"):
        child = os.fork()
        if child == 0:
            try:
                for batch in range(batches):
                    with open_writer(folder, SIGNER) as writer:
                        writer.append_raw([b"%s %d %d" % (name, batch, number) for number in range(7)])
                os._exit(0)
            except BaseException:  # noqa: BLE001 - a child must not come back into the tests
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    log = Log.open(folder, TRUST)
    found = [data.split() for _, data in log.entries()]
    assert len(found) == 3 * batches * 7
    assert all(len({(name, batch) for name, batch, _ in found[at : at + 7]}) == 1 for at in range(0, len(found), 7))
    for name in (b"one", b"two", b"three"):
        mine = [(int(batch), int(number)) for who, batch, number in found if who == name]
        assert mine == [(batch, number) for batch in range(batches) for number in range(7)]


# --- errors that are no crashes --------------------------------------------------------------------------------------------


class Full(Disk):
    """A disk that has room for files of so many bytes, and no larger ones."""

    room = 10**9

    def _append(self, name: str, data: bytes) -> None:
        super()._append(name, data[: self.room])
        self._check(data)

    def _write(self, name: str, data: bytes) -> None:
        super()._write(name, data[: self.room])
        self._check(data)

    def _check(self, data: bytes) -> None:
        if len(data) > self.room:
            raise OSError(28, "No space left on device")


def test_a_full_disk(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    create_log(folder, SIGNER)
    disk = Full(folder)
    with open_writer(folder, SIGNER, disk=disk) as writer:
        writer.append_raw(numbered(0, 10))
        disk.room = 200
        with pytest.raises(BenchError, match=r"No space left on device[^$]*acknowledged is safe"):
            writer.append_raw(numbered(10, 10))
        with pytest.raises(BenchError, match="given up"):
            writer.append_raw(numbered(10, 10))
    assert Log.open(folder, TRUST).size == 0  # published when there is room again
    with open_writer(folder, SIGNER) as writer:
        assert writer.recovery.published == 10
        assert writer.recovery.torn == 200
        writer.append_raw(numbered(10, 1))
    check(Log.open(folder, TRUST), numbered(0, 11))


def test_a_full_disk_while_publishing(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    create_log(folder, SIGNER)
    disk = Full(folder)
    with open_writer(folder, SIGNER, disk=disk) as writer:
        writer.append_raw(numbered(0, 300))
        disk.room = 100
        with pytest.raises(BenchError, match="No space"):
            writer.publish()
    assert Log.open(folder, TRUST).size == 0
    assert recover_log(folder, TRUST) == Recovery(300, 0)
    check(Log.open(folder, TRUST), numbered(0, 300))


def test_a_batch_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAXIMUM_BATCH", 1000)
    create_log(tmp_path / "a/b/log", SIGNER)
    with open_writer(tmp_path / "a/b/log", SIGNER) as writer:
        with pytest.raises(UsageError, match="too large"):
            writer.append_raw([bytes(600), bytes(600)])
        assert writer.append_raw([bytes(998)]) == range(1)


def test_long_series_are_published_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "PUBLISH_AT", 9_000)
    folder, sizes = tmp_path / "log", []
    create_log(folder, SIGNER)
    with open_writer(folder, SIGNER) as writer:
        for batch in range(20):
            writer.append_raw(numbered(batch * 256, 256))
            sizes.append(Log.open(folder, TRUST).size)
    assert 0 in sizes
    assert len({*sizes}) > 4
    check(Log.open(folder, TRUST), numbered(0, 20 * 256))
    assert not [name for name in Disk(folder).names("tile/0") if name.endswith(".p")]


def test_damage_in_the_journal(tmp_path: Path) -> None:
    one, two = (Record(start, tuple(numbered(start, 2)), b"checkpoint\n").to_bytes() for start in (0, 2))
    assert [record.new for record in parse_journal(one + two).records] == [2, 4]
    for cut in range(len(two)):
        journal = parse_journal(one + two[:cut])
        assert (len(journal.records), journal.end, journal.torn) == (1, len(one), cut)
    for at in range(len(one)):
        with pytest.raises(IntegrityError, match=r"\.journal: is damaged at byte 0"):
            parse_journal(one[:at] + bytes([one[at] ^ 1]) + one[at + 1 :] + two)
    assert parse_journal(one + bytes(500)).torn == 500
    assert parse_journal(one + b"dpj1" * 900).torn == 3600
    with pytest.raises(IntegrityError, match=f"damaged at byte {len(one)}"):
        parse_journal(one + b"dpj1" * 100_000)


def test_forged_journals(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    create_log(folder, SIGNER)
    with open_writer(folder, SIGNER) as writer:
        writer.append_raw(numbered(0, 3))
        signed = writer.checkpoint
    journal = folder / JOURNAL
    stranger = log_signer(9)
    other = tmp_path / "other"
    create_log(other, stranger)
    with open_writer(other, stranger) as writer:
        writer.append_raw([*numbered(0, 3), b"forged"])
        foreign = writer.checkpoint.data
    for record, wrong in (
        (Record(3, (b"forged",), foreign), "not signed by a trusted key"),
        (Record(3, (b"forged",), signed.data), "not what its checkpoint signs"),
        (Record(4, (b"forged",), signed.data), "continues a log of 4 entries; there are 3"),
        (Record(2, (b"x", b"forged"), signed.data), "continues a log of 2 entries; there are 3"),
    ):
        journal.write_bytes(record.to_bytes())
        with pytest.raises(IntegrityError, match=rf"\.journal: .*{wrong}"), open_writer(folder, SIGNER):
            pass
        with pytest.raises(IntegrityError, match=wrong):
            recover_log(folder, TRUST)
    journal.write_bytes(Record(1, tuple(numbered(1, 2)), signed.data).to_bytes())  # published long since
    assert recover_log(folder, TRUST) == Recovery()
    assert journal.read_bytes() == b""
    journal.unlink()  # a copy of a log without it
    assert recover_log(folder, TRUST) == Recovery()
    check(Log.open(folder, TRUST), numbered(0, 3))
