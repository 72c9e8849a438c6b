"""A serial port of another machine (RFC 2217), as a port that a selector can wait for.

pyserial's client speaks the protocol; its thread puts what arrives into a queue, which nobody can wait for together with other
ports, and notes the end of the connection there. Here that queue is replaced by one with a file descriptor.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time
import warnings

import serial.rfc2217

from devicepipe.errors import BenchError


class _Arrivals:
    """What pyserial's thread puts bytes into, one by one, and None at the end; readable while there is something to take."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._ended = False
        self._lock = threading.Lock()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def put(self, data: bytes | None) -> None:
        """Take what arrived, or that nothing more will."""
        with self._lock:
            if data is None:
                self._ended = True
            else:
                self._data += data
            if self._event >= 0:
                os.eventfd_write(self._event, 1)

    def qsize(self) -> int:
        """How many bytes there are; pyserial asks for it when it forgets them."""
        return len(self._data)

    def get(self, *_: object) -> bytes:
        """Take one byte; pyserial forgets them so."""
        with self._lock:
            byte = bytes(self._data[:1])
            del self._data[:1]
        return byte

    def take(self) -> bytes:
        """Take all there is, or b""; EOFError once that is nothing and nothing more will come."""
        with self._lock:
            data = bytes(self._data)
            self._data.clear()
            # At the end it stays readable, as a socket does.
            if not self._ended:
                try:
                    os.eventfd_read(self._event)
                except BlockingIOError:
                    return data
        if not data and self._ended:
            raise EOFError
        return data

    def fileno(self) -> int:
        """Readable when bytes, or the end, have arrived."""
        return self._event

    def close(self) -> None:
        """Release the file descriptor."""
        with self._lock:
            event, self._event = self._event, -1
        if event >= 0:
            os.close(event)


class _Client(serial.rfc2217.Serial):  # type: ignore[misc]
    """pyserial's client with `_Arrivals` in the place of its queue, from before the first byte on."""

    def __init__(self, url: str, baud: int) -> None:
        self.arrivals = _Arrivals()
        super().__init__(url, baudrate=baud)

    @property
    def _read_buffer(self) -> _Arrivals:
        return self.arrivals

    @_read_buffer.setter
    def _read_buffer(self, queue: object) -> None:
        """Its constructor and `open` set a queue of their own."""

    @property
    def connection(self) -> socket.socket:
        """What the bytes go over, for writes that are bounded in time."""
        return self._socket  # type: ignore[no-any-return]

    @property
    def write_lock(self) -> threading.Lock:
        """Held while something is written: the thread answers the server on the same connection."""
        return self._write_lock  # type: ignore[no-any-return]


class Rfc2217Port:
    """A port behind `rfc2217://HOST:PORT`; see devicepipe/bench/ports.py, `Port`.

    Raises:
        BenchError: It cannot be opened, or who answers there does not speak RFC 2217.
    """

    def __init__(self, url: str, baud: int) -> None:
        try:
            with warnings.catch_warnings():
                # pyserial 3.5 names its thread in a way that Python has deprecated.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._client = _Client(url, baud)
        except (serial.SerialException, OSError, ValueError) as error:
            raise BenchError(
                f"serial port '{url}' cannot be opened: {error}",
                remedy="check that the serial server runs and speaks RFC 2217",
            ) from error

    def fileno(self) -> int:
        """See `Port`."""
        return self._client.arrivals.fileno()

    def receive(self) -> bytes:
        """See `Port`."""
        return self._client.arrivals.take()

    def send(self, data: bytes, timeout: float) -> None:
        """See `Port`."""
        deadline = time.monotonic() + timeout
        # A byte 255 is the telnet escape and sent twice (RFC 854).
        escaped = data.replace(b"\xff", b"\xff\xff")
        with self._client.write_lock:
            while escaped:
                if not select.select((), (self._client.connection,), (), max(0.0, deadline - time.monotonic()))[1]:
                    raise TimeoutError
                escaped = escaped[self._client.connection.send(escaped, socket.MSG_DONTWAIT) :]

    def untaken(self) -> int:
        """Bytes that the serial server has not acknowledged; what it holds itself is not known."""
        return struct.unpack("i", fcntl.ioctl(self._client.connection, termios.TIOCOUTQ, b"\0" * 4))[0]  # type: ignore[no-any-return]

    def close(self) -> None:
        """See `Port`; pyserial gives the server 0.3 s for it."""
        self._client.close()
        self._client.arrivals.close()
