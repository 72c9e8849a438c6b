"""Each device that lies, posed to devicepipe: the right verdict, the true cause, no process and no file left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.samples import Firmware, build_firmware
from tests.bench_faults.devices import DEVICES
from tests.bench_faults.fault import Fault
from tests.bench_faults.runner import Outcome, pose, pose_together


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return build_firmware("microbit", tmp_path_factory.mktemp("firmware"))


@pytest.fixture(scope="module")
def together(firmware: Firmware, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    faults = [fault for fault in DEVICES if fault.shares]
    return pose_together(faults, firmware, tmp_path_factory.mktemp("together"))


@pytest.mark.parametrize("fault", DEVICES, ids=[fault.name for fault in DEVICES])
def test_device(fault: Fault, firmware: Firmware, together: dict[str, Outcome], tmp_path: Path) -> None:
    outcome = together[fault.name] if fault.shares else pose(fault, firmware, tmp_path)
    assert outcome.wrong(fault) == [], outcome
