"""Input for a device that stands in virtual time: handed to its UART at once, not byte by byte through QEMU's main loop."""

from __future__ import annotations

import socket
from collections.abc import Callable

from devicepipe.bench.ports import SocketPort

_MOST = 255


class HandOver:
    """The plugin's end for input (`halt.c`); where QEMU has none, nothing is ever taken.

    Args:
        stream: The connected socket; `close` closes it.
        stands: Whether the device stands at an exchange: only then is input taken.
    """

    def __init__(self, stream: socket.socket, stands: Callable[[], bool]) -> None:
        self._socket = stream
        self._stands = stands
        self._works = True

    def give(self, uart: int, data: bytes, timeout: float) -> int:
        """How many of the bytes were taken; TimeoutError where QEMU did not answer within `timeout` seconds."""
        if not self._works or not self._stands():
            return 0
        data = data[:_MOST]
        self._works = False
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(bytes((uart, len(data))) + data)
            taken = self._socket.recv(1)
        except TimeoutError:
            raise
        except OSError:
            return 0
        self._works = bool(taken)
        return taken[0] if taken else 0

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class HandedPort(SocketPort):
    """A UART's socket, past which input is handed over while the device stands; what is not taken goes through the socket.

    Args:
        stream: The connected socket.
        uart: Its number.
        hand_over: Takes input.
    """

    def __init__(self, stream: socket.socket, uart: int, hand_over: HandOver) -> None:
        super().__init__(stream)
        self._uart = uart
        self._hand_over = hand_over

    def send(self, data: bytes, timeout: float) -> None:
        """See `Port`. What was sent before comes before it."""
        taken = 0 if self.untaken() else self._hand_over.give(self._uart, data, timeout)
        if taken < len(data):
            super().send(data[taken:], timeout)
