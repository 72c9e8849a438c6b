"""Writing memory through QEMU's gdbstub (GDB manual, appendix E "Remote Serial Protocol") over a connected socket.

Unlike QMP, the stub writes through the processor's own view of the memory, and past the write protection of an emulated flash.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from devicepipe.errors import BenchError

_TIMEOUT = 10.0
# The stub takes packets of 4096 characters (its PacketSize); two of them make a byte.
_CHUNK = 0x700


class GdbStub:
    """A connection to a gdbstub whose machine is stopped whenever it is used.

    Args:
        stream: The connected socket; `close` closes it.
        lost: Makes the exception that says why QEMU is gone.
    """

    def __init__(self, stream: socket.socket, lost: Callable[[], Exception]) -> None:
        self._socket = stream
        self._lost = lost
        self._buffer = b""

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to an absolute address.

        Raises:
            BenchError: The stub refused, or did not answer within 10 s; or what `lost` says.
        """
        for start in range(0, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            reply = self._command(f"M{address + start:x},{len(chunk):x}:{chunk.hex()}".encode())
            if reply != b"OK":
                said = reply.decode("latin-1") or "not supported"
                raise BenchError(
                    f"QEMU refused to write {len(chunk)} bytes to {address + start:#x}: {said}",
                    remedy="check the flash of the board's manifest against the emulated machine",
                )

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _command(self, packet: bytes) -> bytes:
        deadline = time.monotonic() + _TIMEOUT
        try:
            self._socket.settimeout(_TIMEOUT)
            self._socket.sendall(b"$%b#%02x" % (packet, sum(packet) & 0xFF))
            while True:
                reply = self._packet(deadline)
                # Stop replies come unasked whenever the machine stops.
                if not reply.startswith((b"T", b"S")):
                    return reply
        except TimeoutError as error:
            raise BenchError(
                f"QEMU's gdbstub did not answer within {_TIMEOUT:g} s",
                remedy="check the load of this machine; run again",
            ) from error
        except OSError as error:
            raise self._lost() from error

    def _packet(self, deadline: float) -> bytes:
        while True:
            begin = self._buffer.find(b"$")
            end = self._buffer.find(b"#", begin) if begin >= 0 else -1
            if 0 <= end <= len(self._buffer) - 3:
                packet = self._buffer[begin + 1 : end]
                self._buffer = self._buffer[end + 3 :]
                self._socket.sendall(b"+")
                return packet
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(65536)
            if not data:
                raise self._lost()
            self._buffer += data
