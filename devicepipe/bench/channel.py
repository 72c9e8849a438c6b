"""One device's serial line: bytes in and out, recorded as they pass.

What always holds: every received byte is in the raw log, in order and unaltered, before anyone can read it; a lost line is
noticed at once by whoever waits for it; no wait is without a bound. One thread and one selector serve all channels of a
process, and an idle line costs nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import selectors
import socket
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import serial

from devicepipe.errors import BenchError, UsageError

_CHUNK = 65536


class Port(Protocol):
    """Where a channel's bytes come from and go to."""

    def fileno(self) -> int:
        """A file descriptor that becomes readable when bytes, or the end of the line, have arrived."""

    def receive(self) -> bytes:
        """What has arrived, at most 64 KiB, or b"" for nothing; OSError or EOFError once the line is lost."""

    def send(self, data: bytes, timeout: float) -> None:
        """Send all of it; OSError (of it TimeoutError) when it could not be sent within `timeout` seconds."""

    def untaken(self) -> int:
        """The number of sent bytes that the device has not taken yet."""

    def close(self) -> None:
        """Close the port."""


class SocketPort:
    """A stream socket as a port: what QEMU's `-chardev socket` speaks."""

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self._socket = stream

    def fileno(self) -> int:
        """The socket's file descriptor."""
        return self._socket.fileno()

    def receive(self) -> bytes:
        """See `Port`."""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            raise EOFError
        return data

    def send(self, data: bytes, timeout: float) -> None:
        """See `Port`."""
        deadline = time.monotonic() + timeout
        while data:
            if not select.select((), (self._socket,), (), max(0.0, deadline - time.monotonic()))[1]:
                raise TimeoutError
            data = data[self._socket.send(data) :]

    def untaken(self) -> int:
        """See `Port`; unix(7), SIOCOUTQ."""
        return struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * 4))[0]  # type: ignore[no-any-return]

    def close(self) -> None:
        """See `Port`."""
        self._socket.close()


class SerialPort:
    """A port opened by pyserial: a device file, or any of its URLs that can be waited for with a selector."""

    def __init__(self, url: str, baud: int) -> None:
        try:
            self._serial: Any = serial.serial_for_url(url, baudrate=baud, timeout=0)
        except (serial.SerialException, OSError, ValueError) as error:
            raise BenchError(
                f"serial port '{url}' cannot be opened: {error}",
                remedy="check that the device is connected and that you may read and write its port (group dialout)",
            ) from error
        try:
            self._serial.fileno()
        except (AttributeError, OSError) as error:
            self._serial.close()
            raise UsageError(
                f"serial port '{url}' cannot be waited for: pyserial gives no file descriptor for it",
                remedy="use a device file, socket://host:port or unix:///path",
            ) from error

    def fileno(self) -> int:
        """The port's file descriptor."""
        return int(self._serial.fileno())

    def receive(self) -> bytes:
        """See `Port`."""
        return bytes(self._serial.read(_CHUNK))

    def send(self, data: bytes, timeout: float) -> None:
        """See `Port`."""
        self._serial.write_timeout = timeout
        self._serial.write(data)

    def untaken(self) -> int:
        """See `Port`."""
        return int(self._serial.out_waiting)

    def close(self) -> None:
        """See `Port`."""
        self._serial.close()


def open_port(url: str, baud: int) -> Port:
    """Open `unix://PATH` (a stream socket), or anything that pyserial's `serial_for_url` takes.

    Raises:
        BenchError: It cannot be opened.
        UsageError: It is of a kind that cannot be waited for.
    """
    if not url.startswith("unix://"):
        return SerialPort(url, baud)
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.connect(url.removeprefix("unix://"))
    except OSError as error:
        stream.close()
        raise BenchError(f"serial port '{url}' cannot be opened: {error}", remedy="start the device first") from error
    return SocketPort(stream)


class SerialLog:
    """The record of a serial line: received bytes exactly as received, and beside it what passed when, and in which direction.

    The second file holds one line for each line that passed, or part of one where the direction changed: the seconds from the
    log's opening to its first byte, `<` (from the device) or `>` (to it), and the bytes as a JSON string, one character
    (U+0000 to U+00FF) for each byte.
    """

    def __init__(self, raw: Path, timed: Path) -> None:
        self.path = raw
        self._raw = raw.open("xb+", buffering=0)
        self._timed = timed.open("xb", buffering=0)
        self._opened = time.monotonic()
        self._offset = 0
        self._lock = threading.Lock()
        self._direction, self._line, self._line_began = "", bytearray(), 0.0

    @property
    def offset(self) -> int:
        """The number of bytes received so far: the length of the raw log."""
        return self._offset

    def received(self, data: bytes) -> None:
        """Record bytes from the device."""
        self._raw.write(data)
        self._offset += len(data)
        self._passed("<", data)

    def sent(self, data: bytes) -> None:
        """Record bytes to the device."""
        self._passed(">", data)

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
                    self._line_began = time.monotonic() - self._opened
                self._line += part
                if part.endswith(b"\n"):
                    self._end_line()

    def _end_line(self) -> None:
        if self._line:
            text = json.dumps(self._line.decode("latin-1"))
            self._timed.write(f"{self._line_began:.6f} {self._direction} {text}\n".encode())
            self._line.clear()


