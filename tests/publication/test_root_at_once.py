"""Two people rotate the repository's keys at once: one after the other."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from devicepipe.stages import repository_root
from tests.cli.calls import run


def test_two_rotations_of_the_repository_at_once_both_finish(
    root: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle
    write = repository_root._write

    def slowly(file: Path, data: bytes) -> None:
        write(file, data)
        time.sleep(0.5)

    monkeypatch.setattr(repository_root, "_write", slowly)
    children = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            try:
                signal.alarm(60)
                run("repository", "rotate")
                os._exit(0)
            except BaseException:  # noqa: BLE001 - a forked child must never come back
                os._exit(1)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0]
    assert not (root / "publication/root.next.json").exists()
    assert run("repository", "rotate")[1]["version"] == 4
