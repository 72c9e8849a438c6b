"""A clock that a busy machine does not make run, without an emulator; and one emulator that is kept from running."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.bench.fair_clock import FairClock


class Machine:
    """A thread of a machine whose time passes by word."""

    def __init__(self, folder: Path) -> None:
        self.now, self.waited = 100.0, 0.0
        self._file = folder / "schedstat"
        self._write()
        self.clock = FairClock(lambda: self.now)
        self.clock.watch(folder)

    def pass_(self, seconds: float, *, without_processor: float = 0.0) -> None:
        """Let time pass, some of it while the thread waits for a processor."""
        self.now += seconds
        self.waited += without_processor
        self._write()

    def _write(self) -> None:
        self._file.write_text(f"123456 {int(self.waited * 1e9)} 7\n", encoding="ascii")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    one = Machine(tmp_path)
    yield one
    one.clock.close()


def test_time_without_a_processor_does_not_count(machine: Machine) -> None:
    begin = machine.clock()
    machine.pass_(5.0)
    assert machine.clock() - begin == pytest.approx(5.0)
    machine.pass_(5.0, without_processor=3.0)
    assert machine.clock() - begin == pytest.approx(7.0)


def test_a_tenth_of_the_time_always_counts(machine: Machine) -> None:
    """So every wait ends, however many threads wait at once."""
    begin = machine.clock()
    machine.pass_(5.0, without_processor=50.0)
    assert machine.clock() - begin == pytest.approx(0.5)
    machine.pass_(1.0)
    assert machine.clock() - begin == pytest.approx(1.5)


@given(steps=st.lists(st.tuples(st.floats(0, 1e4), st.floats(-10, 1e4)), max_size=20))
def test_it_never_goes_back_and_never_runs_ahead(
    steps: list[tuple[float, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine = Machine(tmp_path_factory.mktemp("thread"))
    last, began = machine.clock(), machine.now
    start = last
    for seconds, waited in steps:
        machine.pass_(seconds, without_processor=max(waited, -machine.waited))
        now = machine.clock()
        assert now >= last
        last = now
    assert last - start <= (machine.now - began) * (1 + 1e-9) + 1e-6
    machine.clock.close()


def test_kernel_that_does_not_count(tmp_path: Path) -> None:
    now = [1.0]
    clock = FairClock(lambda: now[0])
    clock.watch(tmp_path / "no-such-thread")
    begin = clock()
    now[0] = 3.0
    assert clock() - begin == 2.0


def waiter(
    machine: Machine, *, without_processor: float
) -> tuple[list[float], Callable[[Callable[[], bool], float], None]]:
    """Waits that all run out, and how long each was."""
    waits: list[float] = []

    def once(condition: Callable[[], bool], seconds: float) -> None:
        if not condition():
            waits.append(seconds)
            machine.pass_(seconds, without_processor=seconds * without_processor)

    return waits, once


def test_wait_goes_on_for_what_the_machine_took(machine: Machine) -> None:
    waits, once = waiter(machine, without_processor=0.5)
    begin = machine.now
    machine.clock.wait(once, lambda: machine.now > begin + 9.0, 5.0)
    assert machine.now == pytest.approx(begin + 9.5, abs=0.6)
    assert len(waits) > 3


def test_wait_for_a_silent_device_is_no_longer_on_an_idle_machine(machine: Machine) -> None:
    waits, once = waiter(machine, without_processor=0.0)
    begin = machine.now
    machine.clock.wait(once, lambda: False, 5.0)
    assert machine.now - begin == pytest.approx(5.0)
    assert len(waits) == 2


def test_wait_on_a_machine_that_is_never_free_ends(machine: Machine) -> None:
    _, once = waiter(machine, without_processor=4.0)
    begin = machine.now
    machine.clock.wait(once, lambda: False, 5.0)
    assert machine.now - begin == pytest.approx(50.0, rel=0.05)


def test_this_kernel_counts_this_thread() -> None:
    clock = FairClock()
    clock.watch_emulator(os.getpid())
    assert clock() <= clock()
    clock.close()
