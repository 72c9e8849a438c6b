"""Leases: one device, one user; tokens that only rise; neither a crash, a set clock nor a restart breaks that."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from devicepipe.bench.holder import Holder, Host, Process, this_process, this_user
from devicepipe.bench.lease import Lease, LeaseHeldError, LeaseLostError, LeaseStore
from devicepipe.errors import BenchError, UsageError

DEVICE = "nrf-03"


class SimulatedHost(Host):
    """A machine whose clocks pass, whose processes die and which is restarted when a test says so."""

    def __init__(self) -> None:
        self.name, self.boot = "bench-1", "boot-1"
        self.clock, self.since_start = 1_800_000_000.0, 100.0
        self.living: set[int] = set()

    def now(self) -> float:
        return self.clock

    def uptime(self) -> float:
        return self.since_start

    def lives(self, holder: Holder) -> bool:
        return holder.process is None or holder.process.pid in self.living

    def pass_time(self, seconds: float) -> None:
        self.clock += seconds
        self.since_start += seconds

    def restart(self) -> None:
        self.boot += "'"
        self.since_start = 0.0
        self.living.clear()

    def person(self, user: str) -> Holder:
        return Holder(user=user, host=self.name, boot=self.boot)

    def process(self, user: str, pid: int) -> Holder:
        self.living.add(pid)
        process = Process(pid=pid, started=pid, namespace=1)
        return Holder(user=user, host=self.name, boot=self.boot, process=process)


@pytest.fixture
def host() -> SimulatedHost:
    return SimulatedHost()


@pytest.fixture
def store(tmp_path: Path, host: SimulatedHost) -> LeaseStore:
    return LeaseStore(tmp_path / "bench", host)


def test_a_held_device_is_refused_with_who_has_it_and_until_when(store: LeaseStore, host: SimulatedHost) -> None:
    store.acquire(DEVICE, host.process("ada", 17), 60)
    with pytest.raises(LeaseHeldError, match=r"'nrf-03' is held by ada@bench-1, process 17 until 2027-01-15T08:01:00Z"):
        store.acquire(DEVICE, host.process("bob", 18), 60)
    store.acquire("nrf-04", host.process("bob", 18), 60)


def test_a_dead_process_holds_nothing_and_its_token_is_not_given_out_again(
    store: LeaseStore, host: SimulatedHost
) -> None:
    dead = store.acquire(DEVICE, host.process("ada", 17), 3600)
    host.living.remove(17)
    alive = store.acquire(DEVICE, host.process("bob", 18), 60)
    assert alive.token > dead.token
    with pytest.raises(LeaseLostError, match=r"it expired on .*; now bob@bench-1, process 18 has it"):
        store.demand(dead)
    assert [entry.event for entry in store.history(DEVICE)] == ["acquired", "expired", "acquired"]


def test_an_expired_lease_is_lost_though_nobody_else_wants_it(store: LeaseStore, host: SimulatedHost) -> None:
    lease = store.acquire(DEVICE, host.process("ada", 17), 60)
    host.pass_time(50)
    store.renew(lease, 60)
    host.pass_time(59)
    store.demand(lease)
    host.pass_time(1)
    for operation in (store.demand, store.release, lambda held: store.renew(held, 60)):
        with pytest.raises(LeaseLostError, match="expired"):
            operation(lease)


def test_setting_the_time_of_day_ends_no_lease_and_prolongs_none(store: LeaseStore, host: SimulatedHost) -> None:
    lease = store.acquire(DEVICE, host.person("ada"), 60)
    host.clock += 86400
    store.demand(lease)
    host.clock -= 2 * 86400
    host.pass_time(60)
    with pytest.raises(LeaseLostError):
        store.demand(lease)


def test_a_persons_lease_outlives_a_restart_and_a_processs_does_not(store: LeaseStore, host: SimulatedHost) -> None:
    person = store.acquire(DEVICE, host.person("ada"), 3600)
    process = store.acquire("nrf-04", host.process("ada", 17), 3600)
    host.restart()
    host.living.add(17)
    store.demand(person)
    with pytest.raises(LeaseLostError):
        store.demand(process)
    host.pass_time(3600)
    with pytest.raises(LeaseLostError):
        store.demand(person)


def test_only_force_ends_anothers_lease_and_that_is_written_down(store: LeaseStore, host: SimulatedHost) -> None:
    lease = store.acquire(DEVICE, host.person("ada"), 3600)
    with pytest.raises(UsageError, match=r"not yours to end: .*held by ada@bench-1"):
        store.release_by(DEVICE, host.person("bob"))
    store.demand(lease)
    store.release_by(DEVICE, host.person("bob"), force=True)
    with pytest.raises(LeaseLostError, match="it was taken by force by bob@bench-1"):
        store.demand(lease)
    last = store.history(DEVICE)[-1]
    assert (last.event, last.token, str(last.holder), str(last.by)) == (
        "taken by force",
        lease.token,
        "ada@bench-1",
        "bob@bench-1",
    )


def test_a_user_gives_back_their_own_lease_but_not_that_of_their_running_session(
    store: LeaseStore, host: SimulatedHost
) -> None:
    store.acquire(DEVICE, host.person("ada"), 3600)
    store.release_by(DEVICE, host.person("ada"))
    store.acquire(DEVICE, host.process("ada", 17), 3600)
    with pytest.raises(UsageError, match="not yours to end"):
        store.release_by(DEVICE, host.person("ada"))
    host.living.clear()
    with pytest.raises(UsageError, match="nobody has device"):
        store.release_by(DEVICE, host.person("ada"))


@pytest.mark.parametrize("damage", [b"", b"{", b'{"device":"nrf-03","token":0}\n', b"\0" * 100])
def test_a_damaged_record_is_a_lost_lease_and_tokens_rise_on(
    store: LeaseStore, host: SimulatedHost, damage: bytes
) -> None:
    lease = store.acquire(DEVICE, host.person("ada"), 3600)
    (store.folder / f"{DEVICE}.lease.json").write_bytes(damage)
    with pytest.raises(LeaseLostError):
        store.demand(lease)
    assert store.acquire(DEVICE, host.person("bob"), 60).token > lease.token


def test_an_incomplete_history_entry_hides_no_other(store: LeaseStore, host: SimulatedHost) -> None:
    store.release(store.acquire(DEVICE, host.person("ada"), 60))
    with (store.folder / f"{DEVICE}.history.jsonl").open("ab") as file:
        file.write(b'{"time":17,"event":"acq')
    store.acquire(DEVICE, host.person("bob"), 60)
    assert [str(entry.holder) for entry in store.history(DEVICE)] == ["ada@bench-1", "ada@bench-1", "bob@bench-1"]


def test_a_folder_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"leases cannot be kept in .*file/bench'"):
        LeaseStore(tmp_path / "file" / "bench").acquire(DEVICE, this_user(), 60)


def take(folder: Path, ready: multiprocessing.synchronize.Barrier, won: multiprocessing.queues.Queue[int]) -> None:
    ready.wait(60)
    with suppress(LeaseHeldError):
        won.put(LeaseStore(folder).acquire(DEVICE, this_user(), 60).token)


def test_of_many_processes_that_want_a_device_at_once_one_gets_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, won = context.Barrier(4), context.Queue()
    processes = [context.Process(target=take, args=(tmp_path, ready, won)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert won.get(timeout=10) == 1
    assert won.empty()
    won.close()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    """With the real machine's processes: a lease of an hour ends with the process that took it."""
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from devicepipe.bench.holder import this_process\n"
        "from devicepipe.bench.lease import LeaseStore\n"
        f"LeaseStore(Path(sys.argv[1])).acquire({DEVICE!r}, this_process('a test'), 3600)\n"
        "print('held', flush=True)\ntime.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LeaseHeldError, match=rf"process {holder.pid} for a test"):
            LeaseStore(tmp_path).acquire(DEVICE, this_process(), 60)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    assert LeaseStore(tmp_path).acquire(DEVICE, this_process(), 60).token == 2


class LeaseMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order: at most one lease counts, it is the one with the highest token, and tokens rise."""

    leases: Bundle[Lease] = Bundle("leases")

    @initialize()
    def begin(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.host = SimulatedHost()
        self.store = LeaseStore(Path(self.temporary.name), self.host)
        self.given: list[Lease] = []
        self.ended: set[int] = set()
        self.pids = iter(range(1, 10_000))
        self.processes: dict[int, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "temporary"):
            self.temporary.cleanup()

    def holding(self) -> list[Lease]:
        held = []
        for lease in self.given:
            with suppress(LeaseLostError):
                self.store.demand(lease)
                held.append(lease)
        return held

    @rule(target=leases, person=st.booleans(), user=st.sampled_from("ab"), seconds=st.integers(1, 100))
    def acquire(self, person: bool, user: str, seconds: int) -> MultipleResults[Lease] | Lease:
        pid = next(self.pids)
        held = self.holding()
        holder = self.host.person(user) if person else self.host.process(user, pid)
        try:
            lease = self.store.acquire(DEVICE, holder, seconds)
        except LeaseHeldError:
            assert held
            return multiple()
        assert not held
        assert all(lease.token > other.token for other in self.given)
        self.given.append(lease)
        if not person:
            self.processes[pid] = lease.token
        return lease

    @rule(lease=leases, seconds=st.integers(1, 100))
    def renew(self, lease: Lease, seconds: int) -> None:
        held = lease in self.holding()
        try:
            self.store.renew(lease, seconds)
            assert held
        except LeaseLostError:
            assert not held

    @rule(lease=consumes(leases))
    def release(self, lease: Lease) -> None:
        held = lease in self.holding()
        try:
            self.store.release(lease)
            assert held
        except LeaseLostError:
            assert not held
        self.ended.add(lease.token)

    @rule(user=st.sampled_from("ab"))
    def take_by_force(self, user: str) -> None:
        with suppress(UsageError):
            self.ended.add(self.store.release_by(DEVICE, self.host.person(user), force=True).token)

    @rule(seconds=st.integers(1, 200))
    def pass_time(self, seconds: int) -> None:
        self.host.pass_time(seconds)
        if seconds >= 100:
            self.ended.update(lease.token for lease in self.given)

    @rule(seconds=st.integers(-100_000, 100_000))
    def set_time_of_day(self, seconds: int) -> None:
        held = self.holding()
        self.host.clock += seconds
        # Only a lease from before a restart has nothing but the time of day to go by.
        if "'" not in self.host.boot:
            assert self.holding() == held

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        pid = data.draw(st.sampled_from(sorted(self.processes)))
        self.ended.add(self.processes.pop(pid))
        self.host.living.discard(pid)

    @rule()
    def restart(self) -> None:
        self.host.restart()
        self.ended.update(self.processes.values())
        self.processes.clear()

    @rule(size=st.integers(0, 40))
    def lose_the_record(self, size: int) -> None:
        path = self.store.folder / f"{DEVICE}.lease.json"
        if path.exists():
            path.write_bytes(path.read_bytes()[:size])
            self.ended.update(lease.token for lease in self.given)

    @invariant()
    def at_most_one_lease_counts_and_it_is_the_last(self) -> None:
        held = self.holding()
        assert len(held) <= 1
        assert not held or held[0] == self.given[-1]

    @invariant()
    def what_ended_stays_ended(self) -> None:
        assert not [lease for lease in self.holding() if lease.token in self.ended]

    @invariant()
    def the_history_tells_of_every_lease_once(self) -> None:
        acquired = [entry.token for entry in self.store.history(DEVICE) if entry.event == "acquired"]
        assert acquired == [lease.token for lease in self.given]


LeaseMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
TestLeaseMachine = LeaseMachine.TestCase


def test_the_history_is_for_people_and_for_former_entries(store: LeaseStore, host: SimulatedHost) -> None:
    lease = store.acquire(DEVICE, host.person("ada"), 60)
    store.release(lease)
    file = store.folder / f"{DEVICE}.history.jsonl"
    lines = file.read_text().split("\n")
    assert len(lines) == 3
    assert '"time":"2027-01-15T08:00:00.000Z"' in lines[0]
    former = lines[0].replace('"2027-01-15T08:00:00.000Z"', "1800000000.25").replace('"token":1', '"token":7')
    file.write_text(f"\n{former}\n")
    assert [(entry.time, entry.token) for entry in store.history(DEVICE)] == [(1800000000.25, 7)]
    assert store.acquire(DEVICE, host.person("bob"), 60).token == 8


def test_looking_writes_nothing(store: LeaseStore) -> None:
    assert store.read(DEVICE).holder is None
    assert not store.folder.exists()
