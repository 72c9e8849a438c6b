"""QEMU's machine protocol (docs/interop/qmp-spec.txt of QEMU) over a connected socket: one command at a time, each with a bound."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

from devicepipe.errors import BenchError

_TIMEOUT = 10.0


class Qmp:
    """A QMP connection, past its greeting.

    Args:
        stream: The connected socket; whoever made it closes it.
        lost: Makes the exception that says why QEMU is gone.
        silent: Makes the one that says why it does not answer a command.

    Raises:
        BenchError: No greeting within 10 s; or what `lost` says.
    """

    def __init__(
        self, stream: socket.socket, lost: Callable[[], Exception], silent: Callable[[str], Exception]
    ) -> None:
        self._socket = stream
        self._lost = lost
        self._silent = silent
        self._buffer = b""
        self.events: list[dict[str, Any]] = []
        deadline = time.monotonic() + _TIMEOUT
        while "QMP" not in self._message("greeting", deadline):
            pass
        self.command("qmp_capabilities")

    def command(self, name: str, **arguments: object) -> Any:
        """Run one command and return what it returns; events that arrive before its answer go to `events`.

        Raises:
            BenchError: QEMU refused the command or did not answer within 10 s; or what `lost` says.
        """
        deadline = time.monotonic() + _TIMEOUT
        self.send(name, **arguments)
        while True:
            done, value = self._answer(name, self._message(name, deadline))
            if done:
                return value

    def fileno(self) -> int:
        """The file descriptor that becomes readable when something was answered, or has happened."""
        return self._socket.fileno()

    def send(self, name: str, **arguments: object) -> None:
        """Send a command whose answer `answered` waits for, when something else has to be done meanwhile."""
        request = json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n"
        try:
            self._socket.settimeout(_TIMEOUT)
            self._socket.sendall(request)
        except TimeoutError as error:
            raise self._silent(name) from error
        except OSError as error:
            raise self._lost() from error

    def answered(self, name: str) -> bool:
        """Read what has arrived, at least one message; whether the answer to a command was among it.

        Raises:
            BenchError: QEMU refused the command, or nothing arrived within 10 s; or what `lost` says.
        """
        deadline = time.monotonic() + _TIMEOUT
        while True:
            if self._answer(name, self._message(name, deadline))[0]:
                return True
            if b"\n" not in self._buffer:
                return False

    def _answer(self, name: str, message: dict[str, Any]) -> tuple[bool, Any]:
        if "event" in message:
            self.events.append(message)
            return False, None
        if "error" in message:
            raise BenchError(f"QEMU refused '{name}': {message['error'].get('desc')}")
        return True, message["return"]

    def _message(self, waiting_for: str, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError as error:
                raise self._silent(waiting_for) from error
            except OSError as error:
                raise self._lost() from error
            if not data:
                raise self._lost()
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message
