"""`devicepipe bench`: what there is, who has it, and that nobody takes or ends what is somebody else's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from devicepipe.bench.holder import this_process, this_user
from devicepipe.bench.lease import LeaseStore
from devicepipe.bench.service import Health, Service
from devicepipe.cli.bench import bench
from devicepipe.cli.bench_device import _forget_old
from devicepipe.cli.common import wanted_devices
from devicepipe.cli.main import _run
from devicepipe.errors import UsageError
from tests.project.test_config import GOOD, MANIFEST, QEMU

SHORT = 62  # on a terminal of 80 columns

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

[device.reset]
driver = "command"
command = ["true"]

[[device]]
id = "one-2"
board = "one"
port = "unix:///nowhere-else"

[device.power]
driver = "command"
on = ["true"]
off = ["true"]
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
    assert _run(["bench", "release", "one-2", "--force"]) == 2
    assert "--force takes a --reason" in capsys.readouterr().err
    assert store.read("one-2").holder is not None
    assert _run(["bench", "release", "one-2", "--force", "--reason", "it hangs"]) == 0
    last = store.history("one-2")[-1]
    assert last.event == "taken by force"
    assert last.by is not None
    assert last.by.same_user(this_user())
    capsys.readouterr()
    assert _run(["log", "show", "--kind", "lease-override", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["subject"], entry["by"]) == ("one-2", str(this_user()))
    assert entry["details"]["reason"] == "it hangs"
    assert entry["details"]["former"].endswith("for a session")


def test_a_device_is_not_taken_where_the_log_cannot_be_written(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LeaseStore()
    store.acquire("one-2", this_process("a session"), 60)
    log = project / ".devicepipe/log"
    log.mkdir(parents=True)
    (log / "checkpoint").write_bytes(b"not a checkpoint")
    assert _run(["bench", "release", "one-2", "--force", "--reason", "it hangs"]) == 4
    assert "checkpoint" in capsys.readouterr().err
    assert store.read("one-2").holder is not None


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


def test_the_list_refuses_drivers_that_cannot_work(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for good, bad, says in (
        ('driver = "command"', 'driver = "comand"', "device.0.reset.driver: unknown driver 'comand'"),
        (
            'command = ["true"]',
            'command = ["true"]\ntimeout = "long"',
            "device.0.reset.timeout: expected a valid number",
        ),
        (
            'off = ["true"]',
            'off = ["true"]\nstate = ["x"]\nstate-on = "^(on$"\nstate-off = "off"',
            "no regular expression",
        ),
        ('[device.reset]\ndriver = "command"\ncommand = ["true"]', "", "can neither be reset nor switched off and on"),
    ):
        assert good in BENCH
        (project / "hil/bench.toml").write_text(BENCH.replace(good, bad, 1))
        assert _run(["bench", "list"]) == 2, bad
        assert says in capsys.readouterr().err
        with pytest.raises(UsageError):
            wanted_devices(project, (), ())


def test_the_drivers_of_another_machine_are_its_own(project: Path) -> None:
    bench = BENCH.replace('name = "lab-1"', 'name = "lab-1"\nhost = "elsewhere"').replace(
        'driver = "command"', 'driver = "rack"', 1
    )
    (project / "hil/bench.toml").write_text(bench)
    assert _run(["bench", "list"]) == 0


def test_the_list_has_a_header_and_all_reasons(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Service.here().keep(Health(device="one-1", time="2026-01-02T03:04:05Z", wrong="it is silent"))
    assert _run(["bench", "list"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[0].split() == ["id", "board", "bench", "state", "tags"]
    assert (
        "its calibration was due on 2020-03-01; it failed its health check on 2026-01-02T03:04:05Z: it is silent"
        in told
    )
    assert "calibrated until" not in told


def test_a_damaged_health_record_is_one_devices_matter(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "leases").mkdir()
    (project / "leases/one-2.health.json").write_text("{")
    assert _run(["bench", "list"]) == 0
    told = capsys.readouterr().out
    assert "one-2.health.json, cannot be read: it is damaged; check it again: devicepipe bench health one-2" in told
    assert "qemu-one" in told
    assert "pydantic" not in told


def test_the_list_writes_nothing_and_says_where_it_looked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "list"]) == 0
    assert f"DEVICEPIPE_BENCH={project / 'leases'}: there is no such folder yet" in capsys.readouterr().err
    assert not (project / "leases").exists()


def test_a_lease_of_ones_own_is_called_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "lease", "one-2"]) == 0
    assert _run(["bench", "lease", "one-2"]) == 3
    assert "your own: give it back first (devicepipe bench release one-2)" in capsys.readouterr().err


def test_every_command_says_what_it_does_in_the_list_of_commands() -> None:
    for command in bench.commands.values():
        assert len(command.get_short_help_str(1000)) <= SHORT, command.name


def test_logs_of_commands_that_failed_are_not_kept_for_ever(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"one-2-{number}").mkdir()
        os.utime(tmp_path / f"one-2-{number}", (number, number))
    _forget_old(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"one-2-{number}" for number in range(5, 25)}
