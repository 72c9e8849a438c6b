"""A small firmware of the tests' own, as truthful or as lying as a test wants it, and sessions with it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intelhex import IntelHex

from devicepipe.bench.spec import SessionSpec
from devicepipe.evidence.results import Identity, TestRun
from devicepipe.project.board import Board

SpecMaker = Callable[..., SessionSpec]
SOURCE = Path(__file__).parent / "firmware"
COMMIT = "c0ffee" + "0" * 34
# The firmware's code stands for the bootloader; what it says of itself, and its mood, are the image in slot 0 (firmware/main.c).
SLOT0, MOOD = 0x2000, 0x100


@dataclass(frozen=True)
class Machine:
    """An emulated machine, and how the test firmware is built for it."""

    machine: str
    core: str
    flags: str
    size: int
    page: int
    base: int = 0
    ram: int = 0x20000000
    program: str = "qemu-system-arm"
    compiler: str = "arm-none-eabi"
    link: tuple[tuple[str, object], ...] = (("uart", 1),)
    emulator: tuple[tuple[str, object], ...] = ()


SHARED: tuple[tuple[str, object], ...] = (("uart", 0), ("lead", "02"))
MACHINES = {
    "microbit": Machine("microbit", "cortex-m0", "-DMICROBIT -mcpu=cortex-m0 -mthumb", 0x40000, 1024, link=SHARED),
    "mps2_an385": Machine("mps2-an385", "cortex-m3", "-DMPS2_AN385 -mcpu=cortex-m3 -mthumb", 0x80000, 4096),
    "mps2_an505": Machine(
        "mps2-an505", "cortex-m33", "-DMPS2_AN505 -mcpu=cortex-m33 -mthumb", 0x80000, 4096, 0x10000000, 0x38000000
    ),
    "virt_rv32": Machine(
        "virt",
        "rv32imac",
        "-DVIRT_RV32 -march=rv32imac_zicsr -mabi=ilp32 -mcmodel=medany",
        0x400000,
        0x40000,
        0x20000000,
        0x80000000,
        "qemu-system-riscv32",
        "riscv64-unknown-elf",
        SHARED,
        (("cfi-flash", True),),
    ),
}


def board(name: str, **changes: Any) -> Board:
    machine = MACHINES[name]
    description = {
        "name": name,
        "title": name,
        "core": machine.core,
        "flash": {"base": machine.base, "size": machine.size, "page": min(machine.page, 4096), "write": 4},
        "ram": {"base": machine.ram, "size": 0x4000},
        "regions": {
            "bootloader": {"offset": 0, "size": SLOT0},
            "slot0": {"offset": SLOT0, "size": 0x4000},
            "state": {"offset": 0x6000, "size": 0x1000},
        },
        "links": {"plant": dict(machine.link)},
        "emulator": {
            "driver": "qemu",
            "program": machine.program,
            "machine": machine.machine,
            **dict(machine.emulator),
        },
    }
    return Board.model_validate(description | changes)


@dataclass(frozen=True)
class Firmware:
    """The test firmware of one board: what it will say of itself is written into it."""

    board: Board
    code: bytes
    elf: Path

    def identity(self, **changes: str) -> Identity:
        digest = hashlib.sha256(self.code).hexdigest()
        says = {
            "board": self.board.name,
            "version": "0.1.0+0",
            "commit": COMMIT,
            "digest": digest,
            "serial": "emulated",
        }
        return Identity(**(says | {"key": "development"} | changes))

    def image(self, mood: str = "n", script: bytes = b"", **says: str) -> bytes:
        identity = self.identity(**says)
        words = " ".join(f"{name}={value}" for name, value in identity.model_dump().items() if value)
        return words.encode().ljust(MOOD, b"\0") + mood.encode().ljust(4, b"\0") + script + b"\x1eE"

    def factory(self, folder: Path, mood: str = "n", script: bytes = b"", **says: str) -> Path:
        base = self.board.flash.base
        return write_hex(folder / "factory.hex", {base: self.code, base + SLOT0: self.image(mood, script, **says)})


def build_firmware(name: str, folder: Path) -> Firmware:
    """The test firmware for a board, built into a folder."""
    machine = MACHINES[name]
    elf, binary, script = (folder / f"{name}.{kind}" for kind in ("elf", "bin", "ld"))
    memory = [f"-DFLASH_BASE={machine.base:#x}", f"-DRAM_BASE={machine.ram:#x}"]
    flags = [*machine.flags.split(), "-Os", "-g", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib"]
    flags.append(f"-ffile-prefix-map={SOURCE}=.")
    link = ["-Wl,--build-id=none,--no-warn-rwx-segments", "-T", str(script), str(SOURCE / "main.c"), "-lgcc"]
    compiler = f"{machine.compiler}-gcc"
    subprocess.run([compiler, *memory, "-E", "-P", "-xc", SOURCE / "flash.ld", "-o", script], check=True)
    subprocess.run([compiler, *memory, *flags, *link, "-o", elf], check=True, cwd=SOURCE)
    subprocess.run([f"{machine.compiler}-objcopy", "-O", "binary", elf, binary], check=True)
    return Firmware(board(name), binary.read_bytes(), elf)


def write_hex(path: Path, segments: dict[int, bytes]) -> Path:
    image = IntelHex()
    for address, data in segments.items():
        image.puts(address, data)
    image.write_hex_file(str(path))
    return path


def spec_for(
    folder: Path, firmware: Firmware, modules: dict[str, str], *, mood: str = "n", script: bytes = b"", **changes: Any
) -> SessionSpec:
    """A session of test modules (name → source) with a device of some mood; `says` is what it says other than expected."""
    tests = folder / "product" / "hil"
    for name, source in modules.items():
        file = tests / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("import pytest\n" + textwrap.dedent(source), encoding="utf-8")
    says = changes.pop("says", {})
    factory = firmware.factory(folder, mood, script, **says)
    (folder / "signed.bin").write_bytes(firmware.image(mood, script, **says))
    (folder / "image.pub.pem").write_text("the public key\n")
    fields: dict[str, Any] = {
        "board": firmware.board,
        "factory": factory,
        "signed_image": folder / "signed.bin",
        "public_key": folder / "image.pub.pem",
        "expected": firmware.identity(),
        "payload_digest": hashlib.sha256(firmware.code).hexdigest(),
        "tests": tests,
        "output": folder / "out",
        "serial_log": f"evidence/{firmware.board.name}/serial.log",
        "elf": firmware.elf,
        "tester": "tester@example.com",
        "timeout": 60.0,
    }
    return SessionSpec(**(fields | changes))


def verdicts(run: TestRun) -> dict[str, str]:
    return {case.id.removeprefix("hil/"): str(case.verdict) for case in run.cases}


def reason(run: TestRun, name: str) -> str:
    return next(case.reason for case in run.cases if case.id.endswith(name))


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that work in, or were told of, a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            outputs = [str((entry / "fd" / name).readlink()) for name in ("1", "2")]
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and (str(folder) in command or any(str(folder) in output for output in outputs)):
            found.append(command)
    return found
