"""Fixtures of the bench's tests: the test firmware, sessions with it, emulators."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.coverage_map import CoverageMap
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.spec import SessionSpec
from devicepipe.project.board import Board
from tests.bench.samples import Firmware, SpecMaker, build_firmware, processes_of, spec_for


@pytest.fixture(scope="session")
def firmware_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Firmware]:
    tools = ("arm-none-eabi-gcc", "qemu-system-arm", "riscv64-unknown-elf-gcc", "qemu-system-riscv32")
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.fail(f"the bench's tests need {', '.join(missing)}: run tools/setup.sh")
    folder, built = tmp_path_factory.mktemp("firmware"), dict[str, Firmware]()

    def build(name: str) -> Firmware:
        if name not in built:
            built[name] = build_firmware(name, folder)
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
    log = SerialLog(tmp_path / "serial.log")
    yield log
    log.close()


@pytest.fixture
def serial_loop() -> Iterator[SerialLoop]:
    loop = SerialLoop()
    yield loop
    loop.close()


@pytest.fixture
def start(tmp_path: Path, serial_log: SerialLog, serial_loop: SerialLoop) -> Iterator[Callable[..., Qemu]]:
    """Start an emulator with an erased flash; all that were started are ended afterwards."""
    started: list[Qemu] = []
    logs = {0: serial_log, 1: SerialLog(tmp_path / "serial-uart1.log")}

    def run(of: Board, *, halt_at: int | None = None, coverage: CoverageMap | None = None) -> Qemu:
        loop = serial_loop if halt_at is None else None
        started.append(Qemu(of, tmp_path / "emulator.log", logs, loop, halt_at=halt_at, coverage=coverage))
        return started[-1]

    yield run
    for qemu in started:
        qemu.close()
    logs[1].close()
