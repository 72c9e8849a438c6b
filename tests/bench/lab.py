"""A lab device: a QEMU that stands for hardware. Its console is a socket; lab_probe.py, a program, is its probe and its relay."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devicepipe.bench.tied_process import die_with_parent
from devicepipe.project.board import Board
from devicepipe.project.inventory import DeviceEntry

_SOCKETS = ("console", "control", "gdb")


@dataclass(frozen=True)
class LabDevice:
    """What runs: its folder, its process, and the driver tables that reach it."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> str:
        return f"unix://{self.folder}/console"

    def command(self, *words: str) -> list[str]:
        return [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("lab_probe.py")),
            words[0],
            str(self.folder),
            *words[1:],
        ]

    @property
    def flash(self) -> dict[str, Any]:
        return {"driver": "command", "command": self.command("flash", "{hex}")}

    @property
    def reset(self) -> dict[str, Any]:
        return {"driver": "command", "command": self.command("reset")}

    @property
    def power(self) -> dict[str, Any]:
        state = {"state": self.command("state"), "state-on": "running", "state-off": "paused|prelaunch"}
        return {"driver": "command", "on": self.command("on"), "off": self.command("off"), **state}

    def entry(self, **changes: Any) -> DeviceEntry:
        fields: dict[str, Any] = {"id": "lab-1", "board": "microbit", "port": self.port, "flash": self.flash}
        return DeviceEntry.model_validate(fields | {"reset": self.reset, "serial-number": "DP-17"} | changes)

    def toml(self, **changes: Any) -> str:
        """The same as a table of bench.toml."""
        entry = self.entry(**changes).model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        tables = {name: value for name, value in entry.items() if name in {"flash", "reset", "power"}}
        lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items() if key not in tables]
        for name, table in tables.items():
            lines += [f"[device.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        return "\n".join(["[[device]]", *lines]) + "\n"


@contextmanager
def lab_device(board: Board) -> Iterator[LabDevice]:
    """A device with an erased flash, stopped, that ends with the context."""
    emulator = board.emulator
    assert emulator is not None
    # Not in a test's own folder: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="lab-") as name:
        folder = Path(name)
        listening = {end: socket.socket(socket.AF_UNIX) for end in _SOCKETS}
        for end, listener in listening.items():
            listener.bind(str(folder / end))
            listener.listen()
        command = [emulator.program, "-machine", emulator.machine, "-S", "-display", "none", "-nodefaults"]
        for end, listener in listening.items():
            command += ["-chardev", f"socket,id={end},fd={listener.fileno()},server=on,wait=off"]
        command += ["-serial", "chardev:console", "-mon", "chardev=control,mode=control", "-gdb", "chardev:gdb"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=[listener.fileno() for listener in listening.values()],
            preexec_fn=die_with_parent,  # noqa: PLW1509 - only the kernel can end it whatever happens to us
        )
        for listener in listening.values():
            listener.close()
        try:
            yield LabDevice(folder, process)
        finally:
            process.kill()
            process.wait()
