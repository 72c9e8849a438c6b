"""Servers that answer whatever a test says, byte by byte: a real socket on a free port."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[socket.socket, bytes], None]


def whole_request(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        head = b"".join(iter(stream.readline, b"\r\n"))
        lengths = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
        return head + b"\r\n" + stream.read(int(lengths[0].partition(b":")[2]) if lengths else 0)


@contextmanager
def peer(answer: Answer) -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that answers so, and the requests that it got."""
    asked, open_ones = list[bytes](), list[socket.socket]()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            asked.append(whole_request(connection))
            answer(connection, asked[-1])

    def accept() -> None:
        with suppress(OSError):
            while True:
                open_ones.append(server.accept()[0])
                threading.Thread(target=serve, args=(open_ones[-1],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in open_ones:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for waiting in threading.enumerate():  # of a client that was given up
                if waiting.name.startswith("ask "):
                    waiting.join(10)
            gc.collect()  # here, where sockets that its library did not close are no news


def says(status: str, body: bytes, *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


def drip_header(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def drip_body(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)
