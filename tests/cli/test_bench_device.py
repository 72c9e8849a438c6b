"""`devicepipe bench health|console|flash|reset|power` and `devicepipe test --device`, on a lab device and on an emulated one."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from devicepipe.bench.holder import this_process, this_user
from devicepipe.bench.lease import LeaseStore
from devicepipe.bench.service import Health, Service
from devicepipe.cli.main import _run
from devicepipe.evidence.devices import check_device
from devicepipe.evidence.results import TestResult, Verdict
from devicepipe.project.config import load_project
from devicepipe.stages.context import Context, open_keys
from devicepipe.stages.test import run_tests
from tests.bench.lab import LabDevice, lab_device
from tests.bench.plain_product import make_product, write_bundle
from tests.bench.samples import Firmware, build_firmware

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return build_firmware("microbit", tmp_path_factory.mktemp("firmware"))


@pytest.fixture
def lab(firmware: Firmware) -> Iterator[LabDevice]:
    with lab_device(firmware.board) as device:
        yield device


@pytest.fixture
def project(tmp_path: Path, lab: LabDevice, firmware: Firmware, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A product whose last development build is the test firmware, with a lab device."""
    product = make_product(tmp_path / "product", firmware, {"test_a.py": TESTS}, mood="v")
    (product / "hil/bench.toml").write_text(lab.toml(**{"serial-number": "emulated", "power": lab.power}))
    monkeypatch.setenv("DEVICEPIPE_BENCH", str(tmp_path / "leases"))
    monkeypatch.chdir(product)
    return product


TESTS = """
def test_status(device):
    assert device.command("status", 30) == "OK status state=idle"
@pytest.mark.requires("debugger")
def test_looks_into_it(device): pass
"""


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[int, int]]]:
    """Put pipes in the places of standard input and output, from then on; returns our ends."""
    with ExitStack() as stack:

        def put() -> tuple[int, int]:
            (read_keys, keys), (screen, write_screen) = os.pipe(), os.pipe()
            monkeypatch.setattr(sys, "stdin", stack.enter_context(os.fdopen(read_keys, "r")))
            monkeypatch.setattr(sys, "stdout", stack.enter_context(os.fdopen(write_screen, "w")))
            stack.callback(os.close, screen)
            return keys, screen

        yield put


