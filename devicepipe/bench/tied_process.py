"""A process that ends with the thread that started it, however that ends."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def start_tied(command: list[str], output: Path, kept: list[int]) -> subprocess.Popen[bytes]:
    """Start an emulator that the kernel kills when this thread ends, also where that was before the emulator began.

    Args:
        command: The program and its arguments.
        output: The file to whose end goes what it prints.
        kept: Open files that it gets.

    Raises:
        OSError: It cannot be started.
    """
    owner = os.getpid()

    def tie_to_owner() -> None:
        die_with_parent()
        # A lockup aborts QEMU: its registers are in the log, and a core file would be left behind.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.getppid() != owner:
            os._exit(1)

    with output.open("ab") as printed:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            pass_fds=kept,
            # A terminal's Ctrl-C is for us: who is interrupted still has to end the device in order.
            process_group=0,
            # Only async-signal-safe calls happen in it, and only the kernel can end a child whatever happens to us.
            preexec_fn=tie_to_owner,  # noqa: PLW1509
        )
