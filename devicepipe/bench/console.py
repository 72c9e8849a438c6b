"""A device's console for a person at a terminal, or for what is piped into it.

What always holds: the terminal is as before afterwards, however it ends.
"""

from __future__ import annotations

import os
import select
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from devicepipe.bench.channel import Stream
from devicepipe.errors import BenchError

LEAVE = b"\x1d"
"""Ctrl-]"""

_CHUNK = 4096
_LOOK = 0.25  # s between two looks whether the device is still ours


def run_console(
    stream: Stream, keys: int, screen: int, seconds: float | None, lost: Callable[[], str], title: str = ""
) -> None:
    """Pass bytes between a person and a device.

    On a terminal until Ctrl-] is typed: what is typed goes to the device at once, and to the screen, since a device does not echo.
    Otherwise all that can be read goes to the device, and what it sends is shown until `seconds` after the end of that.

    Args:
        stream: The device's console.
        keys: The file descriptor that is read.
        screen: The file descriptor that is written.
        seconds: The longest time; on a terminal from the start, otherwise from the end of the input. None: on a terminal for ever,
            otherwise 1 s.
        lost: Says why the device is no longer ours, or "".
        title: Shown on a terminal as soon as keys are taken.

    Raises:
        BenchError: The device was lost, or is no longer ours.
    """
    terminal = os.isatty(keys)
    over = threading.Event()
    woken = os.eventfd(0)
    wrong: list[Exception] = []

    def show() -> None:
        try:
            while not over.is_set():
                if data := stream.read(_CHUNK, _LOOK):
                    _write(screen, data)
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits
            wrong.append(error)
            os.eventfd_write(woken, 1)

    shower = threading.Thread(target=show, name="devicepipe-console", daemon=True)
    with _raw(keys) if terminal else _as_it_is():
        if terminal and title:
            _write(screen, f"{title}: Ctrl-] leaves\r\n".encode())
        shower.start()
        try:
            _pass(stream, keys, screen, woken, seconds, lost)
        finally:
            over.set()
            shower.join()
            os.close(woken)
    if wrong:
        raise wrong[0]


def _pass(stream: Stream, keys: int, screen: int, woken: int, seconds: float | None, lost: Callable[[], str]) -> None:
    terminal = os.isatty(keys)
    reading = True
    end = time.monotonic() + seconds if terminal and seconds is not None else None
    while end is None or time.monotonic() < end:
        ready = select.select([woken, *([keys] if reading else [])], (), (), _LOOK if end is None else _left(end))[0]
        if woken in ready:
            return
        if why := lost():
            raise BenchError(why)
        if keys not in ready:
            continue
        data = os.read(keys, _CHUNK)
        before, leave, _ = data.partition(LEAVE) if terminal else (data, b"", b"")
        if terminal:
            before = before.replace(b"\r", b"\n")
            _write(screen, before.replace(b"\n", b"\r\n"))
        if before:
            stream.write(before)
        if leave:
            return
        if not data:
            reading, end = False, time.monotonic() + (1.0 if seconds is None else seconds)


def _left(end: float) -> float:
    return max(0.0, min(_LOOK, end - time.monotonic()))


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


@contextmanager
def _raw(keys: int) -> Iterator[None]:
    before = termios.tcgetattr(keys)
    tty.setraw(keys)
    try:
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield
