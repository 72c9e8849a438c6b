"""Jobs on the cores: processes of our own, each with one job at a time.

What always holds: every job's result comes back, or an error is raised; a process that dies is an error, never a missing result;
when `run_jobs` returns or raises, whatever for, none of its processes runs any more, and with them died their emulators.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from devicepipe.bench.tied_process import die_with_parent
from devicepipe.errors import BenchError, DevicepipeError, ProductError, UsageError

T = TypeVar("T")
_LOOK = 0.5


@dataclass(frozen=True)
class Job(Generic[T]):
    """One job: its name for messages, a function that a new process can import, and its arguments."""

    name: str
    work: Callable[..., T]
    arguments: tuple[Any, ...]


def run_jobs(jobs: Sequence[Job[T]], processes: int, cancel: threading.Event) -> Iterator[T]:
    """The results of all jobs, each as it comes.

    Raises:
        KeyboardInterrupt: `cancel` was set.
        BenchError: A process died.
        DevicepipeError: What a job raised.
    """
    waiting = list(jobs)
    running: dict[Connection, tuple[BaseProcess, Job[T]]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                job = waiting.pop(0)
                with _interrupts_held():
                    connection, process = _start(job)
                    running[connection] = process, job
            for ready in wait(list(running), timeout=_LOOK):
                assert isinstance(ready, Connection)
                process, job = running[ready]
                result = _result(ready, process, job)
                del running[ready]
                yield result
            if cancel.is_set():
                raise KeyboardInterrupt
    finally:
        for connection, (process, _) in running.items():
            process.kill()
            process.join()
            connection.close()


def _result(connection: Connection, process: BaseProcess, job: Job[T]) -> T:
    try:
        failed, value = connection.recv()
    except EOFError as error:
        process.join()
        raise BenchError(
            f"the process of '{job.name}' died (exit code {process.exitcode}): nothing is known of its points",
            remedy="check the memory of this machine, then run again",
        ) from error
    process.join()
    connection.close()
    if failed:
        raise value
    found: T = value
    return found


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold SIGINT back, also in what is started meanwhile: a new process is deaf to it before it can do anything about it."""
    resource_tracker.ensure_running()  # it would let signals through again when the first process starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(job: Job[T]) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, os.getpid(), job), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _work(connection: Connection, owner: int, job: Job[Any]) -> None:
    # Ctrl-C reaches the whole group; who started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with_parent()
    if os.getppid() != owner:
        return
    try:
        answer: tuple[bool, Any] = False, job.work(*job.arguments)
    except UsageError as error:
        # It is about what a person wrote, wherever that was found out.
        answer = True, UsageError(error.message, file=error.file, line=error.line, key=error.key, remedy=error.remedy)
    except DevicepipeError as error:
        kind = ProductError if isinstance(error, ProductError) else BenchError
        answer = True, kind(f"{job.name}: {error.message}", remedy=error.remedy)
    except Exception as error:  # noqa: BLE001 - it is told where the campaign runs
        answer = True, BenchError(f"{job.name}: {type(error).__name__}: {error}", remedy="report this")
    connection.send(answer)
