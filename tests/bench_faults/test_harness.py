"""Each fault in or of the harness, posed to devicepipe: the right verdict, the true cause, no process and no file left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.samples import Firmware, build_firmware, spec_for
from tests.bench_faults.fault import Fault
from tests.bench_faults.harness import HARNESS
from tests.bench_faults.runner import Outcome, marked, pose, pose_together, processes_marked
from tests.bench_faults.suite import FAULTS

ROOT = Path(__file__).parents[2]
OWNER = """
import pathlib, sys
from devicepipe.bench.session import run_session
from devicepipe.bench.spec import SessionSpec
spec = SessionSpec.model_validate_json(pathlib.Path(sys.argv[1]).read_bytes())
run_session(spec, progress=lambda case: print(case.id, flush=True))
"""


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return build_firmware("microbit", tmp_path_factory.mktemp("firmware"))


@pytest.fixture(scope="module")
def together(firmware: Firmware, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    faults = [fault for fault in HARNESS if fault.shares]
    return pose_together(faults, firmware, tmp_path_factory.mktemp("together"))


@pytest.mark.parametrize("fault", HARNESS, ids=[fault.name for fault in HARNESS])
def test_harness(fault: Fault, firmware: Firmware, together: dict[str, Outcome], tmp_path: Path) -> None:
    outcome = together[fault.name] if fault.shares else pose(fault, firmware, tmp_path)
    assert outcome.wrong(fault) == [], outcome


def test_killed_owner_takes_pytest_and_emulator_along(firmware: Firmware, tmp_path: Path) -> None:
    modules = {
        "test_a.py": "\ndef test_first(): pass\n",
        "test_b.py": "\nimport time\ndef test_long(device): time.sleep(60)\n",
    }
    spec = tmp_path / "spec.json"
    spec.write_text(spec_for(tmp_path, firmware, modules).model_dump_json())
    with (
        marked(tmp_path),
        subprocess.Popen(
            [sys.executable, "-c", OWNER, str(spec)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        ) as owner,
    ):
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"hil/test_a.py::test_first\n"
        assert len(processes_marked(tmp_path)) >= 3
        owner.kill()
    deadline = time.monotonic() + 5
    while processes_marked(tmp_path) and time.monotonic() < deadline:
        os.sched_yield()
    assert processes_marked(tmp_path) == []


def test_every_fault_has_a_name_of_its_own_and_is_in_the_published_table() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    table = (ROOT / "docs" / "reference" / "bench-faults.md").read_text(encoding="utf-8")
    assert [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")] == names
