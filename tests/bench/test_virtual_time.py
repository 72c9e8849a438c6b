"""Virtual time in lock-step, with emulated devices of every board: what it promises, and devices that do not keep up."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.bench import tcg_plugin
from devicepipe.bench.faults import DeviceFaultError, LockupError
from devicepipe.bench.lockstep import LockStep, NoExchangeError, VirtualTime
from devicepipe.bench.protocol import REPLY
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.session import run_session
from devicepipe.bench.symbols import Symbols, describe
from devicepipe.errors import BenchError, UsageError
from tests.bench.samples import MACHINES, Firmware, SpecMaker, processes_of, reason, verdicts
from tests.bench.test_bench_qemu import flash_of

Start = Callable[..., Qemu]
FirmwareOf = Callable[[str], Firmware]
LINE = re.compile(rb"^[^\n]*\n", re.MULTILINE)


def lockstep(firmware: Firmware, start: Start, every: float = 100.0) -> tuple[Qemu, LockStep]:
    """A device at its first exchange."""
    symbols = Symbols(firmware.elf)
    qemu = start(firmware.board, halt_at=symbols.address("exchanged"))
    qemu.write_flash(flash_of(firmware, "v"))
    steps = LockStep(qemu, VirtualTime("exchanged", every), lambda at: describe(at, [symbols]))
    qemu.reset(run=False)
    steps.begin()
    steps.settle(20)
    return qemu, steps


def ask(qemu: Qemu, command: str, timeout: float = 5.0) -> str:
    reply = qemu.channel.take_line(REPLY, timeout, ask=command.encode() + b"\n")
    return "" if reply is None else reply.decode().strip()


def answer(qemu: Qemu) -> Callable[[], None]:
    """A plant that answers each frame with its number."""
    link = qemu.link("plant")

    def exchange() -> None:
        while line := link.take_line(LINE, 0):
            link.write(b"\x02S " + line.split()[1] + b"\n")

    return exchange


@pytest.mark.parametrize("name", MACHINES)
def test_device_and_plant_take_turns(name: str, firmware_of: FirmwareOf, start: Start) -> None:
    """Each frame is there when the device stands, each answer is with it before the next; a command takes one exchange."""
    qemu, steps = lockstep(firmware_of(name), start)
    frames = []
    link = qemu.link("plant")

    def exchange() -> None:
        frames.append(link.take_line(LINE, 0))
        assert link.take_line(LINE, 0) is None
        link.write(b"\x02S %d\n" % len(frames))

    link.discard()
    steps.on_exchange = exchange
    steps.advance(50)
    assert frames == [b"\x02M %d\n" % number for number in range(1, 51)]
    steps.on_exchange = None
    steps.advance(1)
    assert ask(qemu, "plant") == "OK plant heard=50"
    assert steps.exchanges == 53
    before = int(ask(qemu, "time").removeprefix("OK time ms="))
    steps.advance(10)
    assert int(ask(qemu, "time").removeprefix("OK time ms=")) - before == 1100
    steps.audit()
    assert not qemu.running


@pytest.mark.parametrize("name", MACHINES)
def test_same_run_twice_gives_the_same_bytes(name: str, firmware_of: FirmwareOf, start: Start) -> None:
    """What the device sends, with answers from a plant and commands at given exchanges, does not depend on our time."""
    logs = []
    for run in range(2):
        qemu, steps = lockstep(firmware_of(name), start)
        steps.on_exchange = answer(qemu)
        begin = {uart: channel.log.offset for uart, channel in qemu.channels.items()}
        for _ in range(5):
            steps.advance(7)
            ask(qemu, "plant")
            time.sleep(0.01 * run)
            ask(qemu, "time")
        logs.append([channel.log.read(begin[uart]) for uart, channel in qemu.channels.items()])
        qemu.close()
    assert logs[0] == logs[1]


@pytest.mark.parametrize("handed", [True, False])
@pytest.mark.parametrize("name", MACHINES)
def test_input_reaches_the_device_whole(name: str, handed: bool, firmware_of: FirmwareOf, start: Start) -> None:
    """A short answer is with the UART when it was written; a long one, and all where QEMU takes none so, comes by the socket."""
    qemu, steps = lockstep(firmware_of(name), start)
    if not handed:
        qemu._hand_over.close()
    link = qemu.link("plant")
    for text in ("1", "".join(f"{number:02}" for number in range(35)), "3"):
        steps.on_exchange = lambda text=text: link.write(f"\x02S {text}\n".encode())
        steps.advance(1)
        assert not handed or len(text) > 1 or qemu.untaken == 0
        steps.on_exchange = None
        steps.advance(2)
        assert ask(qemu, "plant") == f"OK plant heard={text}"


def test_wait_is_bounded_in_the_devices_time(firmware: Firmware, start: Start) -> None:
    qemu, steps = lockstep(firmware, start)
    assert ask(qemu, "nothing but a line without an end".removesuffix("\n"), 0) == ""
    began, exchanges = time.monotonic(), steps.exchanges
    assert qemu.channel.take_line(re.compile(rb"^never\n", re.MULTILINE), 30.0) is None
    assert steps.exchanges - exchanges == 300
    assert time.monotonic() - began < 20
    assert qemu.channel.take_line(re.compile(rb"^never\n", re.MULTILINE), 0.25) is None
    assert steps.exchanges - exchanges == 303


@pytest.mark.parametrize("name", MACHINES)
def test_stop_that_never_comes(name: str, firmware_of: FirmwareOf, start: Start) -> None:
    """A device that halts has still answered; then there is no time to let pass, and the error says where it is."""
    qemu, steps = lockstep(firmware_of(name), start)
    assert ask(qemu, "halt") == "OK halt"
    assert qemu.channel.take_line(re.compile(rb"^fault: [^\n]*\n", re.MULTILINE), 1.0) == b"fault: halted\r\n"
    with pytest.raises(
        NoExchangeError, match=r"did not come to 'exchanged' within 0.5 s: after \d+ exchanges it is at"
    ) as said:
        steps.advance(1, 0.5)
    assert "last said 'fault: halted'" in str(said.value)
    assert not qemu.running


def test_device_that_exchanges_nothing_but_lives(firmware: Firmware, start: Start) -> None:
    qemu, steps = lockstep(firmware, start)
    assert ask(qemu, "hold") == "OK hold"
    assert ask(qemu, "status") == "OK status state=idle"
    with pytest.raises(NoExchangeError):
        steps.advance(1, 0.5)


def test_device_that_resets_itself_comes_back(firmware: Firmware, start: Start) -> None:
    qemu, steps = lockstep(firmware, start)
    assert ask(qemu, "reset") == "OK reset"
    steps.settle(5)
    assert qemu.guest_resets() == 1
    steps.advance(3)
    assert ask(qemu, "time") == "OK time ms=400"


def test_device_that_is_stopped_late_has_its_exchanges_answered(
    firmware: Firmware, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU takes the request to stop only after the third exchange since the reset, as on a busy machine."""
    qemu, steps = lockstep(firmware, start)
    qemu.reset(run=False)
    steps.begin()
    before, link = steps.exchanges, qemu.link("plant")
    frames: list[bytes | None] = []
    steps.on_exchange = lambda: frames.append(link.take_line(LINE, 0))
    qemu.proceed()
    send = qemu._qmp.send
    late: list[str] = []
    monkeypatch.setattr(qemu._qmp, "send", late.append)

    def exchange() -> None:
        steps._exchange()
        if len(frames) == 3:
            send(*late)

    qemu.on_pass = exchange
    qemu.stop()
    assert late == ["stop"]
    assert steps.exchanges - before == len(frames) >= 3
    assert None not in frames
    assert link.take_line(LINE, 0) is None


