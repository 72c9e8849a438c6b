"""An emulated device as a target: one emulator at a time, replaced by a new one where a reset would not be enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devicepipe.bench.channel import Channel, Stream
from devicepipe.bench.debugger import Debugger
from devicepipe.bench.factory import flash_contents, load_factory
from devicepipe.bench.lockstep import LockStep, VirtualTime
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.spec import SessionSpec
from devicepipe.bench.symbols import describe, symbols_of
from devicepipe.bench.target import DEBUGGER, READ_FLASH, VIRTUAL_TIME, WRITE_FLASH
from devicepipe.errors import BenchError, UsageError


class EmulatedTarget:
    """See `Target`; it can do everything. A write of the flash costs nothing and wears nothing, so `program` always writes.

    Args:
        spec: The session: its board, images and programs.
        start: Starts an emulator; its argument is the address that it halts at, or None outside of virtual time.
    """

    sees_resets = True
    can = frozenset((READ_FLASH, WRITE_FLASH, DEBUGGER, VIRTUAL_TIME))

    def __init__(self, spec: SessionSpec, start: Callable[[int | None], Qemu]) -> None:
        self._elf = spec.elf
        self._programs: list[Path] = [path for path in (spec.elf, spec.bootloader_elf) if path is not None]
        self._flash = flash_contents(spec.board, load_factory(spec.factory), file=spec.factory)
        self._start = start
        self._qemu: Qemu | None = None
        self._lockstep: LockStep | None = None
        self._mode: VirtualTime | None = None
        self._debugger: Debugger | None = None

    @property
    def emulator(self) -> Qemu:
        """The emulator that runs. BenchError where none does."""
        if self._qemu is None:
            raise BenchError("the device is not running", remedy="use the fixtures 'device' and 'dut' inside a test")
        return self._qemu

    @property
    def channel(self) -> Channel:
        """See `Target`."""
        return self.emulator.channel

    @property
    def lockstep(self) -> LockStep | None:
        """See `Target`."""
        return self._lockstep

    def link(self, name: str) -> Stream:
        """See `Target`."""
        return self.emulator.link(name)

    def lines_sent(self) -> tuple[int, int]:
        """See `Target`."""
        commands = self.channel.line_ends
        return commands, commands + sum(link.line_ends for link in self.channel.links.values())

    def begin(self, mode: VirtualTime | None, *, answered: bool) -> None:
        """See `Target`; UsageError: the application has no such function to halt at."""
        if self._qemu is not None:
            self._retire_unless_clean(self._qemu, answered)
        if mode != self._mode:
            self.close()
            self._mode = mode
        if self._qemu is None:
            self._start_emulator()

    def program(self, *, needed: bool = True) -> None:  # noqa: ARG002 - nothing wears
        """See `Target`."""
        self.emulator.write_flash(self._flash)

    def reset(self) -> int:
        """See `Target`."""
        if self._debugger is not None:
            # A breakpoint that is left would stop the device where nobody waits for it.
            debugger, self._debugger = self._debugger, None
            debugger.clear_breakpoints()
        start = self.emulator.reset(run=self._lockstep is None)
        if self._lockstep is not None:
            self._lockstep.begin()
        return start

    def restart(self) -> int:
        """See `Target`: an emulator that holds such input is replaced by a new one with the same flash."""
        qemu = self.emulator
        qemu.stop()
        if qemu.untaken or qemu.virtual_time:
            flash = qemu.read_flash()
            self.close()
            self._start_emulator().write_flash(flash)
        return self.reset()

    def guest_resets(self) -> int:
        """See `Target`."""
        return self.emulator.guest_resets()

    def clock(self) -> float:
        """See `Target`."""
        return self.emulator.clock()

    def demand_thawed(self) -> None:
        """See `Target`."""
        self.emulator.demand_thawed()

    def write_flash(self, offset: int, data: bytes) -> None:
        """See `Target`."""
        self.emulator.stop_for_flash()
        contents = bytearray(self.emulator.read_flash())
        contents[offset : offset + len(data)] = data
        self.emulator.write_flash(bytes(contents))

    def read_flash(self, offset: int, size: int) -> bytes:
        """See `Target`."""
        return self.emulator.read_flash()[offset : offset + size]

    def debugger(self) -> Debugger:
        """See `Target`."""
        if self._debugger is None:
            self._debugger = Debugger(self.emulator, self._programs)
        return self._debugger

    def release(self) -> None:
        """See `Target`."""
        if self._debugger is not None:
            debugger, self._debugger = self._debugger, None
            debugger.release()

    def save(self, moment: str, file: Path) -> None:
        """In virtual time: let the device run until it next begins a function of the application, and keep it there, stopped.

        Raises:
            UsageError: The application has no such function.
            NoExchangeError: It does not come there.
        """
        qemu, lockstep = self.emulator, self._lockstep
        assert lockstep is not None
        address = symbols_of(self._programs[0]).address(moment)
        lockstep.stop_at(address)
        qemu.save(file)
        self.load()

    def load(self) -> None:
        """Make the device what it was when it was saved, stopped."""
        self.emulator.load()
        if self._lockstep is not None:
            self._lockstep.begin()

    def pause(self) -> None:
        """See `Target`."""
        if self._qemu is not None and self._qemu.alive:
            self._qemu.stop()
            self._qemu.discard()

    def close(self) -> None:
        """See `Target`."""
        self._debugger = self._lockstep = None
        if self._qemu is not None:
            self._qemu.close()
            self._qemu = None

    def _start_emulator(self) -> Qemu:
        mode = self._mode
        if mode is None:
            self._qemu = self._start(None)
            return self._qemu
        if self._elf is None:
            raise UsageError("virtual time needs the application's ELF file", remedy="give the session its 'elf'")
        programs = [symbols_of(path) for path in self._programs]
        self._qemu = self._start(programs[0].address(mode.at))
        self._lockstep = LockStep(self._qemu, mode, lambda address: describe(address, programs))
        return self._qemu

    def _retire_unless_clean(self, qemu: Qemu, answered: bool) -> None:
        """End an emulator that died or was stopped, or that still holds input of an earlier test: a reset would not take that back.

        In virtual time QEMU takes input ahead of the device: only one that has just answered is known to hold none.
        """
        frozen = qemu.frozen
        if qemu.alive and not frozen:
            qemu.stop()
        if not qemu.alive or frozen or qemu.untaken or (qemu.virtual_time and not answered):
            self.close()
