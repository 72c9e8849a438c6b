"""A board's emulator: which program it is, whether it is installed, and what makes it the board."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.predicates import Tool
from devicepipe.project.board import Board, Emulator

_PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-aarch64": "qemu-system-arm"}


def emulator_of(board: Board) -> Emulator:
    """The board's emulator.

    Raises:
        UsageError: The board's manifest names none.
    """
    if board.emulator is None:
        raise UsageError(
            f"board '{board.name}' has no emulator",
            key="devicepipe.emulator",
            remedy="add the table 'emulator' to the board's manifest, or a real device to bench.toml",
        )
    return board.emulator


def emulator_program(board: Board) -> Path:
    """Where the board's emulator is installed.

    Raises:
        UsageError: The board's manifest names none.
        BenchError: It is not installed; names the package.
    """
    program = emulator_of(board).program
    found = shutil.which(program)
    if found is None:
        package = _PACKAGES.get(program, "qemu-system-misc")
        raise BenchError(
            f"'{program}', the emulator of board '{board.name}', is not installed",
            remedy=f"Debian or Ubuntu: apt-get install {package}",
        )
    return Path(found)


def emulator_tool(board: Board) -> Tool:
    """The board's emulator as evidence: name, version as its `--version` says, SHA-256 of the program.

    Raises:
        UsageError: The board's manifest names none.
        BenchError: It is not installed, or does not say its version.
    """
    program = emulator_program(board)
    try:
        output = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"'{program.name} --version' failed: {error}", remedy="install QEMU anew") from error
    first = output.splitlines()[0] if output else ""
    version = first.removeprefix("QEMU emulator version ").split(" ")[0]
    if not version:
        raise BenchError(f"'{program.name} --version' printed no version but {output!r}", remedy="install QEMU anew")
    return Tool(name=program.name, version=version, sha256=sha256_of(program))


def machine_arguments(board: Board, sockets: list[int], uart_options: str) -> list[str]:
    """What makes QEMU the board: its UARTs, QMP and gdbstub on sockets, in that order."""
    emulator = emulator_of(board)
    *lines, control, gdb = sockets
    arguments = ["-machine", emulator.machine, *emulator.arguments]
    arguments += ["-S", "-display", "none", "-nodefaults", "-monitor", "none"]
    ends = dict(zip(board.uarts, lines, strict=True))
    for uart in range(max(ends) + 1):
        if uart in ends:
            arguments += [
                "-chardev",
                f"socket,id=uart{uart},fd={ends[uart]}{uart_options}",
                "-serial",
                f"chardev:uart{uart}",
            ]
        else:
            arguments += ["-serial", "null"]
    arguments += ["-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control"]
    arguments += ["-chardev", f"socket,id=gdb,fd={gdb}", "-gdb", "chardev:gdb"]
    if emulator.cfi_flash:
        # The machine would begin at its flash if that were a drive. It is none: the processor's thread writes a drive itself, and
        # takes the main loop's wake-ups while it waits for that (docs/adr/0042). Nor does it need firmware of QEMU's own.
        arguments += ["-bios", "none", "-device", f"loader,addr={board.flash.base:#x},cpu-num=0"]
    return arguments
