"""An emulated device that runs its bootloader only: from a flash, through a reset, to the function that carries its decision out.

What always holds: every run begins with exactly the flash and the RAM it was given, at a reset; what is said of its end was read
while the processor stood at that function, before any instruction of the application; no run is without a bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.project.board import Board

PATIENCE = 60.0
"""The longest that a bootloader may take on our clock, in seconds: a thousand times what it takes."""


@dataclass(frozen=True)
class Boot:
    """How a run of the bootloader ended.

    Attributes:
        at: The function it came to; "" where it came to none of them.
        flash: The whole flash then.
        said: What it wrote to the console.
    """

    at: str
    flash: bytes
    said: str


class BootMachine:
    """An emulator that halts at some functions of the bootloader.

    Args:
        board: The board.
        folder: For its logs; made when missing.
        stops: Function → its address.

    Raises:
        UsageError, BenchError: As the emulator does.
    """

    def __init__(self, board: Board, folder: Path, stops: Mapping[str, int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._names = {address: name for name, address in stops.items()}
        self._logs = {uart: SerialLog(folder / f"uart{uart}.log") for uart in board.uarts}
        # A device that nobody listens to waits after some 278 characters: that is all a socket takes, one at a time.
        self._loop = SerialLoop()
        self._folder = folder
        self._held: bytes | None = None
        self._qemu = Qemu(board, folder / "emulator.log", self._logs, self._loop)
        for address in stops.values():
            self._qemu.gdb.insert_breakpoint(address)

    def boot(self, flash: bytes, ram: Sequence[tuple[int, bytes]]) -> Boot:
        """Run the bootloader once.

        Args:
            flash: The whole flash.
            ram: Absolute addresses and what lies there; all other RAM is as the last run left it.

        Raises:
            DeviceFaultError: The processor locked up.
            BenchError: The emulator was lost.
        """
        qemu = self._qemu
        start = self._at_reset(flash, ram)
        qemu.run()
        came = qemu.wait_stop(PATIENCE)
        qemu.stop()
        qemu.channel.receive()
        said = qemu.channel.log.read(start).decode("ascii", "backslashreplace")
        if not came:
            return Boot("", b"", said)
        self._held = qemu.read_flash()
        return Boot(self._names[qemu.registers().pc], self._held, said)

    def save(self, flash: bytes, ram: Sequence[tuple[int, bytes]]) -> None:
        """Keep a snapshot of the machine at its reset; its emulator must take snapshots."""
        self._at_reset(flash, ram)
        self._qemu.save(self._folder / "snapshot.qcow2")

    def boot_saved(self) -> bool:
        """Restore the snapshot and run the bootloader once; whether it came to one of the functions."""
        self._held = None
        self._qemu.load()
        self._qemu.run()
        return self._qemu.wait_stop(PATIENCE)

    def _at_reset(self, flash: bytes, ram: Sequence[tuple[int, bytes]]) -> int:
        """Bring it before its first instruction; the offset in the console's log from which on it writes."""
        # The processor has not run since the flash was read that is held.
        self._qemu.write_flash(flash, self._held)
        self._held = None
        for address, data in ram:
            self._qemu.gdb.write(address, data)
        return self._qemu.reset(run=False)

    def close(self) -> None:
        """End the emulator."""
        self._qemu.close()
        self._loop.close()
        for log in self._logs.values():
            log.close()
