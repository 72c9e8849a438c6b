"""`devicepipe bench`: what there is, who has it, and that nobody takes or ends what is somebody else's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from devicepipe.bench.holder import this_process, this_user
from devicepipe.bench.lease import LeaseStore
from devicepipe.cli.main import _run
from tests.project.test_config import GOOD, MANIFEST, QEMU

BENCH = """
[[bench]]
name = "lab-1"

[[device]]
id = "one-1"
board = "one"
bench = "lab-1"
port = "unix:///nowhere"
tags = ["scale"]
calibration-due = 2020-03-01

[[device]]
id = "one-2"
board = "one"
port = "unix:///nowhere-else"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("firmware", "boards", "requirements", "hil"):
        (tmp_path / folder).mkdir()
    section: Any = MANIFEST["devicepipe"]
    (tmp_path / "boards/one.json").write_text(json.dumps({"devicepipe": section | {"emulator": QEMU}}))
    (tmp_path / "devicepipe.toml").write_text(GOOD)
    (tmp_path / "hil/bench.toml").write_text(BENCH)
    monkeypatch.setenv("DEVICEPIPE_BENCH", str(tmp_path / "leases"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list_says_what_is_out_of_service_and_why(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["one-1", "one", "lab-1", "out", "of", "service", "scale"] in lines
    assert ["its", "calibration", "was", "due", "on", "2020-03-01"] in lines
    assert ["qemu-one", "one", "emulated", "free"] in lines


def test_a_device_is_taken_and_given_back(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "lease", "one-2", "--for", "90s", "--purpose", "a look", "--json"]) == 0
    taken = json.loads(capsys.readouterr().out)
    assert (taken["device"], taken["token"], taken["purpose"], taken["pid"]) == ("one-2", 1, "a look", None)
    assert _run(["bench", "lease", "one-2"]) == 3
    assert "is held by" in capsys.readouterr().err
    assert _run(["bench", "list", "--json"]) == 0
    states = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert states["one-2"]["lease"] == taken
    assert states["one-1"]["lease"] is None
    assert not states["one-1"]["inService"]
    assert _run(["bench", "release", "one-2"]) == 0
    assert _run(["bench", "release", "one-2"]) == 2


def test_a_running_session_is_ended_by_force_only(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = LeaseStore()
    store.acquire("one-2", this_process("a session"), 60)
    assert _run(["bench", "release", "one-2"]) == 2
    assert "--force" in capsys.readouterr().err
    assert _run(["bench", "release", "one-2", "--force"]) == 0
    last = store.history("one-2")[-1]
    assert last.event == "taken by force"
    assert last.by is not None
    assert last.by.same_user(this_user())


@pytest.mark.parametrize("duration", ["", "h", "0s", "2w", "-1h", "1.5h", "²h"])
def test_a_duration_that_is_none_is_refused(project: Path, duration: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "lease", "one-2", "--for", duration]) == 2
    assert "e.g. --for 2h" in capsys.readouterr().err


def test_an_emulated_device_is_nobodys(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "lease", "qemu-one"]) == 2
    assert "emulated" in capsys.readouterr().err


def test_device_ids_are_completed(project: Path) -> None:
    import click

    from devicepipe.cli.bench import lease

    with click.Context(lease) as context:
        argument = next(one for one in lease.params if one.name == "device")
        assert [item.value for item in argument.shell_complete(context, "one")] == ["one-1", "one-2"]
        shutil.rmtree(project / "boards")
        assert argument.shell_complete(context, "one") == []
