"""An emulated device: one QEMU process, driven through sockets that only it and we hold.

What always holds: the process dies with the thread that started it (so start it from one that lives on), it leaves no file
behind (its sockets and its memory dumps have no path), its flash is written only while the processor is stopped, and its death is
noticed by event: an exception that says how it died, with the end of its log.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from devicepipe.bench.channel import Channel, SerialLoop, Stream
from devicepipe.bench.core import SharedCore
from devicepipe.bench.coverage_map import CoverageMap
from devicepipe.bench.emulator import emulator_of, emulator_program, machine_arguments
from devicepipe.bench.fair_clock import FairClock
from devicepipe.bench.faults import LockupError
from devicepipe.bench.gdbstub import GdbStub, Registers
from devicepipe.bench.hand_over import HandedPort, HandOver
from devicepipe.bench.qmp import Qmp
from devicepipe.bench.routing import owners
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.tcg_plugin import plugin_file
from devicepipe.bench.tied_process import start_tied
from devicepipe.errors import BenchError
from devicepipe.project.board import Board

# 256: no byte is the multiplexer's escape character.
_VIRTUAL_TIME = ("-icount", "shift=3,sleep=off", "-echr", "256")
# The longest that a processor may take to stop, in seconds.
_STOP = 10.0
# Comparing large blocks first makes finding what differs quick; writing whole small ones keeps the number of packets small.
_LARGE_BLOCK = 64 * 1024
_BLOCK = 1024
# What a CFI flash says of itself in the middle of a command: bytes of its status register, and zeros beside them. No flash with a
# program at its beginning looks like that.
_STATUS = {0x00, 0x80, 0xA0, 0x90, 0xB0}
_STATUS_LOOK = 256
_COMMAND_TIMEOUT = 5.0
_SNAPSHOT = "start"


class Qemu:
    """A running emulator of a board, its processor stopped until `reset`.

    Args:
        board: The board to emulate.
        output: The file that gets what QEMU itself prints.
        logs: The records of the serial lines: one for each of the board's UARTs.
        loop: Receives the serial lines; None: they are received where somebody asks for it.
        halt_at: None: the processor's time passes as on our clock. Otherwise it passes with its instructions, and while it sleeps
            in no time at all (QEMU manual, "TCG Instruction Counting"), and the processor halts whenever it begins the function at
            that address.
        coverage: Counts what is executed; it must live longer than the emulator.

    Raises:
        UsageError: The board's manifest names no emulator.
        BenchError: QEMU is not installed, cannot be started, or does not answer within 10 s.
    """

    def __init__(
        self,
        board: Board,
        output: Path,
        logs: Mapping[int, SerialLog],
        loop: SerialLoop | None,
        *,
        halt_at: int | None = None,
        coverage: CoverageMap | None = None,
    ) -> None:
        self.board = board
        self.output = output
        self.virtual_time = halt_at is not None
        self.on_pass: Callable[[], object] | None = None
        self._halted = self._stopping = False
        program = emulator_program(board)
        self._dump = os.memfd_create("devicepipe-flash")
        self._cfi_flash = emulator_of(board).cfi_flash
        self._plugin = plugin_file("halt", "virtual time") if halt_at is not None else -1
        ours, theirs = zip(*(socket.socketpair() for _ in range(len(board.uarts) + 4)), strict=True)
        *others, halt, handed = [end.fileno() for end in theirs]
        # The multiplexer takes input from its socket before the UART asks for the next byte. A sleeping processor sleeps on to its
        # next timer whenever QEMU's main loop finds nothing to do, so that input which waits would be late.
        ahead = "" if halt_at is None else ",mux=on"
        command = [str(program), *machine_arguments(board, others, ahead)]
        if halt_at is not None:
            plugin = f"/proc/self/fd/{self._plugin},at={halt_at:#x},fd={halt},input={handed}"
            command += [*_VIRTUAL_TIME, "-plugin", plugin]
        if coverage is not None:
            command += coverage.arguments
            others += coverage.files
        kept = [*others, halt, handed, *(file for file in (self._dump, self._plugin) if file >= 0)]
        self._core = SharedCore() if halt_at is not None else None
        try:
            self._process = start_tied(command, output, kept)
        except OSError as error:
            self._close_files()
            for end in ours:
                end.close()
            raise BenchError(f"'{program.name}' cannot be started: {error}", remedy="install QEMU anew") from error
        finally:
            for end in theirs:
                end.close()
        self._running = False
        lines, (control, gdb, halt_socket, hand_over) = ours[:-4], ours[-4:]
        self._halt: socket.socket = halt_socket
        self._hand_over = HandOver(hand_over, lambda: self._halted and not self._stopping)
        self.channels = {
            uart: Channel(
                HandedPort(line, uart, self._hand_over), logs[uart], loop, self.cause_of_death, *owners(board, uart)
            )
            for uart, line in zip(board.uarts, lines, strict=True)
        }
        self.channel = self.channels[board.console.uart]
        self.clock = FairClock()
        for channel in self.channels.values():
            channel.wait = functools.partial(self.clock.wait, channel.wait)
        self.gdb = GdbStub(gdb, self.cause_of_death)
        self._control = control
        try:
            self._qmp = Qmp(control, self.cause_of_death, self._silent)
            self.clock.watch_emulator(self.pid)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process id of QEMU."""
        return self._process.pid

    def link(self, name: str) -> Stream:
        """The stream of a link; KeyError where the board has none of that name."""
        return self.channels[self.board.links[name].uart].links[name]

    def discard(self) -> None:
        """Forget what arrived on all serial lines and was not read."""
        for channel in self.channels.values():
            channel.discard()

    @property
    def untaken(self) -> int:
        """The number of bytes sent on all serial lines that the device has not taken yet; a reset does not take them back."""
        return sum(channel.untaken for channel in self.channels.values())

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def frozen(self) -> bool:
        """Whether somebody stopped the process (SIGSTOP, a debugger): it is not lost, and does nothing."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state in {"T", "t"}

    def demand_thawed(self) -> None:
        """Raise where the process is stopped; to be called before a device that was silent is accused.

        Raises:
            BenchError: It is stopped.
        """
        if self.frozen:
            raise self._frozen()

    def _frozen(self) -> BenchError:
        return BenchError(
            f"QEMU (pid {self.pid}) was stopped by a signal or a debugger, and with it the device", remedy="run again"
        )

    @property
    def running(self) -> bool:
        """Whether the processor runs, as far as is known: `wait_stop` learns of breakpoints, `reached` of the function."""
        return self._running and not self._halted

    def read_flash(self) -> bytes:
        """The contents of the whole flash. The processor keeps running, or stopped.

        Raises:
            BenchError: The device does not end a command to its flash within 5 s of running.
        """
        deadline = time.monotonic() + _COMMAND_TIMEOUT
        contents = self._save_flash()
        while self._cfi_flash and set(contents[:_STATUS_LOOK]) <= _STATUS:
            # In the middle of a command a bank answers with its status, wherever it is read: that is no contents.
            if not self._running or time.monotonic() > deadline:
                raise BenchError(
                    f"the flash of board '{self.board.name}' cannot be read: it is in the middle of a command",
                    remedy="stop the device where it does not write its flash, or reset it first",
                )
            time.sleep(0.001)
            contents = self._save_flash()
        return contents

    def _save_flash(self) -> bytes:
        flash = self.board.flash
        # memsave reads what the processor sees; pmemsave cannot see a flash that is private to a system on chip (nRF51).
        # A file name without a path in any file system: nothing can be left behind.
        self._qmp.command("memsave", val=flash.base, size=flash.size, filename=f"/proc/self/fd/{self._dump}")
        contents = os.pread(self._dump, flash.size, 0)
        if len(contents) != flash.size:
            raise BenchError(f"QEMU dumped {len(contents)} of {flash.size} bytes of flash", remedy=f"see {self.output}")
        return contents

    def write_flash(self, contents: bytes, held: bytes | None = None) -> None:
        """Make the whole flash equal to `contents`, and prove it by reading it back. The processor stays stopped until `reset`.

        Args:
            contents: The whole flash.
            held: What was read from it since the processor last ran; None: it is read first.

        Raises:
            BenchError: The flash does not hold what was written.
        """
        self.stop_for_flash()
        base = self.board.flash.base
        for start, data in _differences(self._save_flash() if held is None else held, contents):
            self.gdb.write(base + start, data)
        if self._save_flash() != contents:
            raise BenchError(
                f"the emulated flash of board '{self.board.name}' does not hold what was written to it",
                remedy="check the flash of the board's manifest against the emulated machine",
            )

    def stop_for_flash(self) -> None:
        """Stop the processor until `reset`, with its flash ready to be read and written."""
        self.stop()
        if self._cfi_flash:
            # A flash bank in the middle of a command is no memory: a reset makes it that again, as it will be at `reset`.
            self._reset()

    def stop(self) -> None:
        """Stop the processor; when this returns, all that it has sent can be received.

        One that halts at a function is let go for that, since QEMU stops a processor between two instructions only. On a busy
        machine it may begin that function once or several times more before QEMU has taken the request: `on_pass` is called each
        time, while the processor stands there and QEMU takes no command.
        """
        if not self._running:
            return
        if not self.virtual_time:
            self._qmp.command("stop")
        else:
            self._qmp.send("stop")
            self._stopping = True  # QEMU's main loop waits for the processor: it does nothing else
            try:
                self._let_go()
                self._wait_stopped()
            finally:
                self._stopping = False
        self._running = False

    def _wait_stopped(self) -> None:
        watched: list[Qmp | socket.socket] = [self._qmp, self._halt]
        wrong: Exception | None = None
        while True:
            ready = select.select(watched, (), (), _STOP)[0]
            if not ready:
                raise self._silent("stop")
            if self._halt in ready and self.reached():
                try:
                    if self.on_pass is not None:
                        self.on_pass()
                except Exception as error:  # noqa: BLE001 - raised below, once the processor has stopped
                    wrong = wrong or error
                self._let_go()
            if self._qmp in ready and self._qmp.answered("stop"):
                break
        if wrong is not None:
            self._running = False
            raise wrong

    @property
    def halt(self) -> socket.socket:
        """What becomes readable when the processor has come to the function that it halts at."""
        return self._halt

    def reached(self) -> bool:
        """Whether the processor has come to the function that it halts at, and stands there until `proceed`."""
        self._halt.setblocking(False)
        try:
            told = self._halt.recv(1)
        except BlockingIOError:
            return self._halted
        except OSError as error:
            raise self.cause_of_death() from error
        if not told:
            raise self.cause_of_death()
        self._halted = True
        return True

    def proceed(self) -> None:
        """Let the processor run, from where it halts or was stopped, until it comes to the function that it halts at."""
        if self._halted:
            self._let_go()
        else:
            self.cont()

    def _let_go(self) -> None:
        if self._halted:
            self._halted = False
            try:
                self._halt.send(b".")
            except OSError as error:
                raise self.cause_of_death() from error

    def reset(self, *, run: bool = True) -> int:
        """Reset the device and let it run; unread serial bytes from before are forgotten.

        Args:
            run: False: it stays stopped before its first instruction.

        Returns:
            The offset in the raw serial log at which the output of the new start begins.
        """
        self.stop()
        self.discard()
        start = self.channel.log.offset
        self._qmp.events.clear()
        self._reset()
        if run:
            self.cont()
        return start

    def cont(self) -> None:
        """Let the processor run; harmless when it runs."""
        if not self._running:
            self._qmp.command("cont")
            self._running = True

    def run(self, *, step: bool = False) -> None:
        """Let the stopped processor run until a breakpoint; `wait_stop` tells when it came to one.

        Args:
            step: Execute one instruction only: the way off a breakpoint, which otherwise stops the processor again at once.
        """
        self.gdb.run(step=step)
        self._running = True

    def wait_stop(self, timeout: float) -> bool:
        """Wait until the processor has come to a breakpoint; False when it did not within `timeout` seconds, and runs on."""
        if self.gdb.wait_stop(timeout):
            self._running = False
        return not self._running

    def registers(self) -> Registers:
        """The registers of the stopped processor."""
        return self.gdb.registers(self.board.core)

    def guest_resets(self) -> int:
        """How often the device has reset itself since the last `reset`."""
        self._qmp.command("query-status")
        return sum(event["event"] == "RESET" and bool(event["data"].get("guest")) for event in self._qmp.events)

    def accelerator_report(self) -> str:
        """What QEMU's translator says of itself, in words."""
        return str(self._qmp.command("x-query-jit")["human-readable-text"])

    def monitor(self, line: str) -> None:
        """Have QEMU's human monitor carry out a command that QMP has no plain form of, e.g. `savevm`.

        Raises:
            BenchError: It answered anything, which is a complaint.
        """
        said = str(self._qmp.command("human-monitor-command", **{"command-line": line})).strip()
        if said:
            raise BenchError(f"QEMU refused '{line}': {said}")

    # --- snapshots ------------------------------------------------------------------------------------------------

    @property
    def takes_snapshots(self) -> bool:
        """Whether its whole state can be saved: of a bank of CFI chips a snapshot does not hold whether a command runs."""
        return not self._cfi_flash

    def save(self, file: Path) -> None:
        """Keep the stopped machine, in a file that is made for it.

        Raises:
            BenchError: QEMU refused.
        """
        self.stop()
        node = "snapshot-file"
        self._make_block({"driver": "file", "filename": str(file.absolute()), "size": 0})
        self._qmp.command("blockdev-add", **{"driver": "file", "node-name": node, "filename": str(file.absolute())})
        self._make_block({"driver": "qcow2", "file": node, "size": 1 << 20})
        # Whatever the host loses, the snapshot is of use to this process only.
        self._qmp.command(
            "blockdev-add", **{"driver": "qcow2", "node-name": "snapshots", "file": node, "cache": {"no-flush": True}}
        )
        self.monitor(f"savevm {_SNAPSHOT}")

    def load(self) -> None:
        """Make the machine what it was when it was saved, stopped; unread serial bytes and noted resets are forgotten."""
        self.stop()
        self.discard()
        self.monitor(f"loadvm {_SNAPSHOT}")
        self._qmp.events.clear()

    def _make_block(self, options: dict[str, object]) -> None:
        self._qmp.command("blockdev-create", **{"job-id": "create", "options": options})
        deadline = time.monotonic() + _STOP
        while (job := next(iter(self._qmp.command("query-jobs")), None)) and job["status"] != "concluded":
            if time.monotonic() > deadline:
                raise self._silent("blockdev-create")
            time.sleep(0.001)
        if job and "error" in job:
            raise BenchError(f"QEMU cannot make a snapshot's file: {job['error']}", remedy="check the free space")
        self._qmp.command("job-dismiss", id="create")

    def _silent(self, command: str) -> BenchError:
        """Why QEMU does not answer."""
        if self.frozen:
            return self._frozen()
        return BenchError(
            f"QEMU did not answer '{command}' in time", remedy="check the load of this machine; run again"
        )

    def cause_of_death(self) -> Exception:
        """Why a socket to QEMU closed: a LockupError, which is the product's fault, or a BenchError for any other reason."""
        try:
            os.fstat(self._control.fileno())
        except OSError as error:
            return BenchError(
                f"the connection to QEMU was closed in this process: {error.strerror}",
                remedy="let the tests close only what they opened",
            )
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
        last = " | ".join(printed.strip().splitlines()[-2:]) or "(nothing)"
        return BenchError(f"QEMU {how}; it last printed: {last}", remedy=f"see {self.output}, then run again")

    def close(self) -> None:
        """End the process and release everything; harmless when it has ended already."""
        self._process.kill()
        self._process.wait()
        for channel in self.channels.values():
            channel.close()
        self.gdb.close()
        self._control.close()
        self._halt.close()
        self._hand_over.close()
        self.clock.close()
        self._close_files()

    def _reset(self) -> None:
        self._qmp.command("system_reset")
        # It is done by QEMU's main loop, before that takes the next command.
        self._qmp.command("query-status")

    def _close_files(self) -> None:
        if self._core is not None:
            self._core.close()
        for file in (self._dump, self._plugin):
            if file >= 0:
                os.close(file)
        self._dump = self._plugin = -1


def _differences(have: bytes, want: bytes) -> list[tuple[int, bytes]]:
    """The stretches, in whole blocks, that must be written to turn `have` into `want`: offset and bytes."""
    stretches: list[list[int]] = []
    for large in range(0, len(want), _LARGE_BLOCK):
        if have[large : large + _LARGE_BLOCK] == want[large : large + _LARGE_BLOCK]:
            continue
        for start in range(large, min(large + _LARGE_BLOCK, len(want)), _BLOCK):
            end = start + _BLOCK
            if have[start:end] == want[start:end]:
                continue
            if stretches and stretches[-1][1] == start:
                stretches[-1][1] = end
            else:
                stretches.append([start, end])
    return [(start, want[start:end]) for start, end in stretches]
