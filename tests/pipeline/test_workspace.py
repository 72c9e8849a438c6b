"""The folder of a run: gone after a good or interrupted run, kept for reading after a failed one until the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devicepipe.errors import ProductError
from devicepipe.pipeline.workspace import workspace


def test_it_is_gone_after_a_good_run(tmp_path: Path) -> None:
    with workspace(tmp_path) as folder:
        (folder / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), workspace(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_logs_of_a_failed_run_stay_until_the_next(tmp_path: Path) -> None:
    def fail() -> None:
        with workspace(tmp_path) as folder:
            (folder / "build.log").write_text("error")
            raise ProductError("does not compile")

    with pytest.raises(ProductError):
        fail()
    (failed,) = tmp_path.iterdir()
    assert (failed / "build.log").read_text() == "error"
    with workspace(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_a_killed_run_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, pathlib\n"
        "from devicepipe.pipeline.workspace import workspace\n"
        "with workspace(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, timeout=60, check=False)
    (killed,) = tmp_path.iterdir()
    with workspace(tmp_path) as living:
        assert not killed.exists()
        with workspace(tmp_path) as second:
            assert living.exists()
            assert second != living