def test_exchanges_of_another_period_than_was_said(firmware: Firmware, start: Start) -> None:
    _, steps = lockstep(firmware, start, every=50.0)
    steps.advance(50)
    with pytest.raises(
        DeviceFaultError, match=r"took (?:4\.\d|5\.0) to \d+\.\d s .*, not 2\.5 s: one every 50 ms was said"
    ):
        steps.audit()


def test_lockup_and_lost_emulator_end_a_wait_at_once(firmware: Firmware, start: Start) -> None:
    qemu, steps = lockstep(firmware, start)
    began = time.monotonic()
    with pytest.raises(LockupError):
        ask(qemu, "die")
    qemu, steps = lockstep(firmware, start)
    qemu._process.kill()
    with pytest.raises(BenchError, match="killed by SIGKILL"):
        steps.advance(1)
    assert time.monotonic() - began < 8


def test_device_is_stopped_wherever_it_is(firmware: Firmware, start: Start) -> None:
    """At an exchange, on the way to one, and as it comes to one: stopping never waits for a halted processor."""
    qemu, steps = lockstep(firmware, start)
    for number in range(60):
        qemu.proceed()
        time.sleep(number % 6 / 4000)
        qemu.stop()
        assert not qemu.running
        assert qemu.gdb.read(firmware.board.flash.base, 16) == firmware.code[:16]
    steps.settle(5)
    steps.advance(3)
    assert qemu.read_flash() == flash_of(firmware, "v")
    assert ask(qemu, "status") == "OK status state=idle"


