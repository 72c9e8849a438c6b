"""Where a serial line's bytes come from and go to: sockets, device files, and what pyserial opens."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
import time
from typing import Any, Protocol
from urllib.parse import urlsplit

import serial

from devicepipe.bench.rfc2217 import Rfc2217Port
from devicepipe.errors import BenchError, UsageError

_CHUNK = 65536
_CONNECT = 10.0  # s


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
        except ValueError as error:
            raise UsageError(f"'{url}' is no port: {error}", remedy="correct port in bench.toml") from error
        except (serial.SerialException, OSError) as error:
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
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException as error:
            raise TimeoutError from error

    def untaken(self) -> int:
        """See `Port`."""
        return int(self._serial.out_waiting)

    def close(self) -> None:
        """See `Port`."""
        self._serial.close()


def open_port(url: str, baud: int) -> Port:
    """Open a serial port.

    Args:
        url: `unix://PATH` or `socket://HOST:PORT` (a stream socket), `rfc2217://HOST:PORT`, a device file, or any other that
            pyserial's `serial_for_url` takes and a selector can wait for.
        baud: The rate in bit/s, where there is one.

    Raises:
        BenchError: It cannot be opened.
        UsageError: It is no such URL, or of a kind that cannot be waited for.
    """
    if url.startswith("rfc2217://"):
        return Rfc2217Port(url, baud)
    if url.startswith("unix://"):
        return _connect(url, url.removeprefix("unix://"))
    if url.startswith("socket://"):
        return _connect(url, _host_and_port(url))
    return SerialPort(url, baud)


def _connect(url: str, address: str | tuple[str, int]) -> SocketPort:
    try:
        if isinstance(address, tuple):
            stream = socket.create_connection(address, timeout=_CONNECT)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return SocketPort(stream)
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(address)
        except OSError:
            stream.close()
            raise
    except OSError as error:
        raise BenchError(f"serial port '{url}' cannot be opened: {error}", remedy="start the device first") from error
    return SocketPort(stream)


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.query or parts.path not in ("", "/"):
        raise UsageError(f"'{url}' is no address of a socket", remedy="expected socket://HOST:PORT")
    return host, port
