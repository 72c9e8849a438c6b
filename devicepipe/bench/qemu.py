"""An emulated device: one QEMU process, driven through sockets that only it and we hold.

What always holds: the process dies with the thread that started it (so start it from one that lives on), it leaves no file
behind (its sockets and its memory dumps have no path), its flash is written only while the processor is stopped, and its death is
noticed by event: an exception that says how it died, with the end of its log.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from devicepipe.bench.channel import Channel, SerialLog, SerialLoop, SocketPort
from devicepipe.bench.faults import LockupError
from devicepipe.bench.gdbstub import GdbStub
from devicepipe.bench.qmp import Qmp
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.predicates import Tool
from devicepipe.project.board import Board, Emulator

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-aarch64": "qemu-system-arm"}
# Writing whole blocks keeps the number of gdbstub packets small, and finding them needs one comparison each.
_BLOCK = 1024


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def emulator_of(board: Board) -> Emulator:
    """The board's emulator.

    Raises:
        UsageError: The board's manifest names none.
    """
    if board.emulator is None:
        raise UsageError(
            f"board '{board.name}' has no emulator",
            key="devicepipe.emulator",
            remedy="add the table 'emulator' to the board's manifest; devices on a bench are not supported yet",
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


class Qemu:
    """A running emulator of a board, its processor stopped until `reset`.

    Args:
        board: The board to emulate.
        output: The file that gets what QEMU itself prints.
        serial_log: The record of the serial line.
        loop: Receives the serial line.

    Raises:
        UsageError: The board's manifest names no emulator.
        BenchError: QEMU is not installed, cannot be started, or does not answer within 10 s.
    """

    def __init__(self, board: Board, output: Path, serial_log: SerialLog, loop: SerialLoop) -> None:
        self.board = board
        self.output = output
        program = emulator_program(board)
        self._dump = os.memfd_create("devicepipe-flash")
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        try:
            self._process = _start(program, board, output, [end.fileno() for end in theirs], self._dump)
        except OSError as error:
            os.close(self._dump)
            for end in ours:
                end.close()
            raise BenchError(f"'{program.name}' cannot be started: {error}", remedy="install QEMU anew") from error
        finally:
            for end in theirs:
                end.close()
        self._running = False
        console, control, gdb = ours
        self.channel = Channel(SocketPort(console), serial_log, loop, self.cause_of_death)
        self._gdb = GdbStub(gdb, self.cause_of_death)
        self._control = control
        try:
            self._qmp = Qmp(control, self.cause_of_death)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process id of QEMU."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def read_flash(self) -> bytes:
        """The contents of the whole flash. The processor keeps running, or stopped."""
        flash = self.board.flash
        # memsave reads what the processor sees; pmemsave cannot see a flash that is private to a system on chip (nRF51).
        # A file name without a path in any file system: nothing can be left behind.
        self._qmp.command("memsave", val=flash.base, size=flash.size, filename=f"/proc/self/fd/{self._dump}")
        contents = os.pread(self._dump, flash.size, 0)
        if len(contents) != flash.size:
            raise BenchError(f"QEMU dumped {len(contents)} of {flash.size} bytes of flash", remedy=f"see {self.output}")
        return contents

    def write_flash(self, contents: bytes) -> None:
        """Make the whole flash equal to `contents`, and prove it by reading it back. The processor stays stopped until `reset`.

        Raises:
            BenchError: The flash does not hold what was written.
        """
        self.stop()
        base = self.board.flash.base
        for start, data in _differences(self.read_flash(), contents):
            self._gdb.write(base + start, data)
        if self.read_flash() != contents:
            raise BenchError(
                f"the emulated flash of board '{self.board.name}' does not hold what was written to it",
                remedy="check the flash of the board's manifest against the emulated machine",
            )

    def stop(self) -> None:
        """Stop the processor; when this returns, all that it has sent can be received."""
        if self._running:
            self._qmp.command("stop")
            self._running = False

    def reset(self) -> int:
        """Reset the device and let it run; unread serial bytes from before are forgotten.

        Returns:
            The offset in the raw serial log at which the output of the new start begins.
        """
        self.stop()
        self.channel.discard()
        start = self.channel.log.offset
        self._qmp.events.clear()
        self._qmp.command("system_reset")
        self._qmp.command("cont")
        self._running = True
        return start

    def guest_resets(self) -> int:
        """How often the device has reset itself since the last `reset`."""
        self._qmp.command("query-status")
        return sum(event["event"] == "RESET" and bool(event["data"].get("guest")) for event in self._qmp.events)

    def cause_of_death(self) -> Exception:
        """Why a socket to QEMU closed: a LockupError, which is the product's fault, or a BenchError for any other reason."""
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return BenchError(
                f"QEMU closed its connection but still runs (pid {self.pid})", remedy=f"see {self.output}"
            )
        printed = self.output.read_text(encoding="utf-8", errors="replace")
        lockups = [line for line in printed.splitlines() if "Lockup:" in line]
        if lockups and status == -signal.SIGABRT:
            return LockupError(
                f"the processor of board '{self.board.name}' locked up ({lockups[-1]}); registers in {self.output}"
            )
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        last = printed.strip().splitlines()[-1:] or ["(nothing)"]
        return BenchError(f"QEMU {how}; it last printed: {last[0]}", remedy=f"see {self.output}, then run again")

    def close(self) -> None:
        """End the process and release everything; harmless when it has ended already."""
        self._process.kill()
        self._process.wait()
        self.channel.close()
        self._gdb.close()
        self._control.close()
        if self._dump >= 0:
            os.close(self._dump)
            self._dump = -1


def _start(program: Path, board: Board, output: Path, sockets: list[int], dump: int) -> subprocess.Popen[bytes]:
    emulator = emulator_of(board)
    console, control, gdb = sockets
    owner = os.getpid()

    def tie_to_owner() -> None:
        die_with_parent()
        # A lockup aborts QEMU: its registers are in the log, and a core file would be left behind.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.getppid() != owner:
            os._exit(1)

    command = [str(program), "-machine", emulator.machine, *emulator.arguments]
    command += ["-S", "-display", "none", "-nodefaults", "-monitor", "none"]
    command += ["-chardev", f"socket,id=console,fd={console}", *["-serial", "null"] * board.console.uart]
    command += ["-serial", "chardev:console"]
    command += ["-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control"]
    command += ["-chardev", f"socket,id=gdb,fd={gdb}", "-gdb", "chardev:gdb"]
    with output.open("ab") as printed:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            pass_fds=[*sockets, dump],
            # Only async-signal-safe calls happen in it, and only the kernel can end a child whatever happens to us.
            preexec_fn=tie_to_owner,  # noqa: PLW1509
        )


def _differences(have: bytes, want: bytes) -> list[tuple[int, bytes]]:
    """The stretches, in whole blocks, that must be written to turn `have` into `want`: offset and bytes."""
    stretches: list[list[int]] = []
    for start in range(0, len(want), _BLOCK):
        end = start + _BLOCK
        if have[start:end] == want[start:end]:
            continue
        if stretches and stretches[-1][1] == start:
            stretches[-1][1] = end
        else:
            stretches.append([start, end])
    return [(start, want[start:end]) for start, end in stretches]
