"""Drivers by name: ours and other packages'; what is wrong in bench.toml is named with file, line and key."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from devicepipe.bench.drivers.registry import drivers
from devicepipe.errors import BenchError, UsageError
from tests.bench.drivers.conftest import ROOT, MakeDriver

RACK = """\
from devicepipe.bench.drivers.driver import PowerConfig, PowerDriver

class Config(PowerConfig):
    outlet_number: int

class Rack(PowerDriver):
    Config = Config

    def switch(self, on):
        with self.place.log.open("a") as log:
            log.write(f"outlet {self.config.outlet_number} {on}\\n")

def no_driver():
    pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small distribution as pip installs one."""
    site = tmp_path / "site"
    info = site / "our_lab-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[devicepipe.drivers]\npower.rack = our_lab_rack:Rack\nflash.rack = our_lab_rack:Rack\n"
        "reset.gone = our_lab_rack:Gone\npower.command = our_lab_rack:Rack\nreset.odd = our_lab_rack:no_driver\n"
    )
    (site / "our_lab_rack.py").write_text(RACK)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "our_lab_rack", raising=False)


@pytest.mark.usefixtures("package")
def test_another_packages_driver_works(driver: MakeDriver, root: Path) -> None:
    (root / "out").mkdir()
    driver("power", 'driver = "rack"\noutlet-number = 3\noff-time = 0').cycle()
    assert (root / "out/drivers.log").read_text() == "outlet 3 False\noutlet 3 True\n"


@pytest.mark.usefixtures("package")
def test_another_packages_settings_are_checked_like_ours(driver: MakeDriver, root: Path) -> None:
    with pytest.raises(UsageError, match="expected a valid integer, found 'three'") as raised:
        driver("power", 'driver = "rack"\noutlet-number = "three"')
    assert (raised.value.file, raised.value.line) == (root / "hil/bench.toml", 8)
    assert raised.value.key == "device.0.power.outlet-number"


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("role", "name", "error", "message"),
    [
        ("reset", "gone", BenchError, "driver 'gone' of package 'our-lab' cannot be loaded: AttributeError"),
        ("flash", "rack", BenchError, "'our_lab_rack:Rack', driver 'rack' of package 'our-lab', is no FlashDriver"),
        ("reset", "odd", BenchError, "is no ResetDriver"),
        ("power", "command", UsageError, "more than one package has a driver 'command' for power: devicepipe, package"),
    ],
)
def test_a_package_that_is_wrong_is_named(
    driver: MakeDriver, role: str, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        driver(role, f'driver = "{name}"')


def test_an_unknown_driver_fails_with_the_known_ones(driver: MakeDriver, root: Path) -> None:
    with pytest.raises(UsageError, match="unknown driver 'pyocd2'") as raised:
        driver("flash", 'driver = "pyocd2"')
    assert (raised.value.line, raised.value.key) == (7, "device.0.flash.driver")
    assert raised.value.remedy == f"drivers for flash: {', '.join(sorted(drivers('flash')))}"


def test_all_our_drivers_can_be_loaded() -> None:
    for role in ("flash", "reset", "power"):
        assert all(point.load() for points in drivers(role).values() for point in points)


@pytest.mark.parametrize(
    ("lines", "line", "key", "message"),
    [
        ('command = ["probe"]\ntimeuot = 3', 9, "timeuot", "unknown key"),
        ("timeout = 3", 6, "command", "missing key"),
        ('command = ["probe"]\ntimeout = 0', 9, "timeout", "expected greater than 0|should be greater than 0"),
        ('command = ["probe", "{hex}"]', 8, "command", "unknown placeholder {hex}; known: device, port"),
        ('command = ["probe", "{"]', 8, "command", "a brace too many in '{'"),
        ('command = ["{port}"]', 8, "command", "the program, the first word, takes no placeholder"),
        ('command = "probe -x"', 8, "command", "expected a list: "),
        ("command = []", 8, "command", "at least one entry"),
    ],
)
def test_a_wrong_setting_is_named(
    driver: MakeDriver, root: Path, lines: str, line: int, key: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        driver("reset", f'driver = "command"\n{lines}')
    assert raised.value.file == root / "hil/bench.toml"
    assert (raised.value.line, raised.value.key) == (line, f"device.0.reset.{key}")


def test_the_examples_of_the_reference_are_taken(driver: MakeDriver) -> None:
    text = (ROOT / "docs/reference/drivers.md").read_text()
    shown = set()
    for example in re.findall(r"^```toml\n(\[device\..*?)^```", text, re.MULTILINE | re.DOTALL):
        for role, lines in re.findall(r"^\[device\.(\w+)\].*?\n(.*?)(?=^\[|\Z)", example, re.MULTILINE | re.DOTALL):
            driver(role, lines)
            shown.add(f"{role}.{re.findall('driver = .([a-z]+).', lines)[0]}")
    assert shown == {f"{role}.{name}" for role in ("flash", "reset", "power") for name in drivers(role)}
