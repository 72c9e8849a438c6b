"""pytest-embedded's `dut` on a channel: its classes and fixtures, without its processes, queues and log folders.

pytest-embedded copies each device's bytes through a spawned process into a file named after the test, and matches on that file.
Tests of one name in two modules then match each other's output, a dead device is not noticed, and every test pays for a Python
start. Here its pexpect process reads the channel itself: it begins empty in each test and raises as soon as the device is lost.
"""

from __future__ import annotations

from typing import Any

from pexpect import TIMEOUT
from pexpect.spawnbase import SpawnBase
from pytest_embedded.log import PexpectProcess

from devicepipe.bench.device import Device
from devicepipe.errors import UsageError


class ChannelProcess(PexpectProcess):  # type: ignore[misc]
    """What `dut.expect` reads from: the device's channel."""

    def __init__(self, device: Device) -> None:
        # fdspawn's own constructor wants a file descriptor, and nothing else of it is used.
        SpawnBase.__init__(self)
        self.name = f"<{device.board.name}>"
        self.closed = False
        self._device = device
        device.on_reset = self.forget

    def forget(self) -> None:
        """Forget what was read ahead of the last match."""
        self.buffer = b""

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> bytes:
        """At most `size` bytes within `timeout` seconds (-1: the default of 30).

        Raises:
            pexpect.TIMEOUT: None came.
            LockupError: The device's processor locked up.
            BenchError: The device was lost in any other way.
            UsageError: `timeout` is None: every wait has a bound.
        """
        if timeout is None:
            raise UsageError("expect(timeout=None) waits for ever", remedy="give it a time-out in seconds")
        data = self._device.channel.read(size, self.timeout if timeout == -1 else timeout)
        if not data:
            raise TIMEOUT("Timeout exceeded.")
        return data

    def isalive(self) -> bool:
        """Whether bytes can come."""
        return not self.closed

    def close(self) -> None:
        """Nothing to close: the channel belongs to the device."""
        self.closed = True


class _Writer:
    """The `proc` of pytest-embedded's Serial: what `dut.write` writes to."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def write(self, data: bytes) -> int:
        """Send bytes to the device."""
        self._device.channel.write(data)
        return len(data)


class ChannelSerial:
    """In the place of pytest-embedded's Serial: no port to open, no thread that polls it."""

    def __init__(self, device: Device) -> None:
        self.proc = _Writer(device)


class NoQueue:
    """In the place of pytest-embedded's message queue: what a test prints must never be matched as if the device had sent it."""

    def put(self, data: object, **_: Any) -> None:
        """Refuse."""
        raise TypeError(f"only the device's own output can be matched; {data!r} did not come from it")

    write = put

    def flush(self) -> None:
        """Nothing to do."""
