"""Campaigns: what is judged, what must be caught, and that no result says more than was done. The bootloader is simulated."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from devicepipe.bench.campaigns import kinds, run, workers
from devicepipe.bench.campaigns.cuts import Operation, states
from devicepipe.bench.campaigns.kinds import CAMPAIGNS, Plan
from devicepipe.bench.campaigns.machine import Boot
from devicepipe.bench.campaigns.powercut import Judge
from devicepipe.bench.campaigns.run import check_module, parts
from devicepipe.bench.campaigns.scenario import BrokenPromiseError, Phase, blaming, load_scenario
from devicepipe.bench.campaigns.workers import Job, run_jobs
from devicepipe.bench.device import Device
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.campaigns import CampaignResult

choose = CAMPAIGNS["powercut"].choose
OLD, NEW = b"\x11" * 16, b"\x22" * 16
ERASED = b"\xff" * 16
SPEC = SessionSpec.model_construct()  # the simulation needs nothing of it


class Scenario:
    """Flash: the running image, the waiting one, a request; the image starts that is whole."""

    stops: Mapping[str, bool] = {"start": True, "halt": False}

    def record(self, device: Device) -> list[Phase]:
        raise NotImplementedError

    def deciding(self, spec: SessionSpec, flash: bytes) -> bytes:
        return flash

    def lost_ram(self, spec: SessionSpec) -> Sequence[tuple[int, bytes]]:
        return []

    def image_started(self, spec: SessionSpec, flash: bytes) -> str:
        names = {OLD: "old", NEW: "new"}
        if flash[:16] not in names:
            raise BrokenPromiseError("the image is a mixture")
        return names[flash[:16]]

    def run_application(self, device: Device, *, number: int) -> str:
        raise NotImplementedError


def good(flash: bytes) -> Boot:
    """Copies the waiting image as long as it is requested, whatever slot 0 holds."""
    if flash[32:] == b"\x00" * 4:
        flash = flash[16:32] + flash[16:32] + b"\x00" * 4
    return Boot("start", flash, "said")


def bricks(flash: bytes) -> Boot:
    return Boot("start" if flash[:16] in (OLD, NEW) else "halt", flash, "refused")


def mixes(flash: bytes) -> Boot:
    return Boot("start", flash, "started")


def hangs(flash: bytes) -> Boot:
    return good(flash) if flash[:16] == OLD else Boot("", b"", "…")


def restless(flash: bytes) -> Boot:
    return Boot("start", flash[:32] + bytes([flash[32] ^ 1]) + flash[33:], "said")


def goes_back(flash: bytes) -> Boot:
    return Boot("start", OLD + flash[16:], "said")


OPERATIONS = [
    Operation(32, b"\x00" * 4, erase=False),
    Operation(0, ERASED, erase=True),
    Operation(0, NEW, erase=False),
]
PERMANENT = Phase("permanent", before="old", after="new", start=OLD + NEW + b"\xff" * 4, operations=OPERATIONS)


def outcomes(boot: Callable[[bytes], Boot], phase: Phase = PERMANENT, seeds: int = 4) -> tuple[set[str], list[str]]:
    judge, ran, failures = Judge(SPEC, Scenario(), boot), set(), []
    for point, flash in states(phase.start, phase.operations, phase.points(seeds)):
        try:
            ran.add(judge.judge(phase, flash)[0])
        except BrokenPromiseError as failure:
            failures.append(f"{point}: {failure}")
    return ran, failures


def test_a_bootloader_that_survives_every_cut_passes() -> None:
    assert outcomes(good) == ({"old", "new"}, [])


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        (bricks, "starts nothing"),
        (mixes, "mixture"),
        (hangs, "neither starts nor refuses"),
        (restless, "changes its flash"),
    ],
)
def test_a_bad_bootloader_is_caught(defect: Callable[[bytes], Boot], message: str) -> None:
    _, failures = outcomes(defect)
    assert any(message in failure for failure in failures), failures


def test_going_back_from_an_image_that_runs_for_good_is_caught() -> None:
    phase = Phase("late", before=None, after="new", start=NEW + OLD + b"\xff" * 4, operations=OPERATIONS[:1])
    _, failures = outcomes(goes_back, phase)
    assert failures
    assert "an unknown image starts" in failures[0]


def test_a_trial_that_never_ends_is_caught() -> None:
    phase = Phase("trial", "old", "new", trial=True, start=PERMANENT.start, operations=OPERATIONS)
    _, failures = outcomes(good, phase)
    assert any("the new image starts, which must not be" in failure for failure in failures)


def test_from_the_same_flash_a_bootloader_is_run_once() -> None:
    seen: list[bytes] = []

    def boot(flash: bytes) -> Boot:
        seen.append(flash)
        return good(flash)

    outcomes(boot, seeds=8)
    assert len(seen) == len(set(seen))


def test_points_are_drawn_by_a_seed_and_repeated_by_a_number() -> None:
    drawn = choose([PERMANENT], Plan(points=4, seed=7))
    assert drawn == choose([PERMANENT], Plan(points=4, seed=7))
    assert drawn != choose([PERMANENT], Plan(points=4, seed=8))
    assert sum(len(points) for _, points in choose([PERMANENT], Plan())) == len(PERMANENT.points(1))
    ((_, (point,)),) = choose([PERMANENT], Plan(only=("permanent", 3)))
    assert point == PERMANENT.points(1)[3]


def test_points_are_shared_out_in_their_order() -> None:
    assert parts([("a", [1, 2, 3]), ("b", []), ("c", [4, 5])], 2) == [
        [("a", [1, 2])],
        [("a", [3]), ("c", [4])],
        [("c", [5])],
    ]


def test_points_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match="there are 7"):
        choose([PERMANENT], Plan(points=8))
    with pytest.raises(UsageError, match="permanent:0 to 6"):
        choose([PERMANENT], Plan(only=("permanent", 7)))


def result(**changes: object) -> dict[str, object]:
    group = {"name": "swap", "size": 3, "points": 7, "outcomes": {"old": 4, "new": 2}}
    return {
        "kind": "powercut", "board": "b", "image_digest": "0" * 64, "groups": [group], "points": 7,
        "points_possible": 7, "seed": 1, "inside": 1, "deep": 0, "boots": 3,
        "failures": [{"point": "swap:3", "message": "bad"}], "processes": 1, "record_seconds": 1.0, "seconds": 2.0,
    } | changes  # fmt: skip


def test_a_result_of_fewer_points_than_it_says_cannot_be_made() -> None:
    CampaignResult.model_validate(result())
    with pytest.raises(ValidationError, match="all its points"):
        CampaignResult.model_validate(result(failures=[]))
    with pytest.raises(ValidationError, match="all points"):
        CampaignResult.model_validate(result(points=8))
    with pytest.raises(ValidationError, match="failed twice"):
        CampaignResult.model_validate(result(failures=[{"point": "swap:3", "message": "bad"}] * 2))


def test_a_failed_point_is_named_with_the_command_that_repeats_it() -> None:
    found = CampaignResult.model_validate(result())
    assert found.again(found.failures[0]) == "devicepipe campaign powercut --board b --point swap:3"
    flips = CampaignResult.model_validate(result(kind="bitflip", seed=7))
    assert flips.again(flips.failures[0]) == "devicepipe campaign bitflip --board b --point swap:3 --seed 7"


def answer(value: int) -> int:
    return value


def die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def wait_for_ever() -> int:
    threading.Event().wait()
    return 0


def fail() -> int:
    raise ValueError("unforeseen")


def test_all_results_come_back() -> None:
    jobs = [Job(f"job {number}", answer, (number,)) for number in range(5)]
    assert sorted(run_jobs(jobs, 2, threading.Event())) == list(range(5))


def test_a_process_that_dies_is_an_error_and_none_is_left() -> None:
    jobs = [Job("one", wait_for_ever, ()), Job("other", die, ())]
    with pytest.raises(BenchError, match=r"'other' died \(exit code -9\)"):
        list(run_jobs(jobs, 2, threading.Event()))
    assert not children()


def test_what_a_job_did_not_foresee_is_an_error() -> None:
    with pytest.raises(BenchError, match="ValueError: unforeseen"):
        list(run_jobs([Job("one", fail, ())], 1, threading.Event()))


def test_a_cancelled_campaign_leaves_no_process() -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(KeyboardInterrupt):
        list(run_jobs([Job("one", wait_for_ever, ())], 1, cancel))
    assert not children()


def children() -> list[int]:
    import multiprocessing

    return [process.pid or 0 for process in multiprocessing.active_children()]


def test_a_module_without_a_scenario_is_refused(tmp_path: Path) -> None:
    module = tmp_path / "campaigns.py"
    with pytest.raises(UsageError, match="no such module"):
        load_scenario(module, "powercut")
    module.write_text("import no_such_thing\n", encoding="utf-8")
    with pytest.raises(UsageError, match="ModuleNotFoundError"):
        load_scenario(module, "powercut")
    module.write_text("\n", encoding="utf-8")
    with pytest.raises(UsageError, match="SCENARIO"):
        load_scenario(module, "powercut")
    module.write_text("SCENARIO = object()\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no 'stops', which a powercut campaign needs"):
        load_scenario(module, "powercut")


def test_a_process_that_is_interrupted_as_soon_as_it_is_there_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    start = workers._start

    def interrupted(job: Job[int]) -> object:
        connection, process = start(job)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        return connection, process

    monkeypatch.setattr(workers, "_start", interrupted)
    assert list(run_jobs([Job("one", answer, (1,))], 1, threading.Event())) == [1]


def test_a_mistake_of_the_products_module_is_told_with_its_line_before_anything_else(tmp_path: Path) -> None:
    module = tmp_path / "hil/campaigns.py"
    module.parent.mkdir()
    module.write_text("SCENARIO = 1\ndef broken(:\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        check_module("fuzz", module, threading.Event())
    assert (caught.value.file, caught.value.line) == (module, 2)
    module.write_text("def help():\n    return 1 / 0\n\nSCENARIO = help()\n", encoding="utf-8")
    with pytest.raises(UsageError, match="ZeroDivisionError") as caught:
        check_module("fuzz", module, threading.Event())
    assert (caught.value.file, caught.value.line) == (module, 2)
    assert "recording" not in str(caught.value)
    assert caught.value.remedy


def test_a_module_may_hold_dataclasses(tmp_path: Path) -> None:
    module = tmp_path / "campaigns.py"
    text = (
        "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass Wide:\n    stops: int\n"
    )
    module.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="has no 'SCENARIO'"):
        load_scenario(module, "powercut")


def test_an_exception_of_the_products_module_is_told_with_its_line(tmp_path: Path) -> None:
    module = tmp_path / "campaigns.py"
    module.write_text(
        "class Mine:\n    virtual_time = moment = streams = live = None\n    def go(self):\n        int('my bug')\n"
        "SCENARIO = Mine()\n"
    )
    scenario = load_scenario(module, "fuzz")
    with pytest.raises(UsageError, match=r"ValueError: .*my bug") as caught, blaming(module):
        scenario.go()
    assert (caught.value.file, caught.value.line) == (module, 4)
    with pytest.raises(ValueError, match="not of the module"), blaming(module):
        raise ValueError("not of the module")
    with pytest.raises(BrokenPromiseError), blaming(module):
        raise BrokenPromiseError


def test_what_a_process_of_a_campaign_meets_in_the_module_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "campaigns.py"
    module.write_text(
        "class Mine:\n    virtual_time = moment = streams = None\n    def live(self, device):\n        raise KeyError(device)\n"
        "SCENARIO = Mine()\n"
    )
    monkeypatch.setattr(kinds, "try_shots", lambda _spec, scenario, _part, *, seed: scenario.live(seed))
    with pytest.raises(UsageError, match="KeyError") as caught:
        run._attempt("fuzz", SPEC, module, [], Plan())
    assert (caught.value.file, caught.value.line) == (module, 4)
