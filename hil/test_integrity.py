"""Self-test and identity. Requirements: requirements/integrity.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from devicepipe.bench.device import Device

if TYPE_CHECKING:
    from hil.conftest import Pump

READY_WITHIN = 10.0  # seconds


@pytest.mark.verifies("SRS-012")
def test_self_test_reports_each_memory(pump: Pump) -> None:
    """OK selftest, with ram=pass and image=pass, while idle and while infusing."""
    for line in ("stop", "start 50"):
        pump.command(line)
        reply = pump.command("selftest")
        assert re.fullmatch(r"OK selftest( [a-z0-9]+=pass)+", reply)
        assert {"ram=pass", "image=pass"} <= set(reply.split())


@pytest.mark.verifies("SRS-012")
def test_self_test_keeps_what_it_tests(pump: Pump) -> None:
    """The RAM test leaves a delivery under way as it was."""
    pump.command("start 50")
    pump.command("sense pressure=99")
    pump.command("selftest")
    status = pump.status()
    assert (status.state, status.rate, status.pressure) == ("infusing", 50, 99)


@pytest.mark.verifies("SRS-012")
def test_ready_within_ten_seconds_of_a_reset(device: Device) -> None:
    """From the reset pin to the ready line, with the self-test in between, no more than 10 s pass."""
    device.reset()
    assert device.wait_started(timeout=READY_WITHIN).startswith("app: ready ")


@pytest.mark.verifies("SRS-013")
def test_identity_is_that_of_the_image(device: Device) -> None:
    """Board, version and commit are those of the build, the digest is that of the signed image, and the device has a serial."""
    identity = device.identity()
    expected = device.expected
    assert (identity.board, identity.version, identity.commit) == (expected.board, expected.version, expected.commit)
    assert identity.digest == device.images.digest
    assert identity.serial


@pytest.mark.verifies("SRS-013")
def test_digest_is_measured_while_infusing(device: Device, pump: Pump) -> None:
    """The same digest while a delivery is under way, which goes on."""
    pump.command("start 50")
    assert device.identity().digest == device.images.digest
    assert pump.status().state == "infusing"
