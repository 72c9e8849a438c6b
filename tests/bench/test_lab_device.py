"""Sessions on a composed device: a real process with a console on a socket, flashed and reset by programs, held by a lease."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from devicepipe.bench.channel import SerialLoop
from devicepipe.bench.composed import ComposedTarget, make_parts
from devicepipe.bench.device import Device
from devicepipe.bench.drivers.driver import FlashImages
from devicepipe.bench.holder import this_user
from devicepipe.bench.lease import LeaseHeldError, LeaseStore
from devicepipe.bench.serial_log import SerialLog
from devicepipe.bench.session import run_session
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.results import TestRun as Run
from tests.bench.lab import LabDevice, lab_device
from tests.bench.samples import Firmware, SpecMaker, reason, verdicts

MakeSpec = Callable[..., SessionSpec]

pytestmark = pytest.mark.usefixtures("no_process_left")


@pytest.fixture
def lab(firmware: Firmware) -> Iterator[LabDevice]:
    with lab_device(firmware.board) as device:
        yield device


@pytest.fixture
def spec_of(make_spec: SpecMaker, lab: LabDevice, tmp_path: Path) -> MakeSpec:
    def make(source: str, *, entry: dict[str, Any] | None = None, **changes: Any) -> SessionSpec:
        device = lab.entry(**(entry or {}))
        fields: dict[str, Any] = {
            "mood": "v",
            "says": {"serial": "DP-17"},
            "leases": tmp_path / "leases",
            "device": device,
        }
        return make_spec({"test_a.py": source}, **(fields | changes))

    return make


@pytest.fixture
def opened(tmp_path: Path, serial_log: SerialLog, serial_loop: SerialLoop) -> Iterator[Callable[[SessionSpec], Device]]:
    """The device of a session, without a session."""
    with ExitStack() as stack:

        def make(spec: SessionSpec) -> Device:
            entry, log = spec.entry, tmp_path / "drivers.log"
            parts = make_parts(entry, spec.board, spec.inventory, tmp_path, log)
            images = FlashImages(spec.factory, spec.signed_image)
            target = ComposedTarget(entry, spec.board, parts, images, {0: serial_log}, serial_loop)
            return Device(spec, stack.enter_context(closing(target)))

        yield make


SOURCE = """
def test_status(dut, device):
    dut.write("status")
    dut.write("\\n")
    dut.expect_exact("OK status state=idle", timeout=30)
def test_plant_shares_the_line(device):
    device.link("plant").write(b"\\x02S hello\\n")
    assert device.command("plant", 30) == "OK plant heard=hello"
def test_resets(device):
    device.reset()
    assert device.wait_started().startswith("app: ready")
    assert b"boot: test firmware" in device.boot_output
    device.channel.write(b"reset\\n")
    device.wait_started()
    assert device.guest_resets() == 1
    device.reset()  # which hides nothing of what it did to its flash
    device.wait_started()
def test_resets_unnoticed(device):
    device.command("reset", 30)
def test_after_a_failure(device):
    assert device.identity(30).serial == "DP-17"
def test_again(device): pass
def test_alters(device):
    device.altered = True
def test_after_altered(device): pass
def test_writes_a_part(device): device.write_flash(0x6000, b"x")
def test_reads(device): device.read_flash(0, 4)
def test_debugs(device): device.debugger()
@pytest.mark.requires("debugger")
def test_needs_a_debugger(device): device.debugger()
@pytest.mark.requires("scale")
def test_weighs(device): pass
@pytest.mark.virtual_time(at="exchanged")
def test_virtual(device): pass
"""
VERDICTS = {
    "status": "passed",
    "plant_shares_the_line": "passed",
    "resets": "passed",
    "resets_unnoticed": "failed",
    "after_a_failure": "passed",
    "again": "passed",
    "alters": "passed",
    "after_altered": "passed",
    "writes_a_part": "error",
    "reads": "error",
    "debugs": "error",
    "needs_a_debugger": "not_run",
    "weighs": "passed",
    "virtual": "not_run",
}


def test_a_whole_session(spec_of: MakeSpec, tmp_path: Path) -> None:
    entry = {"tags": ["scale"], "calibration-due": dt.date(2099, 1, 1), "fixture-revision": "C"}
    run = run_session(spec_of(SOURCE, entry=entry))
    assert {name.partition("::test_")[2]: verdict for name, verdict in verdicts(run).items()} == VERDICTS, [
        (case.id, case.reason) for case in run.cases
    ]
    assert "no part of its flash can be written" in reason(run, "writes_a_part")
    assert "virtual-time" in reason(run, "virtual")
    assert run.identity_errors == []
    device = run.device
    assert (device.id, device.serial, device.stated_serial, device.driver) == ("lab-1", "DP-17", "DP-17", "composed")
    assert (device.emulated, device.emulator, device.lease_token) == (False, None, 1)
    assert [(use.role, use.name) for use in device.drivers] == [("flash", "command"), ("reset", "command")]
    assert {use.says for use in device.drivers} == {Path(sys.executable).name}
    assert (device.tags, device.calibration_due, device.fixture_revision) == (["scale"], "2099-01-01", "C")
    assert "process" in device.lease_holder
    # At the start, and after each test that did not pass, reset the device, or altered it: not before each.
    assert device.flash_writes == 7
    store = LeaseStore(tmp_path / "leases")
    assert store.read("lab-1").holder is None
    assert [entry.event for entry in store.history("lab-1")] == ["acquired", "released"]


PASSES = """
def test_one(device): pass
"""


def test_another_serial_number_is_another_device(spec_of: MakeSpec) -> None:
    run = run_session(spec_of(PASSES, entry={"serial-number": "DP-18"}))
    assert verdicts(run) == {"test_a.py::test_one": "error"}
    assert "device says serial 'DP-17', expected 'DP-18'" in reason(run, "test_one")
    assert run.device.stated_serial == "DP-18"


def test_nothing_runs_on_a_device_out_of_service(spec_of: MakeSpec, lab: LabDevice, tmp_path: Path) -> None:
    lab.process.kill()
    run = run_session(spec_of(PASSES, out_of_service="its calibration was due on 2026-01-01"))
    assert verdicts(run) == {"test_a.py::test_one": "not_run"}
    assert "device 'lab-1' is out of service: its calibration was due on 2026-01-01" in reason(run, "test_one")
    assert run.device.out_of_service
    assert run.device.lease_token is None
    assert run.identity_errors
    assert LeaseStore(tmp_path / "leases").history("lab-1") == []


def test_a_lost_device_is_no_failure(spec_of: MakeSpec, lab: LabDevice) -> None:
    source = f"""
import os, signal
def test_loses(device, dut):
    os.kill({lab.process.pid}, signal.SIGKILL)
    dut.expect_exact("never", timeout=20)
