"""What others at the end of a wire answer: waited for within a bound, and told in one line."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, Queue
from threading import Thread
from typing import Final, TypeVar

from devicepipe.errors import BenchError

PATIENCE: Final = 60
"""How long an answer may take, in seconds, with all attempts and whatever comes meanwhile; a socket's time-out bounds neither."""

_MOST_TOLD = 300
T = TypeVar("T")


def in_time(ask: Callable[[], T], who: str, remedy: str) -> T:
    """What `ask` returns or raises.

    It is waited for by a thread, which ends when that does, or with the process.

    Args:
        ask: Asks somebody.
        who: Whom, for people.
        remedy: What to do where no answer comes.

    Raises:
        BenchError: `PATIENCE` has passed.
        Exception: Whatever `ask` raises.
    """
    made = Queue[tuple[T] | Exception](1)

    def run() -> None:
        try:
            made.put((ask(),))
        except Exception as error:  # noqa: BLE001 - raised by who waits
            made.put(error)

    Thread(target=run, name=f"ask {who}", daemon=True).start()
    try:
        answer = made.get(timeout=PATIENCE)
    except Empty as error:
        raise BenchError(f"{who} has not answered in {PATIENCE} s", remedy=remedy) from error
    if isinstance(answer, Exception):
        raise answer
    return answer[0]


def in_one_line(text: object) -> str:
    """What somebody else says, fit for an error: one printable line, cut where it is long."""
    line = " ".join("".join(one if one.isprintable() else " " for one in str(text)).split())
    return line if len(line) <= _MOST_TOLD else f"{line[:_MOST_TOLD]}…"
