"""Emulators: started, written, reset, lost, and never left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.emulator import emulator_program, emulator_tool
from devicepipe.bench.faults import LockupError
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.serial_log import SerialLog
from devicepipe.errors import BenchError, UsageError
from devicepipe.project.board import Board
from tests.bench.samples import MACHINES, SLOT0, Firmware, board, processes_of

Start = Callable[[Board], Qemu]


def flash_of(firmware: Firmware, mood: str = "n") -> bytes:
    flash = bytearray(b"\xff" * firmware.board.flash.size)
    flash[: len(firmware.code)] = firmware.code
    image = firmware.image(mood)
    flash[SLOT0 : SLOT0 + len(image)] = image
    return bytes(flash)


@pytest.mark.parametrize("name", MACHINES)
def test_flash_is_written_whole_and_survives_a_reset(
    name: str, firmware_of: Callable[[str], Firmware], start: Start
) -> None:
    firmware = firmware_of(name)
    qemu = start(firmware.board)
    noise = random.Random(1).randbytes(firmware.board.flash.size)
    for contents in (noise, flash_of(firmware)):
        qemu.write_flash(contents)
        assert qemu.read_flash() == contents
    offset = qemu.reset()
    assert offset == 0
    assert qemu.channel.read(1, 20) == b"b"
    assert qemu.read_flash() == flash_of(firmware)
    assert qemu.guest_resets() == 0


@pytest.mark.parametrize("name", MACHINES)
def test_no_machine_has_a_drive_whose_writes_could_take_the_main_loops_wake_ups(name: str, start: Start) -> None:
    """A guest's write to a drive of the flash made devices stand still on busy machines: docs/adr/0042."""
    qemu = start(board(name))
    command = Path(f"/proc/{qemu.pid}/cmdline").read_bytes().split(b"\0")
    assert not {b"-drive", b"-blockdev", b"-pflash", b"-mtdblock", b"-sd"} & set(command), command


def test_no_byte_is_lost_or_left_over_at_a_reset(firmware: Firmware, start: Start) -> None:
    qemu = start(firmware.board)
    qemu.write_flash(flash_of(firmware))
    whole = f"boot: test firmware\r\napp: ready {firmware.image()[:256].partition(bytes(1))[0].decode()}\r\n".encode()
    for _ in range(5):
        begin = qemu.reset()
        received = b""
        while len(received) < len(whole):
            received += qemu.channel.read(1000, 20)
        assert received == whole == qemu.channel.log.read(begin)


def lock_up(qemu: Qemu) -> None:
    """The lockup may come before QEMU has answered that the processor runs."""
    qemu.reset()
    qemu.channel.read(1, 20)


def test_lockup_accuses_the_product(firmware: Firmware, start: Start, tmp_path: Path) -> None:
    qemu = start(firmware.board)
    qemu.write_flash(flash_of(firmware, "l"))
    with pytest.raises(LockupError, match=r"board 'microbit' locked up .*emulator\.log"):
        lock_up(qemu)
    assert not qemu.alive
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("core")] == []


def test_killed_emulator_accuses_the_bench(firmware: Firmware, start: Start) -> None:
    qemu = start(firmware.board)
    os.kill(qemu.pid, 9)
    with pytest.raises(BenchError, match="killed by SIGKILL"):
        qemu.channel.read(1, 20)
    with pytest.raises(BenchError, match="killed by SIGKILL"):
        qemu.reset()
    with pytest.raises(BenchError, match="killed by SIGKILL"):
        qemu.write_flash(flash_of(firmware))


def test_emulator_that_cannot_start(start: Start, tmp_path: Path) -> None:
    wrong = board("microbit", emulator={"driver": "qemu", "program": "qemu-system-arm", "machine": "no-such-machine"})
    with pytest.raises(BenchError, match="exit status 1") as caught:
        start(wrong)
    assert str(tmp_path / "emulator.log") in caught.value.remedy
    assert processes_of(tmp_path) == []


def test_emulator_that_is_not_installed() -> None:
    missing = board("microbit", emulator={"driver": "qemu", "program": "qemu-system-nosuch", "machine": "x"})
    with pytest.raises(BenchError, match="'qemu-system-nosuch'") as caught:
        emulator_program(missing)
    assert "apt-get install" in caught.value.remedy
    with pytest.raises(UsageError, match="has no emulator"):
        emulator_program(board("microbit", emulator=None))


def test_emulator_is_named_with_its_version() -> None:
    tool = emulator_tool(board("microbit"))
    assert tool.name == "qemu-system-arm"
    assert tool.version.split(".")[0].isdigit()
    assert tool.sha256 is not None


def test_emulator_dies_with_its_owner(tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text(board("microbit").model_dump_json())
    program = (
        "import pathlib, sys\nfrom devicepipe.bench.channel import SerialLoop\nfrom devicepipe.bench.qemu import Qemu\n"
        "from devicepipe.bench.serial_log import SerialLog\n"
        "from devicepipe.project.board import Board\nfolder = pathlib.Path(sys.argv[1])\n"
        "board = Board.model_validate_json((folder / 'board.json').read_bytes())\n"
        "logs = {uart: SerialLog(folder / f'{uart}.log') for uart in board.uarts}\n"
        "qemu = Qemu(board, folder / 'emulator.log', logs, SerialLoop())\n"
        "print(qemu.pid, flush=True)\nsys.stdin.read()"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        owner.kill()
    deadline = time.monotonic() + 5
    while processes_of(tmp_path) and time.monotonic() < deadline:
        os.sched_yield()
    assert processes_of(tmp_path) == []


def test_closing_twice_is_harmless(
    firmware: Firmware, tmp_path: Path, serial_log: SerialLog, serial_loop: SerialLoop
) -> None:
    qemu = Qemu(firmware.board, tmp_path / "emulator.log", {0: serial_log}, serial_loop)
    qemu.close()
    qemu.close()
    assert processes_of(tmp_path) == []