def test_virtual_time_without_a_compiler(
    firmware: Firmware, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    emulator = shutil.which("qemu-system-arm")
    assert emulator is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "qemu-system-arm").symlink_to(emulator)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    tcg_plugin._compiled.cache_clear()
    with pytest.raises(BenchError, match="needs a C compiler"):
        start(firmware.board, halt_at=0)
    assert processes_of(tmp_path) == []


def test_nothing_can_be_waited_for_inside_an_exchange(firmware: Firmware, start: Start) -> None:
    qemu, steps = lockstep(firmware, start)
    steps.on_exchange = lambda: qemu.link("plant").take_line(re.compile(rb"^never\n", re.MULTILINE), 1.0)
    with pytest.raises(UsageError, match="the device stands while on_exchange"):
        steps.advance(1)


# --- sessions ---------------------------------------------------------------------------------------------------------

SESSION = """
    import re, time
    from pexpect import TIMEOUT
    LINE = re.compile(rb"^[^\\n]*\\n", re.M)
    in_virtual_time = pytest.mark.virtual_time(at="exchanged")

    @in_virtual_time
    def test_an_hour(device, dut):
        link = device.link("plant")
        device.on_exchange(lambda: link.write(b"\\x02S " + link.take_line(LINE, 0).split()[1] + b"\\n"))
        link.discard()
        began = time.monotonic()
        device.run_for(600_000)
        assert time.monotonic() - began < 100
        assert (device.exchanges, device.time) == (6000, 600_000)
        assert device.command("time") == "OK time ms=600200"
        assert device.command("plant").startswith("OK plant heard=600")
        dut.write("event")
        dut.expect_exact("event: something", timeout=0.2)

    @in_virtual_time
    def test_silence(device, dut):
        before = device.time
        with pytest.raises(TIMEOUT):
            dut.expect("[^\\n]*\\n", timeout=60)
        assert device.time - before == 60_000

    @in_virtual_time
    def test_reset(device):
        device.reset()
        assert device.wait_started().startswith("app: ready")
        assert device.command("time") == "OK time ms=100"

    def test_real_time(device):
        assert not device.virtual_time
        assert device.command("status") == "OK status state=idle"
        assert device.link("plant").take_line(timeout=2).startswith(b"\\x02M")

    @in_virtual_time
    def test_halts(device):
        device.command("halt")
        device.run_for(100)

    @in_virtual_time
    def test_swallows_a_halt(device):
        device.command("halt")

    @pytest.mark.virtual_time(at="exchanged", every=10)
    def test_wrong_period(device): device.run_for(1000)

    @pytest.mark.virtual_time(at="nosuch")
    def test_no_such_function(device): pass

    def test_real_time_asks_for_virtual(device): device.run_for(1)

    @in_virtual_time
    def test_debugger(device): device.debugger()

    @in_virtual_time
    def test_no_such_link(device): device.link("smp")
    """


@pytest.mark.usefixtures("no_process_left")
def test_session_with_tests_in_virtual_and_real_time(make_spec: SpecMaker, firmware_of: FirmwareOf) -> None:
    run = run_session(make_spec({"test_a.py": SESSION}, mood="v", firmware=firmware_of("mps2_an505"), timeout=180.0))
    ended = {name.removeprefix("test_a.py::test_"): verdict for name, verdict in verdicts(run).items()}
    for name in ("an_hour", "silence", "reset", "real_time", "swallows_a_halt"):
        assert ended.pop(name) == "passed", reason(run, name)
    assert ended.pop("halts") == "failed"
    assert "did not come to 'exchanged'" in reason(run, "test_halts")
    assert set(ended.values()) == {"error"}
    assert "one every 10 ms was said" in reason(run, "test_wrong_period")
    assert "no symbol 'nosuch'" in reason(run, "test_no_such_function")
    assert "not in virtual time" in reason(run, "test_real_time_asks_for_virtual")
    assert "no link 'smp', but plant" in reason(run, "test_no_such_link")
    [log] = run.uart_logs
    assert (log.uart, log.links) == (1, ["plant"])
    assert log.log.endswith("/serial-uart1.log")


@pytest.mark.parametrize("mark", ["", "at=5", "at='x', every=0", "at='x', every='y'", "where='x'"])
def test_marks_that_say_nothing(make_spec: SpecMaker, mark: str) -> None:
    source = f"\n    @pytest.mark.virtual_time({mark})\n    def test_x(device): pass"
    with pytest.raises(UsageError, match="mark 'virtual_time' wants a function"):
        run_session(make_spec({"test_a.py": source}))
