"""Drivers of debug probes and USB hubs: their real command lines, and what they make of what the programs say and do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from devicepipe.bench.drivers.driver import FlashImages
from devicepipe.errors import BenchError, UsageError
from tests.bench.drivers.conftest import Install, MakeDriver
from tests.bench.drivers.programs import SIZE, read_flash

PYOCD = 'driver = "pyocd"\ntarget = "nrf51822"\nprobe = "000683459284"\nfrequency = 4_000_000'
OPENOCD = """\
driver = "openocd"
interface = "interface/cmsis-dap.cfg"
target = "target/nrf51.cfg"
serial = "0006"
transport = "swd"
speed = 4000
"""
# What pyOCD understands of command lines: its parser, and its own splitting of what `commander` is told to do.
PARSE = """\
import json, sys
from pyocd.__main__ import PyOCDTool
from pyocd.utility.cmdline import convert_reset_type, split_command_line
for line in sys.stdin:
    args = PyOCDTool()._parser.parse_args(json.loads(line))
    connect = ("unique_id", "target_override", "frequency", "connect_mode", "no_wait")
    said = [args.cmd, *(getattr(args, name, None) for name in (connect if args.cmd != "json" else connect[:2]))]
    if args.cmd == "load":
        said += [args.erase, args.no_reset, args.base_address]
    elif args.cmd == "commander":
        said += split_command_line(" ".join(args.commands[0]))[:3]
    elif args.cmd == "reset":
        said += [convert_reset_type(args.reset_type)]
    print(*said)
