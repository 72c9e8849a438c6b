"""Self-test, identity, settings, memory budget. Requirements: requirements/integrity.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from pytest_embedded import Dut

if TYPE_CHECKING:
    from hil.conftest import Measure, Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")

SELF_TEST = "OK selftest ram=pass image=pass sha256=pass watchdog=pass config=pass"
DEFAULTS = {"kvo": "10", "occlusion": "517", "copies": "2"}


@pytest.mark.verifies("SRS-011")
def test_lines_that_come_while_the_device_is_busy_are_answered(dut: Dut) -> None:
    """Three times as much as its input buffer holds (128 bytes) comes during a self-test: every line is answered."""
    dut.write(b"selftest\n" + b"stop\n" * 77)
    dut.expect_exact("OK selftest ", timeout=10)
    for _ in range(77):
        dut.expect_exact("OK stop\r\n", timeout=2)


@pytest.mark.verifies("SRS-012")
def test_self_test_reports_each_part(pump: Pump) -> None:
    """RAM, image, SHA-256, watchdog and settings pass, while idle and while infusing."""
    assert pump.command("selftest") == SELF_TEST
    pump.infuse()
    assert pump.command("selftest") == SELF_TEST


@pytest.mark.verifies("SRS-012")
def test_self_test_keeps_what_it_tests(pump: Pump) -> None:
    """The test leaves a delivery under way as it was, and it goes on without an alarm."""
    pump.infuse(rate=500)
    pump.plant.faults.fixed["pressure"] = 99
    pump.run(1000)
    before = pump.status()
    for _ in range(3):
        pump.command("selftest")
    after = pump.status()
    assert (after.state, after.rate, after.pressure, after.alarm) == ("infusing", 500, 99, "none")
    assert abs(after.volume - before.volume - 500 * (after.uptime - before.uptime) / 36_000) <= 3


@pytest.mark.verifies("SRS-012")
def test_ready_within_ten_seconds_of_a_reset(pump: Pump, measure: Measure) -> None:
    """From the reset pin to the ready line, with the self-test in between, no more than 10 s of the device's time pass."""
    pump.quiet()
    pump.device.reset()
    assert pump.device.wait_started(timeout=10.0).startswith("app: ready ")
    # Its clock begins at the application's start: the bootloader's part is the wait above.
    measure("application's start to ready", pump.status().uptime, "ms", 0, 10_000)


@pytest.mark.verifies("SRS-013")
def test_identity_is_that_of_the_image(pump: Pump) -> None:
    """Board, version and commit are those of the build, the digest is that of the signed image, and the device has a serial."""
    identity, expected = pump.device.identity(), pump.device.expected
    assert (identity.board, identity.version, identity.commit) == (expected.board, expected.version, expected.commit)
    assert identity.digest == pump.device.images.digest
    assert identity.serial


@pytest.mark.verifies("SRS-013")
def test_digest_is_measured_while_infusing(pump: Pump) -> None:
    """The same digest while a delivery is under way, which goes on."""
    pump.infuse()
    assert pump.device.identity().digest == pump.device.images.digest
    assert pump.status().state == "infusing"


# --- settings ---------------------------------------------------------------------------------------------------------


def settings(pump: Pump) -> dict[str, str]:
    """The settings and the number of valid copies."""
    return pump.ask("config")


@pytest.mark.verifies("SRS-043")
def test_settings_are_kept(pump: Pump) -> None:
    """Changed settings are in both copies, and the same after a reset; out of range and while delivering they are refused."""
    assert pump.ask("config kvo=15")["kvo"] == "15"
    assert pump.ask("config occlusion=300")["occlusion"] == "300"
    changed = {"kvo": "15", "occlusion": "300", "copies": "2"}
    assert settings(pump) == changed
    for line in ("config kvo=0", "config kvo=51", "config occlusion=99", "config occlusion=751"):
        assert pump.command(line) == "ERR config range", line
    pump.reset()
    assert settings(pump) == changed
    pump.infuse()
    assert pump.command("config kvo=20") == "ERR config state=infusing"
    assert settings(pump) == changed


@pytest.mark.verifies("RC-021", kind="effectiveness")
@pytest.mark.verifies("SRS-043")
@pytest.mark.parametrize("copy", [0, 1])
def test_damaged_copy_is_restored_from_the_other(pump: Pump, copy: int) -> None:
    """One copy overwritten with zeros: the other is used, the settings stay, and after the next power-on both are valid."""
    pump.ask("config kvo=22")
    region = pump.device.board.regions["config"]
    half = region.size // 2
    pump.write_flash(region.offset + copy * half, bytes(64))
    pump.reset()
    assert settings(pump)["kvo"] == "22"
    pump.reset()
    assert settings(pump) == {"kvo": "22", "occlusion": "517", "copies": "2"}


@pytest.mark.verifies("SRS-043")
def test_without_a_valid_copy_the_defaults_count(pump: Pump) -> None:
    """Both copies overwritten: kvo=10 and occlusion=517, and settings can be changed and kept again."""
    pump.ask("config kvo=33")
    pump.ask("config occlusion=111")
    region = pump.device.board.regions["config"]
    pump.write_flash(region.offset, bytes(region.size))
    pump.reset()
    assert {**settings(pump), "copies": "2"} == DEFAULTS
    pump.ask("config kvo=12")
    pump.reset()
    assert settings(pump) == {**DEFAULTS, "kvo": "12"}


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.verifies("SRS-055")
def test_image_leaves_room_in_its_slot(pump: Pump, measure: Measure) -> None:
    """The signed image leaves at least 15 % of slot 0 free."""
    slot = pump.device.board.regions["slot0"].size
    measure("free in slot 0", 100 * (1 - pump.device.images.signed.stat().st_size / slot), "%", 15, 100)


@pytest.mark.verifies("RC-027", kind="effectiveness")
@pytest.mark.verifies("SRS-055")
def test_stack_has_room_after_use(pump: Pump, measure: Measure) -> None:
    """After the self-test, the identity, a delivery, an alarm, a setting and the log: at most 90 % of the stack was ever used."""
    pump.command("selftest")
    pump.device.identity()
    pump.ask("library")
    pump.infuse(rate=500)
    pump.ask("bolus volume=20")
    pump.run(5000)
    pump.plant.faults.fixed["pressure"] = 700
    pump.expect_alarm("occlusion", "high")
    pump.plant.faults.fixed["pressure"] = 7
    pump.run(200)
    pump.ask("alarm clear")
    pump.command("stop")
    pump.ask("config kvo=11")
    pump.ask("log")
    found = re.fullmatch(r"OK stack size=(\d+) used=(\d+)", pump.command("stack"))
    assert found
    measure("stack used", 100 * int(found[2]) / int(found[1]), "%", 0, 90)
