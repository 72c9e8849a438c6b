"""The core that a lock-step keeps to: claimed once, given back, done without where there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from devicepipe.bench.core import SharedCore


@pytest.fixture(autouse=True)
def schedule() -> Iterator[tuple[set[int], int]]:
    before = os.sched_getaffinity(0), os.sched_getscheduler(0)
    yield before
    assert (os.sched_getaffinity(0), os.sched_getscheduler(0)) == before


def test_thread_is_scheduled_as_before_afterwards(schedule: tuple[set[int], int]) -> None:
    core = SharedCore()
    # None is free where other tests run beside this one.
    assert os.sched_getaffinity(0) <= schedule[0]
    core.close()
    core.close()
    assert os.sched_getaffinity(0) == schedule[0]


def test_no_core_is_claimed_twice() -> None:
    """As many lock-steps as there are cores, and one more, which goes without."""
    everything, claimed, go = os.sched_getaffinity(0), list[tuple[set[int], int]](), threading.Event()

    def step(ready: threading.Event) -> None:
        core = SharedCore()
        claimed.append((os.sched_getaffinity(0), os.sched_getscheduler(0)))
        ready.set()
        go.wait(30)
        core.close()

    threads = []
    for _ in range(len(everything) + 1):
        ready = threading.Event()
        threads.append(threading.Thread(target=step, args=(ready,)))
        threads[-1].start()
        assert ready.wait(30)
    go.set()
    for thread in threads:
        thread.join()
    single = [next(iter(cores)) for cores, policy in claimed if policy == os.SCHED_BATCH]
    assert len(single) == len(set(single)) <= len(everything)
    assert (everything, os.SCHED_OTHER) in claimed


def test_thread_that_has_ended_is_left_alone() -> None:
    made: list[SharedCore] = []
    thread = threading.Thread(target=lambda: made.append(SharedCore()))
    thread.start()
    thread.join()
    made[0].close()
