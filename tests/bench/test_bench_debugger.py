"""Breakpoints, steps, registers and memory of emulated devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.bench.debugger import Debugger
from devicepipe.bench.protocol import REPLY
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.symbols import Symbols
from devicepipe.errors import BenchError, UsageError
from devicepipe.project.board import Board
from tests.bench.samples import MACHINES, Firmware
from tests.bench.test_bench_qemu import flash_of

Start = Callable[[Board], Qemu]


@pytest.mark.parametrize("name", MACHINES)
def test_device_stops_at_functions_and_shows_its_state(
    name: str, firmware_of: Callable[[str], Firmware], start: Start
) -> None:
    firmware = firmware_of(name)
    qemu = start(firmware.board)
    qemu.write_flash(flash_of(firmware, "v"))
    debugger = Debugger(qemu, [firmware.elf])
    debugger.reset()
    address = debugger.set_breakpoint("exchanged")
    assert address == Symbols(firmware.elf).address("exchanged")
    for _ in range(3):
        assert debugger.run(10) == address
        registers = debugger.registers()
        assert (registers.pc, registers.arguments) == (registers.general[-1], registers.arguments)
        assert debugger.where(registers.pc) == f"{address:#x} (exchanged)"
        assert "(main" in debugger.where(registers.lr & ~1)
        ram = firmware.board.ram.base
        assert ram + 0x1000 < registers.sp <= ram + 0x2000
    assert debugger.step() != address
    assert debugger.read_memory(firmware.board.flash.base, 3000) == flash_of(firmware, "v")[:3000]
    debugger.write_memory(ram + 0x1000, b"ABCDE")
    assert debugger.read_memory(ram + 0x1000, 5) == b"ABCDE"
    debugger.clear_breakpoints()
    assert debugger.run(0.2) is None
    debugger.release()
    assert qemu.channel.take_line(REPLY, 10, ask=b"status\n") == b"OK status state=idle\r\n"


def test_function_that_never_comes(firmware: Firmware, start: Start) -> None:
    qemu = start(firmware.board)
    qemu.write_flash(flash_of(firmware))
    debugger = Debugger(qemu, [firmware.elf])
    debugger.set_breakpoint("exchanged")
    debugger.reset()
    assert debugger.run(0.3) is None
    assert not qemu.running


def test_memory_that_is_not_there(firmware: Firmware, start: Start) -> None:
    qemu = start(firmware.board)
    with pytest.raises(BenchError, match="did not read"):
        qemu.gdb.read(0x9000_0000, 4)


def test_symbols_that_are_not_there(firmware: Firmware, tmp_path: Path) -> None:
    symbols = Symbols(firmware.elf)
    with pytest.raises(UsageError, match="no symbol 'nosuch'"):
        symbols.address("nosuch")
    assert symbols.name(0xFFFF_0000) == ""
    assert symbols.name(symbols.address("main") + 2) == "main+0x2"
    (tmp_path / "text.elf").write_text("no ELF")
    with pytest.raises(UsageError, match="not an ELF file"):
        Symbols(tmp_path / "text.elf")
    with pytest.raises(UsageError, match="cannot be read"):
        Symbols(tmp_path / "none.elf")
