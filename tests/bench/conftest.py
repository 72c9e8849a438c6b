"""Fixtures of the bench's tests: the test firmware, sessions with it, emulators."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devicepipe.bench.channel import SerialLog, SerialLoop
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.spec import SessionSpec
from devicepipe.project.board import Board
from tests.bench.samples import MACHINES, SOURCE, Firmware, SpecMaker, board, processes_of, spec_for


@pytest.fixture(scope="session")
def firmware_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Firmware]:
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.fail(
            "the bench's tests need a compiler and an emulator: apt-get install gcc-arm-none-eabi qemu-system-arm"
        )
    folder, built = tmp_path_factory.mktemp("firmware"), dict[str, Firmware]()

    def build(name: str) -> Firmware:
        if name not in built:
            _, define, core, _, _ = MACHINES[name]
            elf, binary = folder / f"{name}.elf", folder / f"{name}.bin"
            flags = [
                f"-D{define}",
                f"-mcpu={core}",
                "-mthumb",
                "-Os",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-ffreestanding",
                "-nostdlib",
            ]
            link = [
                "-Wl,--build-id=none",
                "-T",
                str(SOURCE / "flash.ld"),
                str(SOURCE / "main.c"),
                "-lgcc",
                "-o",
                str(elf),
            ]
            subprocess.run(["arm-none-eabi-gcc", *flags, *link], check=True)
            subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(binary)], check=True)
            built[name] = Firmware(board(name), binary.read_bytes())
        return built[name]

    return build


@pytest.fixture
def firmware(firmware_of: Callable[[str], Firmware]) -> Firmware:
    return firmware_of("microbit")


@pytest.fixture
def make_spec(tmp_path: Path, firmware: Firmware) -> SpecMaker:
    def make(modules: dict[str, str], **changes: Any) -> SessionSpec:
        return spec_for(tmp_path, changes.pop("firmware", firmware), modules, **changes)

    return make


@pytest.fixture
def no_process_left(tmp_path: Path) -> Iterator[None]:
    """Afterwards no process that was told of the test's folder, or that prints into it, is alive: neither pytest nor QEMU."""
    yield
    assert processes_of(tmp_path) == []


@pytest.fixture
def serial_log(tmp_path: Path) -> Iterator[SerialLog]:
    log = SerialLog(tmp_path / "serial.log", tmp_path / "serial.log.timed")
    yield log
    log.close()


@pytest.fixture
def serial_loop() -> Iterator[SerialLoop]:
    loop = SerialLoop()
    yield loop
    loop.close()


@pytest.fixture
def start(tmp_path: Path, serial_log: SerialLog, serial_loop: SerialLoop) -> Iterator[Callable[[Board], Qemu]]:
    """Start an emulator with an erased flash; all that were started are ended afterwards."""
    started: list[Qemu] = []

    def run(of: Board) -> Qemu:
        started.append(Qemu(of, tmp_path / "emulator.log", serial_log, serial_loop))
        return started[-1]

    yield run
    for qemu in started:
        qemu.close()
