"""Telling apart what shares a serial line."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.bench.channel import Channel, SerialLoop
from devicepipe.bench.ports import SocketPort
from devicepipe.bench.protocol import REPLY
from devicepipe.bench.routing import Router
from devicepipe.bench.serial_log import SerialLog

LEADS = {"plant": (b"\x02",), "smp": (b"\x06\x09", b"\x04\x14")}
LINE = re.compile(rb"^[^\n]*\n", re.MULTILINE)


def routed(router: Router, *chunks: bytes) -> dict[str, bytes]:
    shares: dict[str, bytes] = {}
    for chunk in chunks:
        for owner, part in router.route(chunk):
            shares[owner] = shares.get(owner, b"") + part
    return shares


def test_each_line_goes_to_whom_its_first_bytes_say() -> None:
    data = b"boot: x\r\n\x02M 1\n\x06\x09AB\nOK status\x02\n\x04\x14CD\n\x06\x08no frame\n\n"
    assert routed(Router(LEADS), data) == {
        "": b"boot: x\r\nOK status\x02\n\x06\x08no frame\n\n",
        "plant": b"\x02M 1\n",
        "smp": b"\x06\x09AB\n\x04\x14CD\n",
    }


def owner_of(line: bytes) -> str:
    return next((name for name, leads in LEADS.items() if line.startswith(leads)), "")


@given(
    lines=st.lists(st.binary(max_size=5) | st.sampled_from([b"\x02", b"\x06", b"\x06\x09", b"\x04\x14x"]), max_size=8),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_it_does_not_matter_how_bytes_arrive(lines: list[bytes], cuts: list[int]) -> None:
    whole = b"\n".join([*lines, b""]).split(b"\n")[:-1]
    data = b"".join(line + b"\n" for line in whole)
    expected: dict[str, bytes] = {}
    for line in whole:
        expected[owner_of(line + b"\n")] = expected.get(owner_of(line + b"\n"), b"") + line + b"\n"
    ends = sorted({*(cut for cut in cuts if cut <= len(data)), 0, len(data)})
    chunks = [data[start:end] for start, end in itertools.pairwise(ends)]
    assert routed(Router(LEADS), *chunks) == expected


def test_reset_in_the_middle_of_a_frame() -> None:
    router = Router(LEADS)
    assert routed(router, b"\x02M 1") == {"plant": b"\x02M 1"}
    router.restart()
    assert routed(router, b"boot: new\n") == {"": b"boot: new\n"}


@pytest.fixture
def shared(serial_log: SerialLog, serial_loop: SerialLoop) -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(Channel(SocketPort(ours), serial_log, serial_loop, RuntimeError, LEADS)) as channel, theirs:
        yield channel, theirs


def test_frame_of_a_link_is_never_console_text(shared: tuple[Channel, socket.socket], serial_log: SerialLog) -> None:
    """Also where it reads like a reply, comes in pieces and while a reply is waited for; the raw log has everything."""
    channel, device = shared
    sent = [
        b"\x02OK status state=alarm\n",
        b"\x06",
        b"\x09OK status x\n",
        b"\x02",
        b"OK\n",
        b"OK status state=idle\r\n",
    ]
    for piece in sent:
        device.sendall(piece)
    assert channel.take_line(REPLY, 5) == b"OK status state=idle\r\n"
    assert channel.unread == b""
    assert channel.links["plant"].take_line(LINE, 5) == b"\x02OK status state=alarm\n"
    assert channel.links["plant"].read(100, 5) == b"\x02OK\n"
    assert channel.links["smp"].read(100, 5) == b"\x06\x09OK status x\n"
    assert serial_log.read(0) == b"".join(sent)
    channel.links["plant"].write(b"\x02S 1\n")
    assert device.recv(100) == b"\x02S 1\n"


def test_discard_forgets_all_streams(shared: tuple[Channel, socket.socket]) -> None:
    channel, device = shared
    device.sendall(b"text\n\x02M 1\n\x02M")
    assert channel.links["plant"].take_line(LINE, 5) == b"\x02M 1\n"
    channel.discard()
    device.sendall(b"OK new\n")
    assert channel.take_line(REPLY, 5) == b"OK new\n"
    assert channel.links["plant"].unread == b""


def test_lost_line_is_noticed_by_a_link(shared: tuple[Channel, socket.socket]) -> None:
    channel, device = shared
    device.close()
    with pytest.raises(RuntimeError):
        channel.links["plant"].read(1, 30)
