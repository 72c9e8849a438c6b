"""Which compilers made a build, told without paths: name, version and SHA-256.

A GCC driver is a small program that runs others, so its `cc1`, `as` and `ld` are named too, each with its own digest.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from devicepipe.errors import BenchError
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.predicates import Tool

_PARTS = ("cc1", "as", "ld")
_TIMEOUT = 30.0

_COMPILER = re.compile(r"(?:gcc|g\+\+|cc)(?:-[0-9.]+)?$")


def command_of(entry: dict[str, Any]) -> list[str]:
    """The command line of one entry of a compilation database (Clang's JSON compilation database format)."""
    return list(entry["arguments"]) if "arguments" in entry else shlex.split(entry["command"])


def compilers_of(databases: Iterable[Path]) -> list[Tool]:
    """Every compiler that the compilation databases name, with its parts, each once.

    Raises:
        BenchError: A compiler cannot be found or run.
    """
    programs = {
        command_of(entry)[0] for database in databases for entry in json.loads(database.read_text(encoding="utf-8"))
    }
    tools = {tool.name + tool.version: tool for program in sorted(programs) for tool in _identify(program)}
    return sorted(tools.values(), key=lambda tool: tool.name)


def disassembler_of(database: Path) -> tuple[Path, Tool]:
    """The objdump of the toolchain that a compilation database names first.

    Raises:
        BenchError: It cannot be found or run.
    """
    entries: list[dict[str, Any]] = json.loads(database.read_text(encoding="utf-8"))
    program = command_of(entries[0])[0] if entries else "gcc"
    compiler = shutil.which(program)
    place = shutil.which(_ask(Path(compiler), "-print-prog-name=objdump")) if compiler else None
    if place is None:
        raise BenchError(f"the objdump of {program} is missing", remedy="install the toolchain's binutils")
    path = Path(place)
    return path, Tool(name=f"{Path(program).name}/objdump", version=_version(path), sha256=sha256_of(path))


def addr2line_of(database: Path) -> Path:
    """The addr2line of the toolchain that a compilation database names first: it stands beside the compiler.

    Raises:
        BenchError: It cannot be found.
    """
    entries: list[dict[str, Any]] = json.loads(database.read_text(encoding="utf-8"))
    program = command_of(entries[0])[0] if entries else "gcc"
    name = _COMPILER.sub("addr2line", Path(program).name)
    compiler = shutil.which(program)
    place = shutil.which(name, path=str(Path(compiler).parent)) if compiler else None
    if place is None:
        raise BenchError(f"{name}, the addr2line of {program}, is missing", remedy="install the toolchain's binutils")
    return Path(place)


def flags_of(database: Path) -> list[str]:
    """Every word of every command line of a compilation database, each once."""
    entries = json.loads(database.read_text(encoding="utf-8"))
    return list(dict.fromkeys(word for entry in entries for word in command_of(entry)))


@functools.lru_cache(maxsize=32)
def _identify(program: str) -> tuple[Tool, ...]:
    found = shutil.which(program)
    if found is None:
        raise BenchError(f"the compiler {program} is gone", remedy="install the toolchain that built the firmware")
    driver = Path(found)
    version = _version(driver)
    tools = [Tool(name=driver.name, version=version, sha256=sha256_of(driver))]
    if "gcc" in driver.name or "g++" in driver.name:
        for part in _PARTS:
            place = shutil.which(_ask(driver, f"-print-prog-name={part}"))
            if place is not None:
                # cc1 has no --version of its own: it is of the driver's release.
                own = version if part == "cc1" else _version(Path(place))
                tools.append(Tool(name=f"{driver.name}/{part}", version=own, sha256=sha256_of(Path(place))))
    return tuple(tools)


def _version(program: Path) -> str:
    """The version in the first line of --version, e.g. "(Debian 1) 12.2.1 20221205"."""
    line = _ask(program, "--version").partition("\n")[0]
    found = re.search(r"\([^)]*\) \S.*$|\d+\.\d+.*$", line)
    return found[0].strip() if found else "unknown"


def _ask(program: Path, question: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [str(program), question],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(
            f"the compiler {program} does not run: {error}", remedy="install the toolchain again"
        ) from error
    return (done.stdout or done.stderr).strip()
