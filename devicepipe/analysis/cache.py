"""What analysers said of a source, by digest of all that it was said of: shared by the boards and programs of one release."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

Said = list[dict[str, Any]]
"""What an analyser said of one source."""


@dataclass(slots=True)
class Cache:
    """Never kept beyond a run, so that a release rests on no analysis but its own.

    What always holds: each key is made once, also where several boards ask for it at the same time.
    """

    _known: dict[str, Future[Said]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    hits: int = 0

    def get(self, keys: Sequence[str], make: Callable[[Sequence[str]], Sequence[Said]]) -> list[Said]:
        """What is known of the keys, in their order; `make` is called once, with those that nobody has asked for yet, if any.

        Raises:
            What `make` raised, here or where another board waits for it; the keys can then be asked for again.
        """
        with self._lock:
            wanted = {key: self._known.get(key) for key in keys}
            missing = [key for key, known in wanted.items() if known is None]
            self._known |= {key: Future() for key in missing}
            asked = [self._known[key] for key in keys]
            self.hits += len(keys) - len(missing)
        if missing:
            self._make(missing, make)
        return [future.result() for future in asked]

    def _make(self, keys: Sequence[str], make: Callable[[Sequence[str]], Sequence[Said]]) -> None:
        futures = [self._known[key] for key in keys]
        try:
            for future, said in zip(futures, make(keys), strict=True):
                future.set_result(said)
        except BaseException as error:
            with self._lock:
                for key in keys:
                    del self._known[key]
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            raise
