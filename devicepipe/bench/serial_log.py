"""The record of a serial line: every byte, exactly as received, and when.

What always holds: what was recorded is in the file, whatever happens to the process afterwards, but for a line's times, which
are written when it ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path

from devicepipe.evidence.facts import utc_now


def timed_log(raw: Path) -> Path:
    """Where the times of a raw serial log are."""
    return raw.with_name(f"{raw.name}.timed")


class SerialLog:
    """The record of a serial line: received bytes exactly as received, and beside it what passed when, and in which direction.

    The second file holds one line for each line that passed, or part of one where the direction changed: when its first byte
    was received or sent (seconds since the log's opening by a clock that nobody sets, then the time of day in UTC), `<` (from
    the device) or `>` (to it), and the bytes as a JSON string, one character (U+0000 to U+00FF) for each byte.
    """

    def __init__(self, raw: Path, timed: Path | None = None) -> None:
        timed = timed or timed_log(raw)
        self.path = raw
        self._timed_path = timed
        self._raw = raw.open("xb+", buffering=0)
        self._timed = timed.open("xb", buffering=0)
        self._opened = time.monotonic()
        self._offset = 0
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._direction, self._line, self._line_began = "", bytearray(), ""

    @property
    def offset(self) -> int:
        """The number of bytes received so far: the length of the raw log."""
        return self._offset

    def received(self, data: bytes) -> None:
        """Record bytes from the device; OSError where they cannot be kept."""
        left = memoryview(data)
        while left:
            left = left[self._raw.write(left) :]
        self._offset += len(data)
        self._digest.update(data)
        self._passed("<", data)

    def sent(self, data: bytes) -> None:
        """Record bytes to the device."""
        self._passed(">", data)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes received so far: that of the raw log, if nobody touched it."""
        return self._digest.hexdigest()

    @property
    def lines(self) -> int:
        """Where the next line will begin in the log with times."""
        return self._timed.tell()

    def read_lines(self, start: int) -> list[str]:
        """The lines of the log with times from there on."""
        with self._timed_path.open("rb") as file:
            file.seek(start)
            return file.read().decode().splitlines()

    def read(self, start: int) -> bytes:
        """Everything received from offset `start` on."""
        return os.pread(self._raw.fileno(), self._offset - start, start)

    def close(self) -> None:
        """Close both files."""
        with self._lock:
            self._end_line()
        self._raw.close()
        self._timed.close()

    def _passed(self, direction: str, data: bytes) -> None:
        with self._lock:
            if direction != self._direction:
                self._end_line()
                self._direction = direction
            for part in data.splitlines(keepends=True):
                if not self._line:
                    self._line_began = f"{time.monotonic() - self._opened:.6f} {utc_now('microseconds')}"
                self._line += part
                if part.endswith(b"\n"):
                    self._end_line()

    def _end_line(self) -> None:
        if self._line:
            text = json.dumps(self._line.decode("latin-1"))
            self._timed.write(f"{self._line_began} {self._direction} {text}\n".encode())
            self._line.clear()
