"""A further serial line of a device, as a test sees it."""

from __future__ import annotations

import re
from collections.abc import Callable

from devicepipe.bench.channel import Stream

_LINE = re.compile(rb"^[^\n]*\n", re.MULTILINE)


class Link:
    """A link: its lines and nobody else's. It stays valid when the device is started anew.

    In virtual time the device runs while something is waited for; with a time-out of 0 nothing is waited for.
    """

    def __init__(self, name: str, stream: Callable[[], Stream]) -> None:
        self.name = name
        self._stream = stream

    def write(self, data: bytes, timeout: float = 5.0) -> None:
        """Send bytes to the device, within `timeout` seconds.

        Raises:
            BenchError: The device does not take them, or was lost.
        """
        self._stream().write(data, timeout)

    def read(self, size: int = 65536, timeout: float = 5.0) -> bytes:
        """Take at most `size` unread bytes; b"" when none came within `timeout` seconds.

        Raises:
            BenchError: The device was lost.
        """
        return self._stream().read(size, timeout)

    def take_line(
        self,
        pattern: re.Pattern[bytes] = _LINE,
        timeout: float = 5.0,
        *,
        ask: bytes = b"",
        not_matching: re.Pattern[bytes] | None = None,
    ) -> bytes | None:
        """Cut the first line that matches out of the unread bytes; all others stay.

        Args:
            pattern: Begins with `^`, ends with the line feed; compiled with re.MULTILINE. By default any line.
            timeout: The longest wait, in seconds.
            ask: Sent first; then only a line that began to arrive after it can be the answer.
            not_matching: What must not come before that line.

        Returns:
            The line with its line end, or None when none came in time.

        Raises:
            UnwantedOutputError: What must not come came, at once.
            BenchError: The device does not take `ask`, or was lost.
        """
        return self._stream().take_line(pattern, timeout, ask=ask, not_matching=not_matching)

    def discard(self) -> None:
        """Forget all unread bytes. They stay in the log."""
        self._stream().discard()

    @property
    def unread(self) -> bytes:
        """The unread bytes that were received so far."""
        return self._stream().unread
