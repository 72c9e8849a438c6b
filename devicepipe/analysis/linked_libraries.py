"""Whose code is in a program: each linked object attributed to a library, the toolchain or the product's own sources.

What always holds: every object that the link map shows in the program is attributed to exactly one origin, and what cannot be
attributed is told as unknown, never taken for the product's own.

PlatformIO builds a library's objects below `.pio/build/<environment>/lib<three hex digits>/<library>/`, fetches libraries to
`.pio/libdeps/<environment>/<library>/` and has frameworks below `packages/<name>/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from devicepipe.analysis.link_map import LinkedObject, comes_from, linked_objects
from devicepipe.errors import ProductError

Kind = Literal["soup", "own", "library", "toolchain", "unknown"]
"""A file of the lock file, the product's own, a library of the project or of PlatformIO, the toolchain's, or nobody knows."""

_FETCHED = re.compile(r"(?:^|/)(?:\.pio/libdeps/[^/]+|packages)/(?P<name>[^/]+)/")
_LIBRARY = re.compile(r"\.pio/build/[^/]+/lib[0-9a-f]{3}/(?:lib(?P<archive>.+)\.a|(?P<folder>[^/]+)/.+)$")
_OWN = re.compile(r"\.pio/build/[^/]+/src/")
_ELSEWHERE = ("/", "~", "$", "../")
_TOOLCHAIN_OBJECT = re.compile(r"\.(?:a|o|obj|lib)$")


@dataclass(frozen=True)
class LinkedFirmware:
    """One firmware's link map and compilation database, as text."""

    role: str
    link_map: str
    compile_commands: str


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a program: whose they are, and the file that shows it (a source, or the archive that the linker read)."""

    role: str
    kind: Kind
    name: str
    file: str
    size: int


def parts_of(firmware: LinkedFirmware, listed: Mapping[str, str]) -> list[Part]:
    """Everything that is in a program.

    Args:
        firmware: The program.
        listed: Each source file that the lock file lays down, and its component's name.

    Raises:
        ProductError: The link map is not one of GNU ld.
    """
    objects = linked_objects(firmware.link_map)
    if not objects:
        raise ProductError(
            f"the link map of the {firmware.role} names no object",
            remedy="link with GNU ld: other linkers' maps are not read",
        )
    sources: dict[str, list[tuple[str, str]]] = {}
    for entry in json.loads(firmware.compile_commands):
        if "output" in entry:
            output, source = str(entry["output"]), str(entry["file"]).removeprefix("./")
            sources.setdefault(PurePosixPath(output).name, []).append((output, source))
    return list(_parts(firmware.role, objects, sources, listed))


def _parts(
    role: str, objects: list[LinkedObject], sources: Mapping[str, list[tuple[str, str]]], listed: Mapping[str, str]
) -> Iterator[Part]:
    for one in objects:
        # The linker's own, such as "linker stubs" between far calls, have no file.
        if not _TOOLCHAIN_OBJECT.search(one.file):
            continue
        if one.is_built:
            candidates = sources.get(one.member or PurePosixPath(one.file).name, [])
            own = sorted({source for output, source in candidates if comes_from(output, one)})
            yield Part(role, *_built(one, own, listed), one.size)
        else:
            yield Part(role, *_foreign(one), one.size)


def _built(one: LinkedObject, sources: list[str], listed: Mapping[str, str]) -> tuple[Kind, str, str]:
    if sources and all(source in listed for source in sources):
        return "soup", listed[sources[0]], sources[0]
    for source in sources:
        if found := _FETCHED.search(source):
            return "library", found["name"], source
    place = next((source for source in sources if source not in listed), one.file)
    if library := _LIBRARY.search(one.file):
        return "library", library["archive"] or library["folder"], place
    if sources and not any(source.startswith(_ELSEWHERE) for source in sources):
        return "own", "", place
    if not sources and _OWN.search(one.file):
        return "own", "", place
    return "unknown", PurePosixPath(place).name, place


def _foreign(one: LinkedObject) -> tuple[Kind, str, str]:
    name = PurePosixPath(one.file).name
    if ".ltrans" in name:
        return "unknown", "code of link-time optimisation", "the linker's temporary objects"
    kind: Kind = "toolchain" if one.file.startswith(_ELSEWHERE) else "library"
    return kind, name.removesuffix(".a") if one.member else name, one.file
