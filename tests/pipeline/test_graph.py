"""The stage graph: order, parallelism, failure, cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.pipeline.graph import Step, run

BOUND = 20.0  # seconds no wait of these tests ever takes


class Recorder:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def _add(self, what: str, name: str) -> None:
        with self._lock:
            self.events.append((what, name))

    def begin(self, steps: Iterable[Step]) -> None:
        self._add("begin", " ".join(step.name for step in steps))

    def started(self, step: Step) -> None:
        self._add("started", step.name)

    def advanced(self, step: Step, text: str) -> None:
        self._add("advanced", f"{step.name} {text}")

    def finished(self, step: Step, seconds: float, outcome: str) -> None:
        assert seconds >= 0
        self._add(outcome, step.name)

    def end(self) -> None:
        self._add("end", "")


def nothing(_tell: Callable[[str], None]) -> None:
    return None


def test_steps_start_after_what_they_need() -> None:
    seen = Recorder()
    run([Step("c", nothing, ("b",)), Step("b", nothing, ("a",)), Step("a", nothing)], seen, threading.Event(), 2)
    assert [name for what, name in seen.events if what == "started"] == ["a", "b", "c"]
    assert seen.events[-1] == ("end", "")


def test_independent_steps_run_together() -> None:
    meeting = threading.Barrier(2, timeout=BOUND)

    def meet(_tell: Callable[[str], None]) -> None:
        meeting.wait()

    steps = [Step(name, meet) for name in ("a", "b")]
    assert set(run(steps, Recorder(), threading.Event(), 2)) == {"a", "b"}


def test_no_more_cpu_steps_than_processors_but_waiting_steps_beside_them() -> None:
    lock, running, peak = threading.Lock(), [0], [0]
    beside = threading.Event()

    def compute(_tell: Callable[[str], None]) -> None:
        with lock:
            running[0] += 1
            peak[0] = max(peak[0], running[0])
        assert beside.wait(BOUND)
        with lock:
            running[0] -= 1

    steps = [Step(f"c{i}", compute) for i in range(6)] + [Step("device", lambda _tell: beside.set(), kind="wait")]
    run(steps, Recorder(), threading.Event(), 2)
    assert peak[0] == 2


def test_the_first_error_cancels_the_rest_and_is_raised() -> None:
    cancel, seen = threading.Event(), Recorder()

    def fail(_tell: Callable[[str], None]) -> None:
        raise RuntimeError("no")

    def long(_tell: Callable[[str], None]) -> None:
        assert cancel.wait(BOUND)
        raise InterruptedError

    with pytest.raises(RuntimeError, match="no"):
        run([Step("fails", fail), Step("long", long), Step("after", nothing, ("fails",))], seen, cancel, 2)
    assert ("failed", "fails") in seen.events
    assert ("cancelled", "long") in seen.events
    assert ("started", "after") not in seen.events


def test_a_cycle_is_an_error_and_no_endless_wait() -> None:
    with pytest.raises(ValueError, match="need each other"):
        run([Step("a", nothing, ("b",)), Step("b", nothing, ("a",))], Recorder(), threading.Event(), 1)


def test_two_steps_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="one name"):
        run([Step("a", nothing), Step("a", nothing)], Recorder(), threading.Event(), 1)


def test_an_unknown_need_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown"):
        run([Step("a", nothing, ("z",))], Recorder(), threading.Event(), 1)


@given(st.lists(st.sets(st.integers(0, 11), max_size=4), max_size=12), st.integers(1, 3))
def test_any_acyclic_graph_runs_each_step_once_in_order(needs: list[set[int]], cpus: int) -> None:
    steps = [Step(str(i), nothing, tuple(str(n) for n in sorted(need) if n < i)) for i, need in enumerate(needs)]
    order: list[str] = []
    lock = threading.Lock()

    def log(name: str) -> Callable[[Callable[[str], None]], None]:
        def body(_tell: Callable[[str], None]) -> None:
            with lock:
                order.append(name)

        return body

    run([Step(step.name, log(step.name), step.needs) for step in steps], Recorder(), threading.Event(), cpus)
    assert sorted(order) == sorted(step.name for step in steps)
    assert all(order.index(need) < order.index(step.name) for step in steps for need in step.needs)
