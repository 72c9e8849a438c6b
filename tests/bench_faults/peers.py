"""The same faults on the peers: stock pytest-embedded and `pio test`, each used as its own documentation has it.

pytest-embedded: its service `serial` on the pseudo-terminal of a QEMU that a fixture starts; the firmware, the tests and the
conftest.py are those that devicepipe gets. The emulated processor begins to run when `dut` listens, so that nothing is lost.

PlatformIO: `pio test` with its Unity runner on a serial port (`test_framework = custom`, since its registry is not asked for Unity
itself), for faults that a device which tests itself can have. The port is a TCP socket of QEMU's, which needs no hardware and loses
no byte; the device begins to print half a second after it was opened, as PlatformIO's examples do.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicepipe.bench.factory import flash_contents, load_factory
from tests.bench.samples import Firmware
from tests.bench_faults.fault import Fault, wait
from tests.bench_faults.runner import end_marked, marked, processes_marked

BOUND = 25.0
"""How long a peer may take before it is said to hang, in seconds; no sample's own time-outs add up to half of it."""

_QEMU = ["qemu-system-arm", "-machine", "microbit", "-display", "none", "-nodefaults", "-monitor", "none"]

_CONFTEST = """
import json, os, pathlib, signal, socket, subprocess, sys, threading, time
import pytest

@pytest.fixture
def qemu(tmp_path):
    control, theirs = socket.socketpair()
    command = {command!r} + ["-S", "-chardev", "pty,id=uart", "-serial", "chardev:uart"]
    command += ["-chardev", f"socket,id=control,fd={{theirs.fileno()}}", "-mon", "chardev=control,mode=control"]
    with open(tmp_path / "qemu.log", "wb") as log:
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdout=log, stderr=log)
    theirs.close()
    lines = control.makefile("rw")
    lines.readline()
    process.ask = lambda name: _ask(lines, name)
    process.ask("qmp_capabilities")
    yield process
    process.kill()
    process.wait()
    lines.close()
    control.close()

def _ask(lines, name):
    lines.write(json.dumps({{"execute": name}}))
    lines.flush()
    while True:
        answer = json.loads(lines.readline())
        if "return" in answer:
            return answer["return"]

@pytest.fixture
def embedded_services():
    return "serial"

@pytest.fixture
def port(qemu):
    name = next(one["filename"] for one in qemu.ask("query-chardev") if one["label"] == "uart")
    return {port!r} or name.removeprefix("pty:")

@pytest.fixture
def dut(dut, qemu):
    qemu.ask("cont")
    return dut

@pytest.fixture
def emulator(qemu):
    return qemu.pid
"""

_PROJECT = {
    "platformio.ini": """
        [platformio]
        platforms_dir = platforms
        packages_dir = packages
        boards_dir = boards

        [env:device]
        platform = device
        board = device
        test_framework = custom
        """,
    "platforms/device/platform.json": '{"name": "device", "version": "1.0.0", "title": "A device", "packages": {}}',
    "platforms/device/platform.py": """
        from platformio.public import PlatformBase

        class DevicePlatform(PlatformBase):
            def is_embedded(self):
                return True  # elsewhere a package that uploads says so
        """,
    "boards/device.json": """
        {"name": "A device", "vendor": "-", "url": "-", "platforms": ["device"], "frameworks": [],
         "build": {"mcu": "nrf51822", "f_cpu": "16000000L"}, "upload": {"maximum_size": 262144, "maximum_ram_size": 16384}}
        """,
    "test/test_custom_runner.py": """
        from platformio.test.runners.unity import UnityTestRunner

        class CustomTestRunner(UnityTestRunner):
            EXTRA_LIB_DEPS = None
        """,
    "test/test_pump/test_main.c": "int main(void) { return 0; }\n",
}


def pytest_embedded(fault: Fault, firmware: Firmware, folder: Path) -> str:
    """What stock pytest-embedded makes of a fault."""
    if fault.embedded:
        return f"n/a: {fault.embedded}"
    image = _image(firmware, fault, folder, fault.mood, fault.script)
    files = {"conftest.py": _CONFTEST.format(command=[*_QEMU, "-kernel", str(image)], port=fault.port)}
    files["conftest.py"] += textwrap.dedent(fault.conftest)
    files["test_fault.py"] = "import os, signal, sys, threading, time\nimport pytest\n" + textwrap.dedent(fault.test)
    tests = folder / "product"
    for name, source in files.items():
        _write(tests / name, source)
    options = [
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_embedded",
        "-c",
        os.devnull,
        "--rootdir",
        str(tests),
        "--tb=short",
    ]
    return _judge(fault, [sys.executable, "-P", "-m", "pytest", *options, str(tests)], tests, folder)


