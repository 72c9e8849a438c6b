"""Data that come in time, or not at all: whoever sends them slowly, or never ends, keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Empty, Queue
from threading import Event, Thread
from time import monotonic
from typing import Final

PATIENCE: Final = 60
"""How long one may be kept waiting for a file beyond what its bytes may take, in seconds."""
SLOWEST: Final = 8 * 1024
"""How many bytes a second must come besides, on average."""
CHUNK: Final = 16 * 1024
"""In which parts to read for that: two seconds of the slowest."""

_AHEAD = 16


def timely(start: Callable[[], Iterator[bytes]], what: str, sent: int = 0) -> Iterator[bytes]:
    """The chunks of an iterator, as long as they come in time.

    They are fetched by a thread of its own: whatever that waits for (a name, a connection, a header, a byte), it is waited for no
    longer, and it ends when that does, or with the process.

    Args:
        start: Makes the iterator; of chunks of some `CHUNK` bytes.
        what: What it is, for people.
        sent: How many bytes have to be sent before any come.

    Raises:
        TimeoutError: They do not: `PATIENCE` has passed, and the time that what came may take.
        Exception: Whatever `start` and the iterator raise.
    """
    chunks, given_up = Queue[bytes | Exception | None](_AHEAD), Event()

    def fetch() -> None:
        try:
            for chunk in start():
                chunks.put(chunk)
                if given_up.is_set():
                    return
            chunks.put(None)
        except Exception as error:  # noqa: BLE001 - raised by who waits
            chunks.put(error)

    begun, received = monotonic(), 0
    Thread(target=fetch, name=f"fetch {what}", daemon=True).start()
    try:
        while True:
            left = begun + PATIENCE + (sent + received) / SLOWEST - monotonic()
            try:
                chunk = chunks.get(timeout=max(left, 0))
            except Empty as error:
                raise TimeoutError(
                    f"{received} bytes of {what} came in {monotonic() - begun:.0f} s: {SLOWEST} a second must"
                ) from error
            if chunk is None:
                return
            if isinstance(chunk, Exception):
                raise chunk
            received += len(chunk)
            yield chunk
    finally:
        given_up.set()
        while not chunks.empty():  # the thread may wait for room
            chunks.get_nowait()