def test_a_device_is_flashed_and_well_and_reset_and_switched(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "flash", "lab-1", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    Service.here().keep(Health(device="lab-1", time="2026-01-01T00:00:00Z", wrong="it was silent"))
    assert _run(["bench", "list"]) == 0
    assert "it failed its health check on 2026-01-01T00:00:00Z: it was silent" in capfd.readouterr().out
    assert (said["device"], said["wrong"], said["identity"]["serial"]) == ("lab-1", "", "emulated")
    assert _run(["bench", "health", "lab-1", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["wrong"] == ""
    assert "serial=emulated" in said["says"]
    assert _run(["bench", "list", "--json"]) == 0
    listed = {entry["id"]: entry for entry in json.loads(capfd.readouterr().out)}
    assert listed["lab-1"]["inService"]
    assert listed["lab-1"]["health"]["says"] == said["says"]
    assert listed["lab-1"]["drivers"] == {"flash": "command", "reset": "command", "power": "command"}
    assert _run(["bench", "reset", "lab-1", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"device": "lab-1", "did": "reset"}
    assert _run(["bench", "power", "lab-1", "cycle"]) == 0
    assert capfd.readouterr().out == "lab-1: power cycle\n"
    assert list((project / ".devicepipe/bench").iterdir()) == []
    events = [entry.event for entry in LeaseStore().history("lab-1")]
    assert events == ["acquired", "released"] * 4


def test_another_unit_fails_its_health_check(project: Path, lab: LabDevice, capfd: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "flash", "lab-1"]) == 0
    file = project / "hil/bench.toml"
    file.write_text(file.read_text().replace('"emulated"', '"DP-18"'))
    assert _run(["bench", "health", "lab-1"]) == 3
    assert "device says serial 'emulated', expected 'DP-18'" in capfd.readouterr().out
    last = Service.here().last_health("lab-1")
    assert last is not None
    assert "DP-18" in last.wrong


def test_a_device_that_somebody_has_is_left_alone(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = LeaseStore()
    lease = store.acquire("lab-1", this_process("a session"), 60)
    for command in (["health", "lab-1"], ["flash", "lab-1"], ["reset", "lab-1"], ["power", "lab-1", "on"]):
        assert _run(["bench", *command]) == 3
        assert "is held by" in capfd.readouterr().err
    assert Service.here().last_health("lab-1") is None
    store.release(lease)
    store.acquire("lab-1", this_user("a look"), 60)
    assert _run(["bench", "power", "lab-1", "off"]) == 0
    assert store.read("lab-1").token == 2


def test_an_emulated_device_is_made_for_it(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = project / "hil/bench.toml"
    file.write_text(file.read_text() + '\n[[device]]\nid = "em"\nboard = "microbit"\ndriver = "qemu"\n')
    assert _run(["bench", "health", "em"]) == 0
    assert "em: well: board=microbit" in capfd.readouterr().out
    assert _run(["bench", "reset", "em"]) == 2
    assert "is emulated" in capfd.readouterr().err
    assert LeaseStore().history("em") == []


def test_the_console_takes_what_is_piped_in(project: Path, piped: Callable[[], tuple[int, int]]) -> None:
    assert _run(["bench", "flash", "lab-1"]) == 0
    keys, screen = piped()
    os.write(keys, b"id\n")

    def listen() -> None:
        _until(screen, b"OK id board=microbit")
        os.close(keys)

    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(listen)
        assert _run(["bench", "console", "lab-1", "--for", "1s"]) == 0
        heard.result()


def test_the_console_of_a_device_that_dies(
    project: Path, lab: LabDevice, piped: Callable[[], tuple[int, int]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert _run(["bench", "flash", "lab-1"]) == 0
    keys, screen = piped()
    os.write(keys, b"status\n")

    def kill() -> None:
        _until(screen, b"OK status")
        lab.process.kill()

    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill)
        assert _run(["bench", "console", "lab-1"]) == 3
        killed.result()
    assert "device 'lab-1' was lost" in capfd.readouterr().err


def test_the_console_at_a_terminal_is_left_by_its_key(project: Path, lab: LabDevice) -> None:
    assert _run(["bench", "flash", "lab-1"]) == 0
    ours, theirs = pty.openpty()
    console = subprocess.Popen(
        [sys.executable, "-m", "devicepipe", "bench", "console", "lab-1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        said = _until(ours, b"leaves")
        os.write(ours, b"status\r")
        said = _until(ours, b"OK status state=idle")
        assert b"status\r\n" in said
        os.write(ours, b"\x1d")
        assert console.wait(60) == 0
    finally:
        console.kill()
        console.wait()
        os.close(ours)
        os.close(theirs)


def test_a_stage_tests_on_the_device_that_is_wanted(project: Path, firmware: Firmware, tmp_path: Path) -> None:
    product = load_project(project / "devicepipe.toml")
    context = Context(
        project=product,
        home=project,
        work=tmp_path / "work",
        version="0.0.0",
        writer=write_bundle(tmp_path / "bundle", project, firmware, mood="v"),
        keys=open_keys(product),
        tester="tester",
        cancel=threading.Event(),
        in_place=True,
        devices={"microbit": "lab-1"},
    )
    Service.here().keep(Health(device="lab-1", time="2026-01-01T00:00:00Z", wrong=""))
    run_tests(context, product.board("microbit"), lambda _: None)
    run = context.bundle.predicate(TestResult, "microbit").devicepipe
    check_device(run, "the attestation")
    assert {case.id.partition("::")[2]: str(case.verdict) for case in run.cases} == {
        "test_status": "passed",
        "test_looks_into_it": "not_run",
    }
    device = run.device
    assert (device.id, device.emulated, device.lease_token, device.flash_writes) == ("lab-1", False, 1, 1)
    assert device.healthy_on == "2026-01-01T00:00:00Z"
    Service.here().keep(Health(device="lab-1", time="2026-01-02T00:00:00Z", wrong="it was silent"))
    context = replace(
        context, writer=write_bundle(tmp_path / "second", project, firmware, mood="v"), work=tmp_path / "again"
    )
    run_tests(context, product.board("microbit"), lambda _: None)
    run = context.bundle.predicate(TestResult, "microbit").devicepipe
    assert {case.verdict for case in run.cases} == {Verdict.NOT_RUN}
    assert run.device.out_of_service == "it failed its health check on 2026-01-02T00:00:00Z: it was silent"
    assert [entry.event for entry in LeaseStore().history("lab-1")] == ["acquired", "released"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["test", "--device", "lab-2"], "unknown device 'lab-2'"),
        (["test", "--device", "lab-1", "--device", "qemu-microbit"], "is named already"),
        (["test", "--board", "other", "--device", "lab-1"], "its board 'microbit' is none of those named with --board"),
        (["bench", "power", "lab-1", "cycle"], "has no driver for its power"),
        (["bench", "console", "lab-1", "--for", "soon"], "--for soon: expected a number"),
        (["bench", "reset", "lab-3"], "unknown device 'lab-3'"),
    ],
)
def test_what_is_asked_wrongly_is_told(
    project: Path, arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = project / "hil/bench.toml"
    file.write_text(file.read_text().partition("[device.power]")[0])
    assert _run(arguments) == 2
    assert says in capfd.readouterr().err


def test_a_device_on_another_machine(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = project / "hil/bench.toml"
    text = file.read_text().replace('board = "microbit"', 'board = "microbit"\nbench = "far"')
    file.write_text('[[bench]]\nname = "far"\nhost = "far.example"\n' + text)
    assert _run(["bench", "reset", "lab-1"]) == 2
    assert "is connected to machine 'far.example'" in capfd.readouterr().err


def _until(file: int, words: bytes) -> bytes:
    said, deadline = b"", time.monotonic() + 60
    while words not in said:
        assert select.select([file], (), (), max(0.0, deadline - time.monotonic()))[0], said
        said += os.read(file, 4096)
    return said
