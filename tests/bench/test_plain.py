"""Plain `pytest hil/` and `pytest hil/ -n 2`: the verdicts of the record, on a build that is there."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.config import _prepareconfig

from devicepipe.bench import plugin
from devicepipe.bench.plain import _new_folder
from devicepipe.project.config import load_project
from tests.bench.plain_product import make_product, plain_pytest
from tests.bench.samples import Firmware, processes_of

MODULES = {
    "test_a.py": """
        def test_good(device): assert device.command("status") == "OK status state=idle"
        def test_bad(device): assert device.command("status") == "OK status state=busy"
        def test_held(): assert False
        def test_silent(dut): dut.expect_exact("never", timeout=0.1)
        def test_unity(dut):
            dut.write("play")
            dut.expect_unity_test_output(timeout=20)

        @pytest.mark.boards("other")
        def test_of_another_board(): assert False
        """,
    "test_b.py": """
        def test_good(dut):
            dut.write("event")
            dut.expect_exact("event: something", timeout=20)

        def test_skipped(): pytest.skip("no time")

        @pytest.mark.requires("scale")
        def test_lacks(): pass
        """,
    "test_c.py": """
        def test_alters(device):
            device.write_flash(0x6000, bytes(4))
            device.reset()
            device.wait_started()

        @pytest.fixture
        def too_late():
            yield
            raise RuntimeError("the plant could not be stopped")

        def test_tear_down(too_late): pass
        """,
    "quarantine.toml": """
        [[quarantine]]
        test = "test_a.py::test_held"
        boards = ["microbit"]
        reason = "flaky"
        owner = "A. Tester"
        expires = 2999-01-31
        """,
}
UNITY = b"pump.c:10:test_dose:PASS\r\n-----------------------\r\n1 Tests 0 Failures 0 Ignored\r\nOK\r\n"


@pytest.fixture(scope="module")
def product(firmware_of: Callable[[str], Firmware], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_product(tmp_path_factory.mktemp("plain") / "product", firmware_of("microbit"), MODULES, UNITY)


def test_two_workers_and_then_what_failed(product: Path) -> None:
    before = {*(product / ".devicepipe").glob("pytest/*")}
    status, said = plain_pytest(product, "hil", "-n", "2", "--junitxml", "junit.xml", "--with-timestamp", "n")
    assert status == 1, said
    assert "NOT evidence of a release" in said
    assert "microbit 0.1.0+0, image " in said
    assert "4 passed, 3 failed, 1 error, 2 not_run" in said, said
    assert "pytest counts an error of the bench or the test as FAILED" in said
    assert "scale (no device of bench.toml has this tag; known: debugger, " in said
    told = {line.split(": ")[0]: line for line in said.splitlines() if line.startswith("test_") and ": " in line}
    others = (
        "a.py::test_bad",
        "a.py::test_held",
        "a.py::test_silent",
        "b.py::test_skipped",
        "b.py::test_lacks",
        "c.py::test_tear_down",
    )
    assert set(told) == {f"test_{name}" for name in others}
    assert "in quarantine until 2999-01-31: flaky (hil/quarantine.toml:3)" in said
    assert "test_c.py::test_tear_down: error: teardown: RuntimeError" in told["test_c.py::test_tear_down"]
    assert '< "OK status state=idle' in said
    assert 'Z < "OK status state=idle' not in said
    assert 'name="test_bad"' in (product / "junit.xml").read_text()
    [run] = {*(product / ".devicepipe/pytest").iterdir()} - before
    [named] = re.findall(r"full log here: (\S+)$", said.partition("device verdicts")[2], re.MULTILINE)
    assert Path(named).is_relative_to(run)
    assert Path(named).is_file()
    assert {record.parent.name for record in run.rglob("record.jsonl")} == {"gw0", "gw1"}

    status, said = plain_pytest(product, "hil", "--lf", "-x")
    assert status == 1, said
    assert 'Z < "OK status state=idle' in said
    assert "test_c.py::test_tear_down: not_run: stopping after 1 failures" in said
    assert "1 failed, 2 not_run" in said
    assert "test_a.py::test_bad: failed: call: AssertionError" in said
    assert processes_of(product) == []


def test_all_that_was_asked_for_passed(product: Path) -> None:
    status, said = plain_pytest(product, "hil/test_a.py", "-k", "good or held or unity", "--junitxml", "unity.xml")
    assert status == 0, said
    report = (product / "unity.xml").read_text()
    assert 'name="test_dose"' in report
    assert 'name="test_unity"' not in report  # the device's own tests stand for it, as in pytest-embedded
    assert "test_a.py::test_held: failed: call: AssertionError: assert False" in said
    assert "2 passed, 1 failed" in said


def test_not_run_is_not_green(product: Path) -> None:
    status, said = plain_pytest(product, "hil/test_b.py::test_skipped")
    assert (status, "test_b.py::test_skipped: not_run: call: Skipped: no time" in said) == (1, True), said


def test_old_runs_go_but_not_those_in_use(product: Path, tmp_path: Path) -> None:
    shutil.copy(product / "devicepipe.toml", tmp_path)
    for name in ("firmware", "boards", "requirements", "hil"):
        shutil.copytree(product / name, tmp_path / name)
    runs = tmp_path / ".devicepipe/pytest"
    for number in range(6):
        (runs / f"2026-11-2{number}").mkdir(parents=True)
        (runs / f"2026-11-2{number}/serial.log").touch()
    used = os.open(runs / "2026-11-21", os.O_RDONLY)
    try:
        fcntl.flock(used, fcntl.LOCK_SH)
        new = _new_folder(load_project(tmp_path / "devicepipe.toml"))
    finally:
        os.close(used)
    assert sorted(run.name for run in runs.iterdir()) == ["2026-11-21", "2026-11-24", "2026-11-25", new.name]


# --- refused before anything starts ---------------------------------------------------------------------------------------

REFUSED = {
    "real-device": (["hil", "--device", "real-1"], "device 'real-1' is real: plain pytest runs emulated devices only"),
    "real-devices-in-workers": (["hil", "--device", "real-1", "-n", "2"], "one for each of its processes"),
    "unknown-device": (["hil", "--device", "nosuch"], "unknown device 'nosuch'"),
    "device-of-another-board": (
        ["hil", "--device", "qemu-microbit", "--board", "other"],
        "the build has no board 'other'",
    ),
    "unknown-board": (["hil", "--board", "nosuch"], "unknown board 'nosuch'"),
    "board-that-was-not-built": (["hil", "--board", "other"], "devicepipe sign --board other"),
    "no-such-bundle": (["hil", "--bundle", "nosuch"], "nosuch is no bundle"),
    "port": (
        ["hil", "--port", "/dev/ttyACM0"],
        "--port has no meaning in a device session: the device and its ports are",
    ),
    "other-service": (["hil", "--embedded-services", "esp,idf"], "service here is 'serial', not 'esp,idf'"),
    "option-of-another-service": (["hil", "--target", "esp32"], "--target has no meaning in a device session"),
    "other-log": (["hil", "--logfile-extension", ".txt"], "--logfile-extension has no meaning"),
    "several-devices-in-a-test": (["hil", "--count", "2"], "run it without --count"),
}


def refusal(folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    config = _prepareconfig(["-p", "pytest_embedded", *arguments])
    try:
        with pytest.raises(pytest.UsageError) as caught:
            plugin.pytest_configure(config)
    finally:
        config._ensure_unconfigure()
    return str(caught.value)


@pytest.mark.parametrize(("arguments", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(product: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    runs = sorted((product / ".devicepipe").glob("pytest/*"))
    assert said in refusal(product, arguments, monkeypatch)
    assert sorted((product / ".devicepipe").glob("pytest/*")) == runs


def test_without_a_build(product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = shutil.copytree(product, tmp_path / "copy", ignore=shutil.ignore_patterns(".devicepipe"))
    said = refusal(other, ["hil"], monkeypatch)
    assert "there is no development build to test" in said
    assert "devicepipe sign --board microbit" in said
