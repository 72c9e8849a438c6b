"""TCG plugins of QEMU: compiled where they are used, handed over as a file without a name."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from devicepipe.errors import BenchError


def plugin_file(name: str, purpose: str) -> int:
    """A file descriptor of a plugin; who asked for it closes it.

    Args:
        name: The plugin's source beside this module, without its suffix.
        purpose: What needs it, for the message.

    Raises:
        BenchError: There is no C compiler, or it failed.
    """
    content = _compiled(name, purpose)
    file = os.memfd_create(f"devicepipe-{name}")
    while content:
        content = content[os.write(file, content) :]
    return file


@functools.lru_cache(maxsize=4)
def _compiled(name: str, purpose: str) -> bytes:
    source = Path(__file__).with_name(f"{name}.c")
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise BenchError(f"{purpose} needs a C compiler", remedy="Debian or Ubuntu: apt-get install gcc")
    with tempfile.TemporaryDirectory(prefix="devicepipe-") as folder:
        library = Path(folder) / f"{name}.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-pthread", "-o", str(library), str(source), "-ldl"]
        ended = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        if ended.returncode:
            raise BenchError(f"'{compiler}' cannot compile {source.name}: {ended.stderr}", remedy="install GCC anew")
        return library.read_bytes()
