"""A debugger on a running device: stop it at functions, look at registers and memory, let it go on.

What always holds: the device stands after each of these methods but `release`, and it runs for no longer than it was given.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from devicepipe.bench.gdbstub import Registers
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.symbols import describe, symbols_of

# A step ends at once, however long the emulator has to wait for a processor of its own.
_STEP_TIMEOUT = 30.0


class Debugger:
    """A debugger on an emulated device.

    Args:
        qemu: The device's emulator.
        programs: The ELF files of the programs that it runs; where several name the same function, the first counts.
    """

    def __init__(self, qemu: Qemu, programs: Iterable[Path] = ()) -> None:
        self._qemu = qemu
        self.programs = [symbols_of(path) for path in programs]
        self._breakpoints: set[int] = set()

    def set_breakpoint(self, where: str | int, program: int = 0) -> int:
        """Stop the device before the first instruction of a function; its address.

        Args:
            where: The function's name, or an address.
            program: Which program names it, by its place in `programs`.

        Raises:
            UsageError: The program has no such function.
        """
        address = self.programs[program].address(where) if isinstance(where, str) else where
        self._qemu.stop()
        if address not in self._breakpoints:  # QEMU would keep two, and take away one
            self._qemu.gdb.insert_breakpoint(address)
            self._breakpoints.add(address)
        return address

    def reset(self) -> None:
        """Reset the device; it stands before its first instruction, and what it had sent before is forgotten."""
        self._qemu.reset(run=False)

    def clear_breakpoints(self) -> None:
        """Take all breakpoints away that this debugger has set."""
        self._qemu.stop()
        while self._breakpoints:
            self._qemu.gdb.remove_breakpoint(self._breakpoints.pop())

    def release(self) -> None:
        """Take all breakpoints away and let the device run on, freely."""
        self.clear_breakpoints()
        self._qemu.cont()

    def run(self, timeout: float) -> int | None:
        """Let the device run to the next breakpoint; its address, or None where it came to none within `timeout` seconds."""
        self._qemu.stop()
        if self._qemu.registers().pc in self._breakpoints:
            self.step(_STEP_TIMEOUT)
        self._qemu.run()
        self._qemu.wait_stop(timeout)
        # It may have come to a breakpoint after the wait had ended and before it was stopped.
        pc = self.registers().pc
        return pc if pc in self._breakpoints else None

    def step(self, timeout: float = 5.0) -> int:
        """Let the device execute one instruction, without any interrupt; the address of the next one."""
        self._qemu.stop()
        self._qemu.run(step=True)
        self._qemu.wait_stop(timeout)
        self._qemu.stop()
        return self.registers().pc

    def registers(self) -> Registers:
        """The registers of the device, which is stopped for that."""
        self._qemu.stop()
        return self._qemu.registers()

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes of the memory as the processor sees them, from an absolute address. The device is stopped for that."""
        self._qemu.stop()
        return self._qemu.gdb.read(address, size)

    def write_memory(self, address: int, data: bytes) -> None:
        """Set bytes of the memory, from an absolute address. The device is stopped for that."""
        self._qemu.stop()
        self._qemu.gdb.write(address, data)

    def where(self, address: int) -> str:
        """An address in words: "0x4a2 (control_tick+0x12)"."""
        return describe(address, self.programs)
