"""Plain `pytest hil/` that ends early: by Ctrl-C, which a terminal sends to its whole process group, or by a wrong command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.plain_product import make_product, plain_environment, plain_pytest
from tests.bench.samples import Firmware, processes_of

MODULES = {
    "test_waits.py": """
        import os, threading

        @pytest.fixture
        def pump(device):
            yield device
            assert device.command("status").startswith("OK")

        @pytest.mark.parametrize("number", range(3))
        def test_slow(pump, number):
            with open(os.environ["TOLD"], "w") as told:
                told.write("x")
            threading.Event().wait()
        """,
    "test_others.py": """
        @pytest.mark.parametrize("number", range(20))
        def test_other(device, number): pass
        """,
}


@pytest.fixture(scope="module")
def product(firmware_of: Callable[[str], Firmware], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_product(tmp_path_factory.mktemp("interrupted") / "product", firmware_of("microbit"), MODULES)


def interrupted(product: Path, pipe: Path, *arguments: str, running: int = 1) -> tuple[int, str]:
    """Exit status and output of a pytest whose process group gets SIGINT once so many tests run."""
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=product,
        env=plain_environment() | {"TOLD": str(pipe)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
        # A shell's background jobs ignore SIGINT, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one call, no lock
    )
    heard = 0
    while heard < running:
        heard += len(pipe.read_bytes())  # of each that opened it meanwhile
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def test_interrupt(product: Path, tmp_path: Path) -> None:
    status, said = interrupted(product, tmp_path / "told", "hil", "-k", "slow")
    assert status == pytest.ExitCode.INTERRUPTED, said
    assert "Traceback" not in said
    assert "BenchError" not in said
    assert "interrupted: stopping the devices" in said
    assert "test_waits.py::test_slow[0]: not_run: interrupted" in said
    assert "\n3 not_run\n" in said
    assert processes_of(product) == []


def test_interrupt_of_workers(product: Path, tmp_path: Path) -> None:
    status, said = interrupted(product, tmp_path / "told", "hil", "-k", "slow", "-n", "2", running=2)
    assert status == pytest.ExitCode.INTERRUPTED, said
    assert "interrupted: stopping the devices" in said
    assert "\n3 not_run\n" in said
    assert "test_other" not in said
    assert processes_of(product) == []


def test_wrong_expression(product: Path) -> None:
    status, said = plain_pytest(product, "hil", "-k", "slow and and other")
    assert status == pytest.ExitCode.USAGE_ERROR, said
    assert "Wrong expression" in said
    assert "device verdicts" not in said
    assert "test_other" not in said
