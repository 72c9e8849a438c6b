"""Which function and line of the source each instruction comes from, told by the toolchain's addr2line from the debug information.

Code that was inlined comes from the function that it was written in, wherever it stands.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from devicepipe.errors import BenchError

_TIMEOUT = 120.0
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_PLACE = re.compile(r"(?P<file>.*):(?P<line>\d+|\?)(?: \(discriminator \d+\))?")
_CLONE = re.compile(r"\.(?:constprop|isra|part|cold|lto_priv)(?:\.\d+)?|\.\d+$")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instruction comes from.

    Attributes:
        function: The function that it was written in; "" where nobody knows.
        file: Its file, relative, as the compiler was given it; "" for what is not of the product's sources (a library of its).
        line: Its line; 0 for none.
        within: The function whose code it is part of: another one where `function` was inlined; "" where nobody knows.
    """

    function: str
    file: str
    line: int
    within: str = ""


def places_of(addr2line: Path, elf: Path, addresses: Sequence[int]) -> Mapping[int, Place]:
    """Where instructions come from.

    Args:
        addr2line: The toolchain's addr2line.
        elf: The program.
        addresses: Those of its instructions.

    Raises:
        BenchError: addr2line does not run, or does not answer for every address.
    """
    command = [str(addr2line), "--addresses", "--functions", "--inlines", "--exe", str(elf)]
    asked = "".join(f"{address:#x}\n" for address in addresses)
    try:
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(
            f"{addr2line.name} does not run: {error}", remedy="install the toolchain's binutils"
        ) from error
    if done.returncode != 0:
        raise BenchError(f"{addr2line.name} failed: {done.stderr.strip()}", remedy="install the toolchain's binutils")
    places = parse_answer(done.stdout)
    if missing := [address for address in addresses if address not in places]:
        raise BenchError(
            f"{addr2line.name} says nothing of {missing[0]:#x} in {elf.name}", remedy="install the toolchain's binutils"
        )
    return places


def parse_answer(text: str) -> dict[int, Place]:
    """Read the answer of `addr2line --addresses --functions --inlines`: of each address the innermost function and line."""
    places: dict[int, Place] = {}
    address: int | None = None
    lines = iter(text.splitlines())
    for line in lines:
        if _ADDRESS.fullmatch(line):
            address = int(line, 16)
        elif address is not None and (found := _PLACE.fullmatch(next(lines, ""))):
            # The innermost comes first, then who it was inlined into.
            first = places.get(address) or _place(line, found["file"], found["line"])
            places[address] = replace(first, within=_name(line))
    return places


def _place(function: str, file: str, line: str) -> Place:
    known = "" if file == "??" or file.startswith("/") else str(PurePosixPath(file))
    number = int(line) if known and line.isdigit() else 0
    return Place(_name(function), known, number)


def _name(function: str) -> str:
    return "" if function == "??" else source_name(function)


def source_name(symbol: str) -> str:
    """The function's name in the source, of a symbol that may be a compiler's clone of it, e.g. `parse.constprop.0`."""
    return _CLONE.sub("", symbol)