class SerialLoop:
    """The one selector, and the one thread, that receive for all channels of a process."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakee = socket.socketpair()
        self._selector.register(self._wakee, selectors.EVENT_READ, self._woken)
        self._requests: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="devicepipe-serial", daemon=True)
        self._thread.start()

    def watch(self, fd: int, receive: Callable[[], None]) -> None:
        """Call `receive` in the loop's thread whenever `fd` is readable."""
        self._request(lambda: self._selector.register(fd, selectors.EVENT_READ, receive))

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; when this returns, it may be closed."""
        self._request(lambda: self._forget(fd))

    def close(self) -> None:
        """Stop the thread."""
        self._closing = True
        self._waker.send(b".")
        self._thread.join(timeout=10.0)
        self._selector.close()
        self._waker.close()
        self._wakee.close()

    def _forget(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def _request(self, action: Callable[[], object]) -> None:
        if threading.current_thread() is self._thread:
            action()
            return
        answer: Future[object] = Future()
        self._requests.append((action, answer))
        self._waker.send(b".")
        try:
            answer.result(timeout=10.0)
        except TimeoutError as error:
            raise BenchError(
                "the thread that receives serial data does not respond", remedy="run the session again"
            ) from error

    def _woken(self) -> None:
        self._wakee.recv(_CHUNK)
        while self._requests:
            action, answer = self._requests.popleft()
            try:
                answer.set_result(action())
            except Exception as error:  # noqa: BLE001 - it belongs to who asked, and must not end the thread
                answer.set_exception(error)

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                key.data()


class Channel:
    """A serial line to one device.

    Readers take bytes from one stream, each byte once: `read` takes from its front, `take_line` cuts one line out of it.

    Args:
        port: The open port; the channel closes it.
        log: Where all bytes are recorded; outlives the channel.
        loop: Receives for the channel.
        lost: Makes the exception that says why the line was lost; called when someone wants bytes and none can come any more.
    """

    def __init__(self, port: Port, log: SerialLog, loop: SerialLoop, lost: Callable[[], Exception]) -> None:
        self.log = log
        self._port = port
        self._loop = loop
        self._lost = lost
        self._unread = bytearray()
        self._last = b""
        self._ended = False
        self._closed = False
        self._changed = threading.Condition()
        loop.watch(port.fileno(), self._on_readable)

    def write(self, data: bytes, timeout: float = 5.0) -> None:
        """Send bytes to the device, within `timeout` seconds.

        Raises:
            BenchError: The device does not take them; or what `lost` says.
        """
        self.log.sent(data)
        try:
            self._port.send(data, timeout)
        except TimeoutError as error:
            raise BenchError(
                f"the device did not take {len(data)} bytes within {timeout:g} s", remedy=f"see {self.log.path}"
            ) from error
        except OSError as error:
            raise self._lost() from error

    def read(self, size: int, timeout: float) -> bytes:
        """Take at most `size` unread bytes; b"" when none came within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._unread or self._ended, timeout)
            if self._unread:
                data = bytes(self._unread[:size])
                del self._unread[:size]
                return data
            if not self._ended:
                return b""
        raise self._lost()

    def take_line(self, pattern: re.Pattern[bytes], timeout: float, *, ask: bytes = b"") -> bytes | None:
        """Cut the first line that matches out of the unread bytes; all others stay.

        Args:
            pattern: Begins with `^`, ends with the line feed; compiled with re.MULTILINE.
            timeout: The longest wait, in seconds.
            ask: Sent first; then only a line that began to arrive after it can be the answer.

        Returns:
            The line with its line end, or None when none came in time.

        Raises:
            BenchError: The device does not take `ask`; or what `lost` says.
        """
        start, whole = 0, True
        if ask:
            self._receive()
            with self._changed:
                start, whole = len(self._unread), self._last in (b"", b"\n")
            self.write(ask)
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                if not whole and (end := self._unread.find(b"\n", start)) >= 0:
                    start, whole = end + 1, True
                if whole and (match := pattern.search(bytes(self._unread[start:]))):
                    del self._unread[start + match.start() : start + match.end()]
                    return match.group()
                if self._ended:
                    break
                if time.monotonic() >= deadline:
                    return None
                self._changed.wait(deadline - time.monotonic())
        raise self._lost()

    def discard(self) -> None:
        """Forget all unread bytes, also those that have arrived at the port but were not yet received. They stay in the log."""
        self._receive()
        with self._changed:
            self._unread.clear()

    @property
    def unread(self) -> bytes:
        """The unread bytes."""
        with self._changed:
            return bytes(self._unread)

    @property
    def untaken(self) -> int:
        """The number of sent bytes that the device has not taken yet; a reset does not take them back."""
        return self._port.untaken()

    def close(self) -> None:
        """Receive what has arrived and close the port; harmless when it is closed already."""
        if self._closed:
            return
        self._closed = True
        self._receive()
        self._loop.forget(self._port.fileno())
        self._port.close()

    def _on_readable(self) -> None:
        self._receive()
        if self._ended:
            self._loop.forget(self._port.fileno())

    def _receive(self) -> None:
        with self._changed:
            while not self._ended:
                try:
                    data = self._port.receive()
                except (OSError, EOFError):
                    self._ended = True
                    break
                if not data:
                    return
                self.log.received(data)
                self._unread += data
                self._last = data[-1:]
                self._changed.notify_all()
            self._changed.notify_all()
