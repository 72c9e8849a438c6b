"""A debugger's connection to QEMU's gdbstub (GDB manual, appendix E "Remote Serial Protocol") over a connected socket.

Unlike QMP, the stub writes through the processor's own view of the memory, and past the write protection of an emulated flash.

What always holds: a packet is only sent while the processor stands, because the stub takes any byte that comes while it runs for
the wish to stop it. For the same reason received packets are not acknowledged with a byte of its own: QEMU takes the next packet
for it (gdbstub.c, gdb_read_byte).
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from devicepipe.errors import BenchError

_TIMEOUT = 10.0
# The stub takes packets of 4096 characters (its PacketSize); two of them make a byte.
_CHUNK = 0x700
# SIGTRAP: a breakpoint, or a single step that is done (GDB's include/gdb/signals.def).
_TRAP = b"05"
# Number of general registers with the program counter, and where the reply to "g" holds pc, lr, sp and the first argument:
# QEMU's gdb-xml/arm-m-profile.xml and riscv-32bit-cpu.xml.
_CORES = {"cortex-m": (16, 15, 14, 13, 0), "rv32": (33, 32, 1, 2, 10)}


@dataclass(frozen=True)
class Registers:
    """The general registers of a stopped processor.

    Attributes:
        pc: The address of the next instruction.
        lr: The return address of the function that has just begun (Arm: lr, RISC-V: ra).
        sp: The stack pointer.
        arguments: The first four arguments of the function that has just begun (Arm: r0 to r3, RISC-V: a0 to a3).
        general: All of them: Arm r0 to r15, RISC-V x0 to x31 and pc.
    """

    pc: int
    lr: int
    sp: int
    arguments: tuple[int, int, int, int]
    general: tuple[int, ...]


class GdbStub:
    """A connection to a gdbstub.

    Args:
        stream: The connected socket; `close` closes it.
        lost: Makes the exception that says why QEMU is gone.
    """

    def __init__(self, stream: socket.socket, lost: Callable[[], Exception]) -> None:
        self._socket = stream
        self._lost = lost
        self._buffer = b""

    def fileno(self) -> int:
        """The file descriptor that becomes readable when the processor has stopped."""
        return self._socket.fileno()

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to an absolute address.

        Raises:
            BenchError: The stub refused, or did not answer within 10 s; or what `lost` says.
        """
        for start in range(0, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            self._demand(
                f"M{address + start:x},{len(chunk):x}:{chunk.hex()}",
                f"write {len(chunk)} bytes to {address + start:#x}",
                "check the flash of the board's manifest against the emulated machine",
            )

    def read(self, address: int, size: int) -> bytes:
        """Read bytes from an absolute address.

        Raises:
            BenchError: There is no memory, or the stub did not answer within 10 s; or what `lost` says.
        """
        data = b""
        while len(data) < size:
            length = min(_CHUNK, size - len(data))
            reply = self._command(f"m{address + len(data):x},{length:x}")
            try:
                chunk = bytes.fromhex(reply.decode("ascii"))
            except ValueError:
                chunk = b""
            if len(chunk) != length:
                raise BenchError(
                    f"QEMU did not read {length} bytes at {address + len(data):#x}, it said {reply!r}",
                    remedy="check the address against the memory map of the board",
                )
            data += chunk
        return data

    def registers(self, core: str) -> Registers:
        """The general registers.

        Args:
            core: The board's core, as its manifest names it: "cortex-m3", "rv32imac", …

        Raises:
            BenchError: The stub refused, or did not answer within 10 s; or what `lost` says.
        """
        reply = self._command("g")
        words = [int.from_bytes(bytes.fromhex(reply[at : at + 8].decode()), "little") for at in range(0, len(reply), 8)]
        count, pc, lr, sp, first = _CORES.get(re.sub(r"(m|32).*", r"\1", core), (len(words) + 1, 0, 0, 0, 0))
        if len(words) < count:
            raise BenchError(
                f"the registers of core '{core}' are not known ({len(words)} words)",
                remedy="'core' of a board's manifest begins with 'cortex-m' or 'rv32'",
            )
        a, b, c, d = words[first : first + 4]
        return Registers(words[pc], words[lr], words[sp], (a, b, c, d), tuple(words[:count]))

    def insert_breakpoint(self, address: int) -> None:
        """Let the processor stop before it executes the instruction at an address; harmless when it is there already."""
        self._demand(f"Z0,{address:x},2", f"set a breakpoint at {address:#x}", "check the address")

    def remove_breakpoint(self, address: int) -> None:
        """Take a breakpoint away.

        Raises:
            BenchError: There is none; or the stub did not answer within 10 s; or what `lost` says.
        """
        self._demand(f"z0,{address:x},2", f"remove the breakpoint at {address:#x}", "check the address")

    def run(self, *, step: bool = False) -> None:
        """Let the processor run, from where it stands: a breakpoint there stops it at once, unless it does one step only.

        Args:
            step: Execute one instruction, without any interrupt, and stop.
        """
        self._forget_stops()
        self._send("s" if step else "c")

    def wait_stop(self, timeout: float) -> bool:
        """Wait until the processor has stopped; False when it did not within `timeout` seconds.

        Raises:
            BenchError: What stopped it was neither a breakpoint nor a step; or what `lost` says.
        """
        try:
            packet = self._packet(time.monotonic() + timeout)
        except TimeoutError:
            return False
        except OSError as error:
            raise self._lost() from error
        if not packet.startswith((b"T", b"S")) or packet[1:3] != _TRAP:
            raise BenchError(f"QEMU stopped for no breakpoint; it said {packet!r}", remedy="run the session again")
        return True

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _demand(self, packet: str, deed: str, remedy: str) -> None:
        reply = self._command(packet)
        if reply != b"OK":
            said = reply.decode("latin-1") or "not supported"
            raise BenchError(f"QEMU refused to {deed}: {said}", remedy=remedy)

    def _command(self, packet: str) -> bytes:
        self._send(packet)
        deadline = time.monotonic() + _TIMEOUT
        try:
            while True:
                reply = self._packet(deadline)
                # Stop replies come unasked whenever the machine was stopped by QMP.
                if not reply.startswith((b"T", b"S")):
                    return reply
        except TimeoutError as error:
            raise BenchError(
                f"QEMU's gdbstub did not answer within {_TIMEOUT:g} s",
                remedy="check the load of this machine; run again",
            ) from error
        except OSError as error:
            raise self._lost() from error

    def _send(self, text: str) -> None:
        packet = text.encode()
        try:
            self._socket.settimeout(_TIMEOUT)
            self._socket.sendall(b"$%b#%02x" % (packet, sum(packet) & 0xFF))
        except OSError as error:
            raise self._lost() from error

    def _forget_stops(self) -> None:
        """Take what was said of earlier stops, which QMP caused, so that it is not taken for the next one."""
        try:
            self._socket.setblocking(False)
            while data := self._socket.recv(65536):
                self._buffer += data
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._lost() from error
        self._buffer = b""

    def _packet(self, deadline: float) -> bytes:
        while True:
            begin = self._buffer.find(b"$")
            end = self._buffer.find(b"#", begin) if begin >= 0 else -1
            if 0 <= end <= len(self._buffer) - 3:
                packet = self._buffer[begin + 1 : end]
                self._buffer = self._buffer[end + 3 :]
                return packet
            # Waiting apart from receiving costs less than setting the socket's time-out each time.
            if not select.select((self._socket,), (), (), max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            data = self._socket.recv(65536)
            if not data:
                raise self._lost()
            self._buffer += data
