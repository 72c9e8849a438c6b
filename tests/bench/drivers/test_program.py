"""Runs of drivers' programs: bounded, nothing left behind, and a failure that says what the program said."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devicepipe.bench.drivers.driver import Place
from devicepipe.bench.drivers.program import run
from devicepipe.errors import BenchError
from tests.bench.drivers.conftest import ROOT, Install, nothing_runs
from tests.bench.samples import board

NEVER_ENDS = 'tail -n 0 -f "$0" & exec tail -n 0 -f "$0"'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place("one-1", board("microbit"), "/dev/one", tmp_path, tmp_path / "out/drivers.log")


@pytest.fixture
def interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_what_a_program_prints_is_returned_and_in_the_log(place: Place, install: Install) -> None:
    install("probe", 'echo "$PWD $*"; echo to stderr >&2')
    assert run(["probe", "a b"], place, 30.0, "-") == f"{place.root} a b\nto stderr\n"
    run(["probe", "again"], place, 30.0, "-")
    log = place.log.read_text()
    assert log.startswith(f"$ probe 'a b'\n{place.root} a b\nto stderr\n\n[probe ended with exit code 0 after ")
    assert f"$ probe again\n{place.root} again\n" in log


def test_a_program_that_is_not_installed(place: Place) -> None:
    with pytest.raises(BenchError, match="device 'one-1': the program 'no-such-probe' is not installed") as raised:
        run(["no-such-probe"], place, 30.0, "apt-get install it")
    assert raised.value.remedy == "apt-get install it"


def test_a_program_that_cannot_be_started(place: Place, install: Install) -> None:
    install("probe", "").write_text("#!/no/such/interpreter\n")
    with pytest.raises(BenchError, match="probe cannot be started: "):
        run(["probe"], place, 30.0, "-")


def test_a_program_of_the_project(place: Place, install: Install) -> None:
    install("probe", "echo ours")
    assert run(["bin/probe"], place, 30.0, "-") == "ours\n"


def test_an_exit_code_that_is_not_expected(place: Place, install: Install) -> None:
    install("probe", 'for i in 1 2 3 4 5 6 7 8 9; do echo "line $i"; done; exit 3')
    with pytest.raises(BenchError) as raised:
        run(["probe"], place, 30.0, "look at it")
    lines = "\n    ".join(f"line {i}" for i in range(2, 10))
    assert raised.value.message == f"device 'one-1': probe ended with exit code 3:\n    {lines}"
    assert raised.value.remedy == f"look at it; all output: {place.log}"
    assert run(["probe"], place, 30.0, "-", exit_code=3).endswith("line 9\n")


def test_a_program_that_dies(place: Place, install: Install) -> None:
    install("probe", "kill -SEGV $$")
    with pytest.raises(BenchError, match="probe was ended by SIGSEGV:\n    it printed nothing"):
        run(["probe"], place, 30.0, "-")


@pytest.mark.parametrize("deaf", ["", "trap '' TERM\n"])
def test_a_program_that_never_ends_is_ended_with_all_that_it_started(
    place: Place, install: Install, tmp_path: Path, deaf: str
) -> None:
    install("probe", f"{deaf}echo begun\n{NEVER_ENDS}")
    with pytest.raises(BenchError, match=r"probe was not done within 0\.5 s:"):
        run(["probe"], place, 0.5, "-")
    assert nothing_runs(tmp_path)


def test_what_a_program_leaves_behind_is_ended(place: Place, install: Install, tmp_path: Path) -> None:
    install("probe", 'tail -n 0 -f "$0" &\necho done')
    assert run(["probe"], place, 30.0, "-") == "done\n"
    assert nothing_runs(tmp_path)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_ends_the_program(place: Place, install: Install, tmp_path: Path) -> None:
    install("probe", f"kill -INT $PPID\n{NEVER_ENDS}")
    with pytest.raises(KeyboardInterrupt):
        run(["probe"], place, 60.0, "-")
    assert nothing_runs(tmp_path)


def test_the_program_dies_with_a_session_that_is_killed(place: Place, install: Install, tmp_path: Path) -> None:
    install("probe", f'echo $$ >"{tmp_path}/pid"\nkill -KILL $PPID\nexec tail -f "$0"')
    session = (
        "import sys; from pathlib import Path; from tests.bench.samples import board\n"
        "from devicepipe.bench.drivers.program import run; from devicepipe.bench.drivers.driver import Place\n"
        "root = Path(sys.argv[1]); run(['probe'], Place('one-1', board('microbit'), '', root, root / 'log'), 60.0, '-')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", session, tmp_path], cwd=ROOT, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert ended.returncode == -signal.SIGKILL
    try:
        program = os.pidfd_open(int((tmp_path / "pid").read_text()))
    except ProcessLookupError:
        return
    assert select.select((program,), (), (), 30.0)[0]
    os.close(program)


def test_a_program_that_prints_without_end_does_not_fill_the_disk(
    place: Place, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devicepipe.bench.drivers.program._OUTPUT_LIMIT", 1 << 20)
    install("probe", "exec yes endless")
    with pytest.raises(BenchError, match=r"probe (was ended by SIGXFSZ|ended with exit code 1)"):
        run(["probe"], place, 60.0, "-")
    assert place.log.stat().st_size < 2 << 20
