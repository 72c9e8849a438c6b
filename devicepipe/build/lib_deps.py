"""Libraries that PlatformIO fetched for a project (`lib_deps`) and the packages it builds from: what they say of themselves.

What always holds: nothing is asked of a network; a library whose own files say nothing is told by its folder's name alone.
Sources: PlatformIO, library.json; Arduino, library.properties; `.piopm`, which PlatformIO's package manager writes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from devicepipe.evidence.facts import sha256_of

_GITHUB = re.compile(r"github\.com[/:](?P<owner>[^/]+)/(?P<name>[^/#]+?)(?:\.git)?(?:[/#].*)?$")
_OF_PLATFORMIO = {".piopm", ".library.json", ".git", ".pio"}


@dataclass(frozen=True, slots=True)
class FetchedLibrary:
    """A library that PlatformIO fetched.

    Attributes:
        folder: The name of its folder, by which compiled files are told to be its.
        name: Its name.
        version: Its version, "" where it says none.
        supplier: Its owner in the registry, else its authors.
        licence: As it says itself.
        purl: Package URL; "" where it cannot be told.
        sha256: Over the names and SHA-256 of all its files.
    """

    folder: str
    name: str
    version: str
    supplier: str
    licence: str
    purl: str
    sha256: str


def fetched_libraries(project: Path, environments: Iterable[str]) -> tuple[FetchedLibrary, ...]:
    """What lies in `.pio/libdeps/<environment>`, each folder once, sorted; none where the project has no `lib_deps`."""
    folders: dict[str, Path] = {}
    for environment in environments:
        place = project / ".pio" / "libdeps" / environment
        if place.is_dir():
            folders |= {folder.name: folder for folder in sorted(place.iterdir()) if folder.is_dir()}
    return tuple(_read(folder) for _, folder in sorted(folders.items()))


def _read(folder: Path) -> FetchedLibrary:
    manifest, registry, arduino = _json(folder / "library.json"), _json(folder / ".piopm"), _properties(folder)
    spec = registry.get("spec") if isinstance(registry.get("spec"), dict) else {}
    name = _text(registry.get("name")) or _text(manifest.get("name")) or arduino.get("name", "") or folder.name
    version = _text(registry.get("version")) or _text(manifest.get("version")) or arduino.get("version", "")
    owner = _text(spec.get("owner")) if spec else ""
    repository = manifest.get("repository")
    url = _text(repository.get("url")) if isinstance(repository, dict) else _text(repository)
    return FetchedLibrary(
        folder=folder.name,
        name=name,
        version=version,
        supplier=owner or _authors(manifest) or arduino.get("author", ""),
        licence=_text(manifest.get("license")) or arduino.get("license", ""),
        purl=_purl(url or arduino.get("url", ""), version),
        sha256=_tree(folder),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _properties(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / "library.properties").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _authors(manifest: dict[str, Any]) -> str:
    authors = manifest.get("authors", [])
    people = authors if isinstance(authors, list) else [authors]
    return ", ".join(filter(None, (_text(one.get("name")) for one in people if isinstance(one, dict))))


def _purl(url: str, version: str) -> str:
    found = _GITHUB.search(url)
    if not found or not version:
        return ""
    return PackageURL(type="github", namespace=found["owner"], name=found["name"], version=version).to_string()


def _tree(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not path.is_symlink() and name.parts[0] not in _OF_PLATFORMIO:
            digest.update(f"{sha256_of(path)}  {name.as_posix()}\n".encode())
    return digest.hexdigest()
