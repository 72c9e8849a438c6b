"""A release that is interrupted leaves no process, no emulator and no bundle; run again, it starts clean."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product.conftest import Product

BOUND = 60.0


def processes_of(temporary: Path, root: Path) -> list[str]:
    """Command lines of living processes that have our TMPDIR or work in the product: descendants, whoever their parent is now."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes()
            folder = (entry / "cwd").readlink()
        except OSError:
            continue
        ours = f"TMPDIR={temporary}".encode() in environment.split(b"\0") or folder.is_relative_to(root)
        if ours and command:
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_interrupted_release(product: Product, tmp_path: Path, number: signal.Signals) -> None:
    product.make_small()
    product.commit("chore: less")
    temporary = tmp_path / "t"
    temporary.mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "devicepipe", "release", "1.0.0"],
        cwd=product.root,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore SIGINT, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one call, no lock
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "sign microbit" in line:
            break
    wait_for(lambda: any("qemu-system" in command for command in processes_of(temporary, product.root)))
    running.send_signal(number)
    _, told = running.communicate(timeout=BOUND)
    code = running.returncode
    wait_for(lambda: processes_of(temporary, product.root) == [])
    assert code == (-signal.SIGKILL if number is signal.SIGKILL else 130), told
    assert not (product.root / "dist").exists() or list((product.root / "dist").iterdir()) == []
    if number is signal.SIGKILL:
        assert product.run("release", "1.0.0").code == 0
        assert [entry.name for entry in (product.root / ".devicepipe/work").iterdir()] == []
    else:
        assert [entry.name for entry in (product.root / ".devicepipe/work").iterdir()] == []


def wait_for(condition: object) -> None:
    """Poll until the condition holds; fail after the bound."""
    import time

    assert callable(condition)
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)
