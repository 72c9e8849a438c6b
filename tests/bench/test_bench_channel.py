"""Serial lines, without a device: sockets and pseudo-terminals."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import serial
import serial.rfc2217
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.bench.channel import Channel, SerialLoop
from devicepipe.bench.ports import SocketPort, open_port
from devicepipe.bench.serial_log import SerialLog
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.facts import utc_now

REPLY = re.compile(rb"^(?:OK|ERR)\b[^\n]*\n", re.MULTILINE)


class GoneError(Exception):
    pass


def whole(read: Callable[[int], bytes], size: int) -> bytes:
    """Read `size` bytes of a stream, which may hand them out in any pieces."""
    data = b""
    while len(data) < size:
        piece = read(size - len(data))
        assert piece, f"the stream ended, or was silent, after {data!r}"
        data += piece
    return data


@pytest.fixture
def ends(serial_log: SerialLog, serial_loop: SerialLoop) -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(Channel(SocketPort(ours), serial_log, serial_loop, GoneError)) as channel, theirs:
        yield channel, theirs


def test_bytes_pass_and_are_recorded(
    ends: tuple[Channel, socket.socket], serial_log: SerialLog, tmp_path: Path
) -> None:
    channel, device = ends
    began = utc_now("microseconds")
    device.sendall(b"boot\r\n\xff\x00")
    assert channel.read(100, 5) == b"boot\r\n\xff\x00"
    channel.write(b"id\n")
    assert device.recv(10) == b"id\n"
    assert (tmp_path / "serial.log").read_bytes() == b"boot\r\n\xff\x00"
    assert serial_log.offset == 8
    lines = [line.split(" ", 3) for line in (tmp_path / "serial.log.timed").read_text().splitlines()]
    assert [(direction, json.loads(text)) for *_, direction, text in lines] == [
        ("<", "boot\r\n"),
        ("<", "\xff\x00"),
        (">", "id\n"),
    ]
    seconds, times = [float(line[0]) for line in lines], [line[1] for line in lines]
    assert 0 <= seconds[0] <= seconds[1] <= seconds[2]
    assert began <= times[0] <= times[2] <= utc_now("microseconds")


def test_lost_line_is_noticed_at_once(ends: tuple[Channel, socket.socket]) -> None:
    channel, device = ends
    device.sendall(b"last words")
    threading.Thread(target=device.close).start()
    assert channel.read(100, 30) == b"last words"
    with pytest.raises(GoneError):
        channel.read(1, 30)
    with pytest.raises(GoneError):
        channel.take_line(REPLY, 30)


def test_reply_is_cut_out_and_events_stay(ends: tuple[Channel, socket.socket]) -> None:
    channel, device = ends
    device.sendall(b"OK stale\r\nevent: a\r\nhalf ")

    def answer() -> None:
        assert device.recv(10) == b"ask\n"
        device.sendall(b"OK not a line of its own\r\nevent: b\r\nOK ask\r\nevent: c\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    assert channel.take_line(REPLY, 5, ask=b"ask\n") == b"OK ask\r\n"
    thread.join()
    rest = b"OK stale\r\nevent: a\r\nhalf OK not a line of its own\r\nevent: b\r\nevent: c\r\n"
    assert channel.unread == rest
    assert channel.take_line(REPLY, 0) == b"OK stale\r\n"
    assert channel.take_line(REPLY, 0) is None
    channel.discard()
    assert channel.read(100, 0) == b""


@settings(max_examples=30)
@given(chunks=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8))
def test_any_bytes_in_any_chunks(
    ends: tuple[Channel, socket.socket], serial_log: SerialLog, chunks: list[bytes]
) -> None:
    channel, device = ends
    start = serial_log.offset
    for chunk in chunks:
        device.sendall(chunk)
    wanted = b"".join(chunks)
    seen = b""
    while len(seen) < len(wanted):
        seen += channel.read(7, 5)
    assert seen == wanted == serial_log.read(start)


def test_device_that_takes_nothing(ends: tuple[Channel, socket.socket]) -> None:
    channel, _ = ends
    with pytest.raises(BenchError, match="did not take"):
        channel.write(b"x" * 10_000_000, timeout=0.05)
    assert channel.untaken > 0


def test_unix_url(tmp_path: Path, serial_log: SerialLog, serial_loop: SerialLoop) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "uart"))
        server.listen()
        port = open_port(f"unix://{tmp_path / 'uart'}", 115200)
        device, _ = server.accept()
        with device, closing(Channel(port, serial_log, serial_loop, GoneError)) as channel:
            device.sendall(b"hello")
            assert whole(lambda size: channel.read(size, 5), 5) == b"hello"


def test_real_serial_port(serial_log: SerialLog, serial_loop: SerialLoop) -> None:
    device, ours = pty.openpty()
    tty.setraw(ours)
    with closing(Channel(open_port(os.ttyname(ours), 115200), serial_log, serial_loop, GoneError)) as channel:
        os.close(ours)
        os.write(device, b"hello")
        assert whole(lambda size: channel.read(size, 5), 5) == b"hello"
        channel.write(b"id\n")
        assert whole(lambda size: os.read(device, size), 3) == b"id\n"
        os.close(device)
        with pytest.raises(GoneError):
            channel.read(10, 30)


@pytest.mark.parametrize("url", ["unix:///no/such/socket", "/dev/no-such-port"])
def test_port_that_is_not_there(url: str) -> None:
    with pytest.raises(BenchError, match="cannot be opened"):
        open_port(url, 115200)


def test_port_of_an_unknown_scheme() -> None:
    with pytest.raises(UsageError, match="'nosuch://port' is no port"):
        open_port("nosuch://port", 115200)


def test_serial_port_that_takes_nothing_is_not_lost(serial_log: SerialLog, serial_loop: SerialLoop) -> None:
    device, ours = pty.openpty()
    tty.setraw(ours)
    with closing(Channel(open_port(os.ttyname(ours), 115200), serial_log, serial_loop, GoneError)) as channel:
        os.close(ours)
        with pytest.raises(BenchError, match="did not take"):
            channel.write(b"x" * 1_000_000, timeout=0.05)
        os.close(device)


def test_socket_url(serial_log: SerialLog, serial_loop: SerialLoop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}", 115200)
        device, _ = server.accept()
        with closing(Channel(port, serial_log, serial_loop, GoneError)) as channel:
            with device:
                device.sendall(b"hello")
                assert whole(lambda size: channel.read(size, 5), 5) == b"hello"
                channel.write(b"id\n")
                assert device.recv(10) == b"id\n"
            with pytest.raises(GoneError):
                channel.read(10, 30)


@pytest.mark.parametrize("url", ["socket://", "socket://here", "socket://here:port", "socket://here:1?logging=debug"])
def test_socket_url_that_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a socket"):
        open_port(url, 115200)


class _NoModemLines(serial.Serial):  # type: ignore[misc]
    """A pseudo-terminal has no lines to set or to ask for."""

    cts = dsr = ri = cd = False

    def _update_rts_state(self) -> None:
        pass

    def _update_dtr_state(self) -> None:
        pass


class SerialServer:
    """pyserial's own RFC 2217 server, around a pseudo-terminal; `device` is the device's end of it."""

    def __init__(self) -> None:
        self.device, slave = pty.openpty()
        tty.setraw(slave)
        self._serial = _NoModemLines(os.ttyname(slave), timeout=0)
        os.close(slave)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._server.getsockname()[1]}"
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._server.accept()
        writer = threading.Lock()

        class Connection:
            def write(self, data: bytes) -> None:
                with writer:
                    client.sendall(data)

        watched: list[Any] = [client, self._serial, self._stopped]
        manager = serial.rfc2217.PortManager(self._serial, Connection())
        with client:
            while True:
                ready = select.select(watched, [], [], 30)[0]
                if self._stopped in ready or not ready:
                    return
                if self._serial in ready:
                    client.sendall(b"".join(manager.escape(self._serial.read(4096))))
                if client in ready:
                    data = client.recv(4096)
                    if not data:
                        return
                    self._serial.write(b"".join(manager.filter(data)))

    def end(self) -> None:
        self._stop.sendall(b".")
        self._thread.join(30)

    def close(self) -> None:
        self.end()
        for one in (self._stop, self._stopped, self._server, self._serial):
            one.close()
        os.close(self.device)


def test_rfc2217_url(serial_log: SerialLog, serial_loop: SerialLoop) -> None:
    """All bytes pass both ways, the telnet escape too, and a server that goes away is noticed."""
    everything = bytes(range(256)) * 40
    with closing(SerialServer()) as server:
        port = open_port(server.url, 115200)
        with closing(Channel(port, serial_log, serial_loop, GoneError)) as channel:
            os.write(server.device, b"hello")
            assert whole(lambda size: channel.read(size, 5), 5) == b"hello"
            channel.write(b"\xff\x00id\n")
            assert whole(lambda size: os.read(server.device, size), 5) == b"\xff\x00id\n"
            writer = threading.Thread(target=os.write, args=(server.device, everything[:2048]))
            writer.start()
            assert whole(lambda size: channel.read(size, 5), 2048) == everything[:2048]
            writer.join()
            server.end()
            with pytest.raises(GoneError):
                channel.read(1, 30)


def test_server_that_does_not_speak_rfc2217() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rfc2217://127.0.0.1:{server.getsockname()[1]}?timeout=0.1"
        with pytest.raises(BenchError, match="cannot be opened"):
            open_port(url, 115200)


def test_port_that_cannot_be_waited_for() -> None:
    with pytest.raises(UsageError, match="cannot be waited for"):
        open_port("loop://", 115200)
