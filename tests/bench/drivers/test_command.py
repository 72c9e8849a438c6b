"""Driver `command` with a probe whose flash is a file, and a relay whose state is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.bench.drivers.driver import FlashImages
from devicepipe.errors import BenchError, UsageError
from tests.bench.drivers.conftest import Install, MakeDriver
from tests.bench.drivers.programs import read_flash

FLASH = """\
driver = "command"
command = ["probe", "--id", "{device}", "write", "{hex}"]
read = ["probe", "--id", "{device}", "read", "{read}"]
"""
RELAY = """\
driver = "command"
on = ["relay", "1"]
off = ["relay", "0"]
state = ["relay"]
state-on = "^state=1$"
state-off = "^state=0$"
"""


def test_the_flash_is_written_and_read_back(driver: MakeDriver, images: FlashImages, install: Install) -> None:
    program = install("probe", "python:probe")
    flash = driver("flash", FLASH)
    assert (flash.check(), flash.needs_port) == (str(program), False)
    flash.write(images)
    assert read_flash(0x8000, 1024) == images.signed.read_bytes()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("worn", "its flash does not hold what was written: at 0x123 expected 0x23, found 0xa3"),
        ("locked", "probe ended with exit code 7:\n    connecting\n    flash is locked"),
    ],
)
def test_a_flash_that_does_not_take_it(
    driver: MakeDriver,
    images: FlashImages,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    message: str,
) -> None:
    install("probe", "python:probe")
    monkeypatch.setenv("PROBE_FAULT", fault)
    with pytest.raises(BenchError, match=f"device 'one-1': {message}"):
        driver("flash", FLASH).write(images)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo cannot read",
            "what was read of its flash is no Intel HEX file: cannot be read: No such file.*\n    cannot read",
        ),
        ('echo :00000001FF >"$4"', "no Intel HEX file: holds no data"),
        ('printf ":0100000000FF\\n:00000001FF\\n" >"$4"', "at 0x1 expected 0x01, found nothing"),
    ],
)
def test_a_read_back_that_is_not_whole(
    driver: MakeDriver, images: FlashImages, install: Install, script: str, message: str
) -> None:
    install("probe", f'[ "$3" = write ] || {{ {script}; }}')
    with pytest.raises(BenchError, match=message):
        driver("flash", FLASH).write(images)


def test_the_words_are_filled_in_and_no_shell_reads_them(driver: MakeDriver, root: Path, install: Install) -> None:
    install("probe", 'printf "%s|" "$@" >got')
    reset = driver("reset", 'driver = "command"\ncommand = ["probe", "$HOME; x", "{port}@{device}", "{{}}"]', "/dev/x")
    assert reset.needs_port
    reset.reset()
    assert (root / "got").read_text() == "$HOME; x|/dev/x@one-1|{}|"


def test_a_reset_whose_program_fails(driver: MakeDriver, install: Install) -> None:
    install("probe", "echo no target; exit 1")
    with pytest.raises(BenchError, match="probe ended with exit code 1:\n    no target"):
        driver("reset", 'driver = "command"\ncommand = ["probe"]').reset()


def test_a_program_that_is_missing_is_told_by_the_check(driver: MakeDriver) -> None:
    with pytest.raises(BenchError, match="the program 'no-such-probe' is not installed"):
        driver("reset", 'driver = "command"\ncommand = ["no-such-probe"]').check()


def test_the_power_is_switched_and_its_state_read_back(driver: MakeDriver, root: Path, install: Install) -> None:
    install("relay", '[ -z "$1" ] || echo "$1" >>switched; echo "state=$(tail -n 1 switched)"')
    driver("power", RELAY).cycle()
    assert (root / "switched").read_text() == "0\n1\n"


def test_a_power_that_stays_on(driver: MakeDriver, install: Install) -> None:
    install("relay", "echo state=1")
    driver("power", RELAY).switch(on=True)
    with pytest.raises(BenchError, match="its power was switched off, and relay does not say so:\n    state=1"):
        driver("power", RELAY).switch(on=False)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('on = ["r"]\noff = ["r"]\nstate = ["r"]', "state, state-on and state-off: all three or none"),
        (RELAY.replace("^state=1$", "(").partition("\n")[2], "is no regular expression: missing"),
    ],
)
def test_wrong_settings_of_a_power(driver: MakeDriver, lines: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        driver("power", f'driver = "command"\n{lines}')
