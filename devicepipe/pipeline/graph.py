"""A graph of steps: what needs what, run in threads as soon as it can run.

What always holds: a step starts only after all steps it needs have finished well; every started step is reported finished,
failed or cancelled; `run` returns only when no step is running any more. The first error cancels what is running and
what would follow, and is raised; an interrupt (Ctrl-C) does the same.

Steps of kind "cpu" (compilers) never run more than `cpus` at a time; steps of kind "wait" (devices) always may start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, ParamSpec, Protocol

P = ParamSpec("P")

Tell = Callable[[str], None]
"""Tells how far a step has come, in a few words."""


@dataclass(frozen=True)
class Step:
    """One node of the graph."""

    name: str
    run: Callable[[Tell], None]
    needs: tuple[str, ...] = ()
    kind: Literal["cpu", "wait"] = "cpu"


@dataclass
class Timing:
    """When a step ran: seconds since the run began."""

    start: float
    end: float = field(default=0.0)

    @property
    def seconds(self) -> float:
        """How long the step took."""
        return self.end - self.start


def quietly(stage: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> Callable[[Tell], None]:
    """A step's body from a stage that has no progress of its own to tell."""

    def body(_tell: Tell) -> None:
        stage(*arguments, **keywords)

    return body


class Progress(Protocol):
    """What a run reports, from several threads."""

    def begin(self, steps: Iterable[Step]) -> None:
        """The whole graph, before anything starts."""

    def started(self, step: Step) -> None:
        """A step starts."""

    def advanced(self, step: Step, text: str) -> None:
        """A step has come further."""

    def finished(self, step: Step, seconds: float, outcome: Literal["done", "failed", "cancelled"]) -> None:
        """A step has ended."""

    def end(self) -> None:
        """Nothing more will be reported."""


def run(steps: Iterable[Step], progress: Progress, cancel: threading.Event, cpus: int) -> Mapping[str, Timing]:
    """Run all steps.

    Args:
        steps: The graph; a step may need only steps that are in it.
        progress: Where to report.
        cancel: Set by this function when something fails; steps that run for long watch it.
        cpus: How many "cpu" steps may run at once.

    Returns:
        When each step ran, by name.

    Raises:
        Exception: The first error of a step, after all others have ended.
        KeyboardInterrupt: The user interrupted; all steps have ended.
    """
    named = [(step.name, step) for step in steps]
    if len(dict(named)) < len(named):
        raise ValueError("two steps have one name")
    graph = _Graph(dict(named), progress, cancel, cpus)
    progress.begin(graph.steps.values())
    try:
        return graph.run()
    finally:
        progress.end()


class _Graph:
    def __init__(self, steps: dict[str, Step], progress: Progress, cancel: threading.Event, cpus: int) -> None:
        for step in steps.values():
            unknown = set(step.needs) - set(steps)
            if unknown:
                raise ValueError(f"step {step.name} needs unknown {sorted(unknown)}")
        self.steps = steps
        self._progress = progress
        self._cancel = cancel
        self._cpus = cpus
        self._done: set[str] = set()
        self._running: dict[Future[None], Step] = {}
        self._timings: dict[str, Timing] = {}
        self._origin = time.monotonic()

    def run(self) -> Mapping[str, Timing]:
        waiting = dict(self.steps)
        first: BaseException | None = None
        with ThreadPoolExecutor(max_workers=max(1, len(waiting)), thread_name_prefix="step") as pool:
            while self._running or (waiting and first is None):
                try:
                    if first is None:
                        self._start_ready(waiting, pool)
                    error = self._collect()
                except (KeyboardInterrupt, ValueError) as stop:
                    error = stop
                if error is not None:
                    self._cancel.set()
                    first = first or error
        if first is not None:
            raise first
        return self._timings

    def _start_ready(self, waiting: dict[str, Step], pool: ThreadPoolExecutor) -> None:
        busy = sum(step.kind == "cpu" for step in self._running.values())
        for step in list(waiting.values()):
            if not self._done.issuperset(step.needs) or (step.kind == "cpu" and busy >= self._cpus):
                continue
            busy += step.kind == "cpu"
            del waiting[step.name]
            self._timings[step.name] = Timing(time.monotonic() - self._origin)
            self._progress.started(step)
            self._running[pool.submit(step.run, partial(self._progress.advanced, step))] = step
        if not self._running:
            raise ValueError(f"the steps {sorted(waiting)} need each other")

    def _collect(self) -> BaseException | None:
        """Wait until a step ends; the error of the first that failed, if any."""
        # A bounded wait keeps the main thread able to receive signals.
        ended, _ = wait(self._running, timeout=1.0, return_when=FIRST_COMPLETED)
        error: BaseException | None = None
        for future in ended:
            step = self._running.pop(future)
            timing = self._timings[step.name]
            timing.end = time.monotonic() - self._origin
            failure = future.exception()
            if failure is None:
                self._done.add(step.name)
                self._progress.finished(step, timing.seconds, "done")
            else:
                self._progress.finished(step, timing.seconds, "cancelled" if self._cancel.is_set() else "failed")
                error = error or failure
        return error
