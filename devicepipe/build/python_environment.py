"""The Python packages that devicepipe runs with, for others to compare theirs with: name, version, and a digest of the content.

The digest is that of the hashes in the package's RECORD (PyPA's binary distribution format), without what an installer writes by
itself (scripts with this machine's paths, its own notes): the same wheel gives the same digest on every machine.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from devicepipe.evidence.facts import sha256_of

_OF_THE_INSTALLER = ("INSTALLER", "REQUESTED", "direct_url.json", "RECORD")


@dataclass(frozen=True, order=True)
class Package:
    """An installed package; `sha256` is None where it has no RECORD with hashes (an editable installation)."""

    name: str
    version: str
    sha256: str | None


def package(name: str) -> Package | None:
    """The installed package of that name."""
    try:
        return _package(distribution(name))
    except PackageNotFoundError:
        return None


def environment_listing() -> bytes:
    """All installed packages, a line each: `name==version sha256:digest`."""
    found = sorted(
        {_package(one) for one in distributions()}, key=lambda one: (one.name, one.version, one.sha256 or "")
    )
    lines = [
        f"{one.name}=={one.version} {f'sha256:{one.sha256}' if one.sha256 else 'without hashes'}\n" for one in found
    ]
    return "".join(lines).encode()


def python_digest() -> str:
    """The SHA-256 of the Python program that runs."""
    return sha256_of(Path(sys.executable).resolve())


def _package(found: Distribution) -> Package:
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
    rows = csv.reader((found.read_text("RECORD") or "").splitlines())
    kept = sorted(
        f"{path},{digest}"
        for path, digest, *_ in rows
        if digest and not path.startswith(("..", "/")) and Path(path).name not in _OF_THE_INSTALLER
    )
    return Package(name, found.version, hashlib.sha256("\n".join(kept).encode()).hexdigest() if kept else None)
