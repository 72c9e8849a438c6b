"""Serial lines, without a device: sockets and pseudo-terminals."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import threading
import tty
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devicepipe.bench.channel import Channel, SerialLog, SerialLoop, SocketPort, open_port
from devicepipe.errors import BenchError, UsageError

REPLY = re.compile(rb"^(?:OK|ERR)\b[^\n]*\n", re.MULTILINE)


class GoneError(Exception):
    pass


@pytest.fixture
def ends(serial_log: SerialLog, serial_loop: SerialLoop) -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(Channel(SocketPort(ours), serial_log, serial_loop, GoneError)) as channel, theirs:
        yield channel, theirs


def test_bytes_pass_and_are_recorded(
    ends: tuple[Channel, socket.socket], serial_log: SerialLog, tmp_path: Path
) -> None:
    channel, device = ends
    device.sendall(b"boot\r\n\xff\x00")
    assert channel.read(100, 5) == b"boot\r\n\xff\x00"
    channel.write(b"id\n")
    assert device.recv(10) == b"id\n"
    assert (tmp_path / "serial.log").read_bytes() == b"boot\r\n\xff\x00"
    assert serial_log.offset == 8
    lines = [line.split(" ", 2) for line in (tmp_path / "serial.log.timed").read_text().splitlines()]
    assert [(direction, json.loads(text)) for _, direction, text in lines] == [
        ("<", "boot\r\n"),
        ("<", "\xff\x00"),
        (">", "id\n"),
    ]


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


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
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
            assert channel.read(10, 5) == b"hello"


def test_real_serial_port(serial_log: SerialLog, serial_loop: SerialLoop) -> None:
    device, ours = pty.openpty()
    tty.setraw(ours)
    with closing(Channel(open_port(os.ttyname(ours), 115200), serial_log, serial_loop, GoneError)) as channel:
        os.close(ours)
        os.write(device, b"hello")
        assert channel.read(10, 5) == b"hello"
        channel.write(b"id\n")
        assert os.read(device, 10) == b"id\n"
        os.close(device)
        with pytest.raises(GoneError):
            channel.read(10, 30)


@pytest.mark.parametrize("url", ["unix:///no/such/socket", "/dev/no-such-port", "nosuch://port"])
def test_port_that_is_not_there(url: str) -> None:
    with pytest.raises(BenchError, match="cannot be opened"):
        open_port(url, 115200)


def test_port_that_cannot_be_waited_for() -> None:
    with pytest.raises(UsageError, match="cannot be waited for"):
        open_port("loop://", 115200)