def embedded_conftest(firmware: Firmware, folder: Path, script: bytes) -> str:
    """The conftest.py of stock pytest-embedded with a device that has a script for its command `play`."""
    factory = firmware.factory(folder, script=script)
    image = folder / "flash.bin"
    image.write_bytes(flash_contents(firmware.board, load_factory(factory), file=factory))
    return _CONFTEST.format(command=[*_QEMU, "-kernel", str(image)], port="")


def pio_test(fault: Fault, firmware: Firmware, folder: Path) -> str:
    """What `pio test` makes of a device that has the fault while it tests itself."""
    if isinstance(fault.pio, str):
        return f"n/a: {fault.pio}"
    for name, source in _PROJECT.items():
        _write(folder / "project" / name, source)
    image = _image(firmware, fault, folder, "p", wait(500) + fault.pio)
    command = [sys.executable, "-P", "-m", "platformio", "test", "--without-building", "--without-uploading", "-vv"]
    if fault.port:
        return _judge(fault, [*command, "--test-port", fault.port], folder / "project", folder)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        port = f"socket://127.0.0.1:{listening.getsockname()[1]}"
        with _emulator(image, listening, folder) as qemu:
            dies = qemu if fault.pio_dies else None
            return _judge(fault, [*command, "--test-port", port], folder / "project", folder, dies)


def _judge(
    fault: Fault, command: list[str], where: Path, folder: Path, dies: subprocess.Popen[bytes] | None = None
) -> str:
    """Run a peer, and say what became of it."""
    environment = os.environ | {
        "PLATFORMIO_CORE_DIR": str(folder / "core"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_NO_ANSI": "true",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    log = folder / "peer.log"
    with marked(folder):
        marks = {name: os.environ[name] for name in ("DEVICEPIPE_FAULT", "TMPDIR")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=where,
                env=environment | marks,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        status = _wait(process, log, dies)
        left = _left(folder)
        end_marked(folder)
        process.wait()
    said = log.read_text(encoding="utf-8", errors="replace")
    leak = f"; leaves {len(left)} running" if left and status is not None else ""
    if status is None:
        return "hang"
    if status == 0:
        skipped = " (SKIPPED, exit status 0)" if "SKIPPED" in said and "PASSED" not in said else ""
        return f"false green{skipped}{leak}"
    if status < 0:
        return f"no verdict: killed by {signal.Signals(-status).name}{leak}"
    return f"{'right' if re.search(fault.cause, said) else 'wrong cause'}{leak}"


def _wait(process: subprocess.Popen[bytes], log: Path, dies: subprocess.Popen[bytes] | None) -> int | None:
    """The exit status, or None where it does not end, is stopped, or leaves its output open for ever."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        if (status := process.poll()) is not None:
            return status
        if dies is not None and b"test_alarm" in log.read_bytes():
            dies.kill()
        time.sleep(0.02)
    return None


def _left(folder: Path) -> list[tuple[int, str]]:
    """What still runs a second later: helpers that end by themselves are no leftovers."""
    deadline = time.monotonic() + 1.0
    while (left := processes_marked(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _image(firmware: Firmware, fault: Fault, folder: Path, mood: str, script: bytes) -> Path:
    """The whole flash, as QEMU's option -kernel takes it."""
    factory = firmware.factory(folder, mood, script, **fault.identity)
    image = folder / "flash.bin"
    image.write_bytes(flash_contents(firmware.board, load_factory(factory), file=factory))
    return image


@contextmanager
def _emulator(image: Path, listening: socket.socket, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An emulator that starts when its port is opened."""
    options = ["-chardev", f"socket,id=uart,fd={listening.fileno()},server=on,wait=on", "-serial", "chardev:uart"]
    with (folder / "qemu.log").open("wb") as log:
        process = subprocess.Popen(
            [*_QEMU, "-kernel", str(image), *options], pass_fds=[listening.fileno()], stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _write(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source).lstrip(), encoding="utf-8")