"""
UHUBCTL = 'driver = "uhubctl"\nlocation = "1-1.2"\nport = 3\noff-time = 0'
# OpenOCD's own: an adapter that is none, a target without memory, a flash in OpenOCD's memory.
FAUX = """\
adapter driver dummy
transport select jtag
jtag newtap one cpu -irlen 4
target create one.cpu testee -chain-position one.cpu
flash bank one.flash faux 0 0x40000 4 4 one.cpu
"""
DEAD = """\
adapter driver dummy
transport select jtag
jtag newtap chip cpu -irlen 4
dap create chip.dap -chain-position chip.cpu
target create chip.cpu cortex_m -dap chip.dap
"""
# It cannot be read: the first comparison, before it is written, fails, and the one afterwards does not.
VERIFIES = """\
init
set compared 0
proc verify_image args { global compared; if {[incr compared] == 1} { error differs } }
"""


def holds(images: FlashImages, *, erased: bool) -> bool:
    """Whether the flash holds the image, and around it nothing, or what was there before."""
    around = b"\xff" if erased else b"\x5a"
    application = images.signed.read_bytes()
    whole = (bytes(range(256)) * 8).ljust(0x8000, around) + application
    return read_flash(0, SIZE) == whole.ljust(SIZE, around)


@pytest.mark.parametrize("erase", [True, False])
def test_pyocd_writes_the_flash_and_reads_it_back(
    driver: MakeDriver, images: FlashImages, install: Install, erase: bool
) -> None:
    install("pyocd", "python:pyocd")
    flash = driver("flash", f"{PYOCD}\nerase = {str(erase).lower()}")
    flash.write(images)
    assert holds(images, erased=erase)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("worn", "at 0x123 expected 0x23, found 0xa3"),
        ("silent", "at 0x0 expected 0x00, found 0x5a"),
        ("unread", "pyocd ended well, but has not read the flash"),
    ],
)
def test_pyocd_that_ends_well_is_not_believed(
    driver: MakeDriver,
    images: FlashImages,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    message: str,
) -> None:
    install("pyocd", "python:pyocd")
    monkeypatch.setenv("PROBE_FAULT", fault)
    with pytest.raises(BenchError, match=message):
        driver("flash", f"{PYOCD}\nerase = false").write(images)


def test_pyocd_resets_by_a_method(driver: MakeDriver, root: Path, install: Install) -> None:
    install("pyocd", "python:pyocd")
    driver("reset", f'{PYOCD}\nmethod = "hw"').reset()
    assert (root / "reset").read_text() == "hw"


def test_pyocd_is_never_given_a_method_that_it_would_ignore(driver: MakeDriver) -> None:
    with pytest.raises(UsageError, match=r"device\.0\.reset\.method: expected 'default', 'hw'"):
        driver("reset", f'{PYOCD}\nmethod = "hardwear"')


def test_a_probe_is_named_by_its_whole_id(driver: MakeDriver, install: Install) -> None:
    install("pyocd", "python:pyocd")
    assert driver("flash", PYOCD).check() == "pyOCD 0.46.0"
    with pytest.raises(BenchError, match=r"the probe '0006' is not connected; pyOCD 0.46.0 sees 000683459284"):
        driver("reset", PYOCD.replace("000683459284", "0006")).check()


def test_pyocds_own_parser_takes_the_command_lines(
    driver: MakeDriver, root: Path, images: FlashImages, install: Install
) -> None:
    install("pyocd", "python:pyocd")
    driver("flash", PYOCD).check()
    driver("flash", PYOCD).write(images)
    driver("reset", f'{PYOCD}\nmethod = "hw"').reset()
    asked = (root / "commands").read_text()
    real = subprocess.run([sys.executable, "-c", PARSE], input=asked, capture_output=True, text=True, check=False)
    assert (real.returncode, real.stderr) == (0, "")
    assert real.stdout.splitlines() == [
        "json None None",
        "load 000683459284 nrf51822 4000000 halt True sector True 0",
        "commander 000683459284 nrf51822 4000000 halt True savemem 0x0 262144",
        "reset 000683459284 nrf51822 4000000 halt True ResetType.HARDWARE",
    ]


def test_the_real_pyocd_without_a_probe(driver: MakeDriver, images: FlashImages) -> None:
    with pytest.raises(
        BenchError, match="pyocd ended with exit code 1:\n    No connected debug probe matches"
    ) as raised:
        driver("flash", PYOCD).write(images)
    assert raised.value.remedy.startswith("check the device's power, the probe and its wiring")


@pytest.mark.parametrize("erase", [True, False])
def test_openocd_writes_the_flash(driver: MakeDriver, images: FlashImages, install: Install, erase: bool) -> None:
    install("openocd", "python:openocd")
    flash = driver("flash", f"{OPENOCD}\nerase = {str(erase).lower()}")
    assert flash.check() == "OpenOCD 0.12.0"
    flash.write(images)
    assert holds(images, erased=erase)


def test_openocd_whose_verification_fails(
    driver: MakeDriver, images: FlashImages, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("openocd", "python:openocd")
    monkeypatch.setenv("PROBE_FAULT", "worn")
    with pytest.raises(BenchError, match=r"openocd ended with exit code 1:(\n.*)*\*\* Verify Failed \*\*"):
        driver("flash", OPENOCD).write(images)


def test_openocd_resets(driver: MakeDriver, root: Path, install: Install) -> None:
    install("openocd", "python:openocd")
    driver("reset", OPENOCD).reset()
    assert (root / "reset").read_text() == "run"


def test_a_setting_of_openocd_is_no_command(driver: MakeDriver) -> None:
    with pytest.raises(UsageError, match=r"device\.0\.flash.serial: expected one word without any of"):
        driver("flash", OPENOCD.replace("0006", "1; exit"))


@pytest.mark.parametrize(
    ("verify", "error"),
    [("", r"\*\* Verify Failed \*\*"), (VERIFIES, "")],
    ids=["fails", "is right"],
)
def test_the_real_openocd_with_a_flash_of_its_own(
    driver: MakeDriver, root: Path, images: FlashImages, verify: str, error: str
) -> None:
    (root / "none.cfg").write_text(verify)
    (root / "faux.cfg").write_text(FAUX)
    lines = 'driver = "openocd"\ninterface = "faux.cfg"\ntarget = "none.cfg"\nserial = "X"'
    flash = driver("flash", lines)
    assert flash.check().startswith("OpenOCD 0.")
    if error:
        with pytest.raises(BenchError, match=f"openocd ended with exit code 1:(\n.*)*{error}"):
            flash.write(images)
    else:
        flash.write(images)
        driver("reset", lines).reset()
    assert "** Programming Finished **" in (root / "out/drivers.log").read_text()


def test_the_real_openocd_and_a_target_that_does_not_answer(driver: MakeDriver, root: Path) -> None:
    (root / "none.cfg").write_text("")
    (root / "dead.cfg").write_text(DEAD)
    with pytest.raises(BenchError, match=r"openocd ended with exit code 1:(\n.*)*Invalid ACK"):
        driver("reset", 'driver = "openocd"\ninterface = "dead.cfg"\ntarget = "none.cfg"\nserial = "X"').reset()


@pytest.mark.parametrize(
    ("role", "lines", "remedy"),
    [
        ("reset", PYOCD, "pip install 'devicepipe[pyocd]'"),
        ("reset", OPENOCD, "apt-get install openocd"),
        ("power", UHUBCTL, "apt-get install uhubctl"),
        ("reset", 'driver = "esptool"\nchip = "esp32"', "pip install 'devicepipe[esptool]'"),
    ],
    ids=["pyocd", "openocd", "uhubctl", "esptool"],
)
def test_a_program_that_is_not_installed(driver: MakeDriver, role: str, lines: str, remedy: str) -> None:
    with pytest.raises(BenchError, match="the program 'no-such-program' is not installed") as raised:
        driver(role, f'{lines}\nprogram = "no-such-program"').check()
    assert remedy in raised.value.remedy


def test_uhubctl_switches_a_port_and_reads_it_back(driver: MakeDriver, root: Path, install: Install) -> None:
    install("uhubctl", "python:uhubctl")
    power = driver("power", UHUBCTL)
    assert power.check() == "uhubctl 2.5.0"
    power.switch(False)
    assert (root / "port").read_text() == "off"
    power.cycle()
    assert (root / "port").read_text() == "on"


@pytest.mark.parametrize("fault", ["stuck", "half"])
def test_a_port_that_stays_on(
    driver: MakeDriver, install: Install, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    install("uhubctl", "python:uhubctl")
    monkeypatch.setenv("PROBE_FAULT", fault)
    with pytest.raises(BenchError, match=r"port 3 of hub 1-1\.2 was switched off, and is not:"):
        driver("power", UHUBCTL).switch(False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("1-9", "uhubctl ended with exit code 1:\n    No compatible devices detected at location 1-9!"),
        ("port = 4", r"uhubctl says nothing of port 4 of hub 1-1\.2"),
    ],
)
def test_a_hub_or_port_that_is_not_there(driver: MakeDriver, install: Install, change: str, message: str) -> None:
    install("uhubctl", "python:uhubctl")
    lines = UHUBCTL.replace("port = 3", change) if "port" in change else UHUBCTL.replace("1-1.2", change)
    with pytest.raises(BenchError, match=message):
        driver("power", lines).check()
