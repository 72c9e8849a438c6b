"""A small firmware of the tests' own, as truthful or as lying as a test wants it, and sessions with it."""

from __future__ import annotations

import hashlib
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intelhex import IntelHex

from devicepipe.bench.spec import SessionSpec
from devicepipe.evidence.predicates import Identity, TestRun
from devicepipe.project.board import Board

SpecMaker = Callable[..., SessionSpec]
SOURCE = Path(__file__).parent / "firmware"
COMMIT = "c0ffee" + "0" * 34
# The firmware's code stands for the bootloader; what it says of itself, and its mood, are the image in slot 0 (firmware/main.c).
SLOT0, MOOD = 0x2000, 0x100
MACHINES = {
    "microbit": ("microbit", "MICROBIT", "cortex-m0", 0x40000, 1024),
    "mps2_an385": ("mps2-an385", "MPS2_AN385", "cortex-m3", 0x80000, 4096),
}


def board(name: str, **changes: Any) -> Board:
    machine, _, core, flash, page = MACHINES[name]
    description = {
        "name": name,
        "title": name,
        "core": core,
        "flash": {"base": 0, "size": flash, "page": page, "write": 4},
        "ram": {"base": 0x20000000, "size": 0x4000},
        "regions": {
            "bootloader": {"offset": 0, "size": SLOT0},
            "slot0": {"offset": SLOT0, "size": 0x4000},
            "state": {"offset": 0x6000, "size": 0x1000},
        },
        "emulator": {"driver": "qemu", "program": "qemu-system-arm", "machine": machine},
    }
    return Board.model_validate(description | changes)


@dataclass(frozen=True)
class Firmware:
    """The test firmware of one board: what it will say of itself is written into it."""

    board: Board
    code: bytes

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

    def image(self, mood: str = "n", **says: str) -> bytes:
        identity = self.identity(**says)
        words = " ".join(f"{name}={value}" for name, value in identity.model_dump().items() if value)
        return words.encode().ljust(MOOD, b"\0") + mood.encode().ljust(4, b"\0")

    def factory(self, folder: Path, mood: str = "n", **says: str) -> Path:
        return write_hex(folder / "factory.hex", {0: self.code, SLOT0: self.image(mood, **says)})


def write_hex(path: Path, segments: dict[int, bytes]) -> Path:
    image = IntelHex()
    for address, data in segments.items():
        image.puts(address, data)
    image.write_hex_file(str(path))
    return path


def spec_for(
    folder: Path, firmware: Firmware, modules: dict[str, str], *, mood: str = "n", **changes: Any
) -> SessionSpec:
    """A session of test modules (name → source) with a device of some mood; `says` is what it says other than expected."""
    tests = folder / "product" / "hil"
    for name, source in modules.items():
        file = tests / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("import pytest\n" + textwrap.dedent(source), encoding="utf-8")
    says = changes.pop("says", {})
    factory = firmware.factory(folder, mood, **says)
    (folder / "signed.bin").write_bytes(firmware.image(mood, **says))
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