"""
    run = run_session(spec_of(source))
    assert verdicts(run) == {"test_a.py::test_loses": "error"}
    assert "device 'lab-1' was lost: its port 'unix://" in reason(run, "test_loses")


def test_a_port_that_is_not_there(spec_of: MakeSpec, opened: Callable[[SessionSpec], Device]) -> None:
    with pytest.raises(BenchError, match="serial port 'unix:///nowhere' cannot be opened"):
        opened(spec_of(PASSES, entry={"port": "unix:///nowhere"})).prepare()


def test_a_flash_that_cannot_be_written(
    spec_of: MakeSpec, lab: LabDevice, opened: Callable[[SessionSpec], Device]
) -> None:
    flash = lab.flash | {"command": ["sh", "-c", "echo no target; exit 3", "{hex}"]}
    with pytest.raises(BenchError, match=r"sh ended with exit code 3:\s+no target"):
        opened(spec_of(PASSES, entry={"flash": flash})).prepare()


def test_reset_by_power_and_the_flash_before_every_test(
    spec_of: MakeSpec, lab: LabDevice, opened: Callable[[SessionSpec], Device], tmp_path: Path
) -> None:
    device = opened(spec_of(PASSES, entry={"reset": None, "power": lab.power, "reflash": "every-test"}))
    for _ in range(2):
        assert device.prepare().serial == "DP-17"
        device.unspoilt = True
    said = (tmp_path / "drivers.log").read_text()
    assert (said.count("\nwrote "), said.count("\npaused\n"), said.count("\nrunning\n")) == (2, 2, 4)


def test_a_device_that_runs_until_it_is_reset_is_asked_after_that(
    spec_of: MakeSpec, lab: LabDevice, opened: Callable[[SessionSpec], Device]
) -> None:
    """A flash driver may leave it running, so that it is ready twice: before the reset and after it."""
    device = opened(spec_of(PASSES, entry={"reset": lab.reset | {"command": lab.command("late-reset")}}))
    for _ in range(2):
        assert device.prepare().serial == "DP-17"
        assert device.command("status", 30) == "OK status state=idle"
        device.demand_honest()


def test_a_driver_that_needs_the_port_has_it_alone(
    spec_of: MakeSpec, lab: LabDevice, opened: Callable[[SessionSpec], Device]
) -> None:
    """The channel is closed meanwhile, and what was sent before it counts on: no reply is one too many."""
    flash = lab.flash | {"command": [*lab.flash["command"], "{port}"]}
    device = opened(spec_of(PASSES, entry={"flash": flash}))
    assert device.prepare().serial == "DP-17"
    target = device.target
    assert isinstance(target, ComposedTarget)
    port, before = target.channel, target.lines_sent()
    device.install_factory()
    assert target.channel is not port
    device.reset()
    device.wait_started()
    assert device.command("status", 30) == "OK status state=idle"
    assert target.lines_sent() == (before[0] + 1, before[1] + 1)
    device.demand_honest()


def test_a_lease_taken_by_force_in_mid_test(spec_of: MakeSpec, tmp_path: Path) -> None:
    source = """
import pathlib, time
def test_before(device): pass
def test_taken(device):
    pathlib.Path(__file__).with_name("running").touch()
    while not pathlib.Path(__file__).with_name("taken").exists():
        assert device.command("status", 30)
def test_behind(device): pass
"""
    spec = spec_of(source)
    with ThreadPoolExecutor(1) as pool:
        session = pool.submit(run_session, spec)
        wait_for(spec.tests / "running", session.done)
        LeaseStore(tmp_path / "leases").release_by("lab-1", this_user("an urgent look"), force=True)
        (spec.tests / "taken").touch()
        run = session.result()
    assert set(verdicts(run).values()) <= {"error", "not_run"}
    assert verdicts(run)["test_a.py::test_taken"] == "error"
    assert "the lease of device 'lab-1' (token 1) was lost: it was taken by force by" in reason(run, "test_taken")


def test_two_sessions_race_for_a_device(spec_of: MakeSpec, tmp_path: Path) -> None:
    source = """
import pathlib
def test_one(device):
    while not pathlib.Path(__file__).with_name("asked").exists():
        assert device.command("status", 30)
"""
    spec = spec_of(source)
    specs = [spec.model_copy(update={"output": tmp_path / f"out-{number}"}) for number in range(2)]
    ended: list[Run | BenchError] = []

    def race(own: SessionSpec) -> None:
        try:
            ended.append(run_session(own))
        except BenchError as error:
            ended.append(error)
            (spec.tests / "asked").touch()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(race, specs))
    assert [type(one) for one in ended] == [LeaseHeldError, Run]
    assert "device 'lab-1' is held by" in str(ended[0])
    assert isinstance(ended[1], Run)
    assert set(verdicts(ended[1]).values()) == {"passed"}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"reset": None}, "can neither be reset nor switched off and on"),
        ({"flash": None}, "no test can begin with the factory image"),
        ({"flash": {"driver": "soldering-iron"}}, "unknown driver 'soldering-iron'"),
        ({"board": "mps2_an385"}, "is of board 'mps2_an385', not 'microbit'"),
    ],
)
def test_a_device_that_no_test_can_run_on(spec_of: MakeSpec, entry: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run_session(spec_of(PASSES, entry=entry))


def wait_for(path: Path, given_up: Callable[[], bool]) -> None:
    while not path.exists():
        assert not given_up(), f"{path.name} never came"
        time.sleep(0.01)
