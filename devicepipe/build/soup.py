"""SOUP: the lock file of the libraries that are linked into the firmware, and the fetching of those that are fetched by hash.

A `[[component]]` is fetched, never committed, and laid down beside the firmware's own sources. A `[[linked]]` library comes by
another way: with the toolchain, through PlatformIO's `lib_deps`, or as a binary of the project. What the link map shows and
neither names is undeclared (devicepipe.analysis.sbom).

What always holds: a file that `lay_down` wrote is, byte for byte, the named member of an archive whose SHA-256 stands in the
lock file. The cache is content-addressed (`<cache>/sha256/<hex>`), is checked whenever it is read, and is written
atomically, so any number of processes may share it.

The lock file is TOML::

    [[component]]
    name = "monocypher"
    version = "4.0.3"
    supplier = "Loup Vaillant"
    licence = "BSD-2-Clause OR CC0-1.0"                # SPDX licence expression
    purl = "pkg:github/LoupVaillant/Monocypher@4.0.3"  # package URL
    cpe = "cpe:2.3:a:..."                              # CPE 2.3 formatted string
    upstream-commit = "<40 hex>"                       # optional
    support-level = "actively-maintained"              # optional: or "no-longer-maintained", "abandoned"
    end-of-support = 2030-12-31                        # optional: or "not announced"
    support = "..."                                    # optional: who maintains it, and why that will do
    archive = { registry = "pypi", package = "...", version = "...", filename = "....tar.gz", sha256 = "<64 hex>" }

    [component.files]                                  # place in the PlatformIO project = member of the archive
    "lib/monocypher/monocypher.c" = "pymonocypher-4.0.3.4/monocypher.c"

    [[linked]]                                         # names, licence, purl, cpe and support as above
    name = "libgcc of GCC for Arm"
    origin = "toolchain"                               # or "platformio" (lib_deps, frameworks), "project" (a binary, a folder)
    compiler = "arm-none-eabi-gcc"                     # of a toolchain's library: the one that it comes with
    libraries = ["libgcc"]                             # as the link map names them; default: the name

and, before the first table, `own-libraries = ["..."]`: folders of the PlatformIO project's `lib` that are the product's own code.

Sources: FDA, Cybersecurity in Medical Devices (2025), V.A.4 (level and end of support); IEC 62304 8.1.2 (SOUP identification:
title, manufacturer, unique designator); PURL specification; NISTIR 7695 (CPE 2.3 naming).
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from packageurl import PackageURL
from pydantic import AfterValidator, Field, StringConstraints

from devicepipe.build.archives import ArchiveError, read_members
from devicepipe.build.pip_download import DownloadError, download
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.components import SupportLevel
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.model import Sha256
from devicepipe.evidence.predicates import ResourceDescriptor
from devicepipe.project.toml_file import Table, Text, TomlFile

_SPDX_LOCK = threading.Lock()  # the parser of licence expressions builds its tables on first use, without a lock
_ADVICE = "docs/reference/supply-chain.md says how the lock file is written"
_DISTRIBUTIONS = ("alpm", "apk", "deb", "rpm")
"""Types of package URL whose versions are a distribution's own, not the maker's."""
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_CPE = re.compile(r"cpe:2\.3:[aho](?::(?:[^:\\\s]|\\.)+){10}")


def _relative(path: str) -> str:
    if "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("expected a relative path with '/' and without '..'")
    return path


def _purl(value: str) -> str:
    try:
        PackageURL.from_string(value)
    except ValueError as error:
        raise ValueError(f"expected a package URL such as 'pkg:github/owner/name@1.2.3': {error}") from None
    return value


def _cpe(value: str) -> str:
    if not _CPE.fullmatch(value):
        raise ValueError("expected a CPE 2.3 name of 13 parts, 'cpe:2.3:a:vendor:product:version:*:*:*:*:*:*:*'")
    return value


def _licence(value: str) -> str:
    from cyclonedx.spdx import is_expression, is_supported_id

    with _SPDX_LOCK:
        known = is_supported_id(value) or is_expression(value)
    if not known:
        raise ValueError("expected an SPDX licence expression such as 'MIT' or 'BSD-2-Clause OR CC0-1.0'")
    return value


RelativePath = Annotated[str, AfterValidator(_relative)]


class Archive(Table):
    """The published archive that carries a component's sources: registry, package, version, file name and SHA-256."""

    registry: Literal["pypi"]
    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")]
    filename: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*\.(tar|tar\.gz|tgz|tar\.bz2|tar\.xz|zip)$")
    ]
    sha256: Sha256

    @property
    def purl(self) -> str:
        """The archive's own package URL; the component's names the library inside it."""
        return PackageURL(type=self.registry, name=self.package, version=self.version).to_string()


class _Identified(Table):
    """Who supplies what under which licence, by which names it is known, and how long it is supported."""

    name: Text
    version: Text
    supplier: Text
    licence: Annotated[str, AfterValidator(_licence)]
    purl: Annotated[str, AfterValidator(_purl)]
    cpe: Annotated[str, AfterValidator(_cpe)]
    upstream_commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = None
    support: Text | None = None
    support_level: SupportLevel | None = None
    end_of_support: dt.date | Literal["not announced"] | None = None


class Component(_Identified):
    """[[component]]: a library that is fetched: its names, its archive, and where its files go."""

    archive: Archive
    files: dict[RelativePath, RelativePath] = Field(min_length=1)


class Linked(_Identified):
    """[[linked]]: a library that comes with the toolchain, through PlatformIO or with the project.

    `libraries` are its archives, start-up objects and folders as the link map names them ("libgcc", "crt0.o"), `compiler` is the
    one that a toolchain's library comes with.
    """

    origin: Literal["toolchain", "platformio", "project"]
    compiler: Text | None = None
    libraries: tuple[Text, ...] = Field(default=(), strict=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which the link map shows it."""
        return self.libraries or (self.name,)


class _File(Table):
    own_libraries: tuple[Text, ...] = Field(default=(), strict=False)
    component: tuple[Component, ...] = Field(default=(), strict=False)
    linked: tuple[Linked, ...] = Field(default=(), strict=False)


@dataclass(frozen=True, slots=True)
class SoupLock:
    """The lock file: what is fetched, what is linked otherwise, and the libraries that are the product's own."""

    file: TomlFile
    components: tuple[Component, ...]
    linked: tuple[Linked, ...] = ()
    own_libraries: tuple[str, ...] = ()

    def materials(self) -> list[ResourceDescriptor]:
        """The archives as SLSA resolved dependencies: package URL and SHA-256, each once."""
        archives = {component.archive.sha256: component.archive for component in self.components}
        return [
            ResourceDescriptor(name=archive.filename, uri=archive.purl, digest={"sha256": digest})
            for digest, archive in sorted(archives.items())
        ]

    def error(self, message: str, *where: str | int, remedy: str = "") -> UsageError:
        """A UsageError at a key of the lock file."""
        return self.file.error(message, where, remedy=remedy)


def load_lock(path: Path) -> SoupLock:
    """Read a SOUP lock file.

    Raises:
        UsageError: It cannot be read, is not TOML, or has a wrong, unknown or missing key; names file, line and key.
    """
    file = TomlFile.read(path, remedy="name an existing SOUP lock file", advice=_ADVICE)
    content = file.parse(_File)
    lock = SoupLock(file, content.component, content.linked, content.own_libraries)
    owners: dict[str, str] = {}
    for index, component in enumerate(lock.components):
        for place in component.files:
            if place in owners:
                raise lock.error(
                    f"'{place}' is already laid down by component '{owners[place]}'", "component", index, "files"
                )
            owners[place] = component.name
    _check_names(lock)
    _check_versions(lock)
    _check_own(lock)
    return lock


def _check_names(lock: SoupLock) -> None:
    """Names are unique, and a toolchain's library says of which compiler it is: otherwise nothing says its version."""
    if not lock.components and not lock.linked:
        raise lock.error("declares no library", "component", remedy="write [[component]] or [[linked]] tables")
    seen: set[str] = set()
    for table, entries in (("component", lock.components), ("linked", lock.linked)):
        for index, entry in enumerate(entries):
            if entry.name.casefold() in seen:
                raise lock.error(f"'{entry.name}' stands twice", table, index, "name")
            seen.add(entry.name.casefold())
    for index, entry in enumerate(lock.linked):
        if (entry.origin == "toolchain") != (entry.compiler is not None):
            raise lock.error(
                "a library of a toolchain names its compiler, and no other does", "linked", index, "compiler"
            )


def _check_versions(lock: SoupLock) -> None:
    """Package URL and CPE name the version that is declared: known vulnerabilities are looked up by them."""
    for table, entries in (("component", lock.components), ("linked", lock.linked)):
        for index, entry in enumerate(entries):
            purl = PackageURL.from_string(entry.purl)
            named = {"cpe": _cpe_version(entry.cpe)}
            named |= {"purl": purl.version} if purl.version and purl.type not in _DISTRIBUTIONS else {}
            for key, version in named.items():
                if version and not _is_version(version, entry.version, whole=key == "purl"):
                    raise lock.error(
                        f"names version {version}, but version is {entry.version}",
                        table,
                        index,
                        key,
                        remedy="write the version that is linked in everywhere: known vulnerabilities are looked up by it",
                    )


def _cpe_version(cpe: str) -> str:
    """The version of a CPE name, "" where it names none."""
    version = re.split(r"(?<!\\):", cpe)[5]
    return "" if version in ("*", "-") else re.sub(r"\\(.)", r"\1", version)


def _is_version(named: str, version: str, *, whole: bool) -> bool:
    """Whether two versions are one; what a CPE tells of a release candidate or patch stands in its next part."""
    named, version = (one.casefold().removeprefix("v") for one in (named, version))
    return named == version or (not whole and re.match(rf"{re.escape(named)}[^0-9.]", version) is not None)


def _check_own(lock: SoupLock) -> None:
    """What is fetched or declared is not the product's own code as well."""
    foreign = {place.split("/")[1] for one in lock.components for place in one.files if place.startswith("lib/")}
    foreign |= {one.name for one in (*lock.components, *lock.linked)} | {
        name for one in lock.linked for name in one.names
    }
    for index, name in enumerate(lock.own_libraries):
        where = ("own-libraries", index)
        if not _FOLDER.fullmatch(name):
            raise lock.error(
                f"'{name}' is no name of a folder", *where, remedy="name each folder of lib/ that is your own code"
            )
        if name in foreign:
            raise lock.error(f"'{name}' is fetched or declared as another's", *where, remedy="take it out")


# --- fetching -------------------------------------------------------------------------------------------------------


def fetch(lock: SoupLock, cache: Path) -> int:
    """Get the archives that the cache does not hold yet, each by its package name; returns how many were downloaded.

    Needs no network when the cache holds them all. A cache entry whose content does not match its name is replaced.

    Raises:
        UsageError: The registry's archive differs from the locked one, or there is no such version.
        BenchError: The registry cannot be reached; the remedy names exactly what to get and where to put it.
    """
    downloaded = 0
    for index, component in enumerate(lock.components):
        if _cached(component.archive, cache) is None:
            _download(lock, index, component.archive, cache)
            downloaded += 1
    return downloaded


def _entry(archive: Archive, cache: Path) -> Path:
    return cache / "sha256" / archive.sha256


def _cached(archive: Archive, cache: Path) -> Path | None:
    """The archive's file in the cache, if it is there and is what its name says."""
    entry = _entry(archive, cache)
    try:
        digest = sha256_of(entry)
    except FileNotFoundError:
        return None
    return entry if digest == archive.sha256 else None


def _download(lock: SoupLock, index: int, archive: Archive, cache: Path) -> None:
    entry = _entry(archive, cache)
    entry.parent.mkdir(parents=True, exist_ok=True)
    key = ("component", index, "archive")
    # Inside the cache, so that the final rename stays on one file system and is atomic.
    scratch = Path(tempfile.mkdtemp(prefix=".fetch-", dir=cache))
    try:
        files = download(archive.package, archive.version, archive.sha256, scratch)
        if [file.name for file in files] != [archive.filename]:
            found = ", ".join(file.name for file in files) or "nothing"
            raise lock.error(f"expected '{archive.filename}', the registry has '{found}'", *key, "filename")
        files[0].replace(entry)
    except DownloadError as error:
        raise _download_error(lock, key, archive, entry, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _download_error(
    lock: SoupLock, key: tuple[str | int, ...], archive: Archive, entry: Path, error: DownloadError
) -> UsageError | BenchError:
    name = f"{archive.package} {archive.version}"
    if error.kind == "hash":
        return lock.error(
            f"the registry's archive of {name} has sha256 {error.details or '(unknown)'}, not {archive.sha256}",
            *key,
            "sha256",
            remedy="correct the lock file if its hash is mistyped; otherwise the archive was changed: do not use it",
        )
    if error.kind == "version":
        return lock.error(
            f"{archive.package} has no source archive of version {archive.version}",
            *key,
            "version",
            remedy=f"versions there are: {error.details}",
        )
    return BenchError(
        f"cannot fetch {archive.filename} ({name}, for {lock.file.path}): {error.details}",
        remedy=(
            f"connect to a package registry and run it again; or, on a machine that has one, run `pip download --no-deps "
            f"--no-binary {archive.package} {archive.package}=={archive.version}` and copy {archive.filename} "
            f"(sha256 {archive.sha256}) to {entry}"
        ),
    )


# --- laying down ----------------------------------------------------------------------------------------------------


def lay_down(lock: SoupLock, cache: Path, project: Path) -> list[Path]:
    """Write exactly the listed files into a PlatformIO project, from the cache; files that are already right are left alone.

    Returns:
        The files, in the order of the lock file.

    Raises:
        UsageError: A member is missing, doubled or a link; or a place leads out of the project through a link.
        BenchError: An archive is not in the cache (see `fetch`).
    """
    written = []
    for index, component in enumerate(lock.components):
        archive = _cached(component.archive, cache)
        if archive is None:
            raise BenchError(
                f"{component.archive.filename} (sha256 {component.archive.sha256}) is not in the cache {cache}",
                remedy="fetch it first: `devicepipe build` does",
            )
        try:
            contents = read_members(archive, component.archive.filename, component.files.values())
        except ArchiveError as error:
            nearest = f"; the archive has {', '.join(error.nearest)}" if error.nearest else ""
            raise lock.error(f"{error}{nearest}", "component", index, "files") from error
        for place, member in component.files.items():
            written.append(_place(lock, index, project, place, contents[member]))
    return written


def _place(lock: SoupLock, index: int, project: Path, place: str, content: bytes) -> Path:
    target = project / place
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(project.resolve()):
        raise lock.error(f"'{place}' leads out of the project through a link", "component", index, "files", place)
    if target.is_file() and not target.is_symlink() and target.read_bytes() == content:
        return target
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".soup-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(target)
    return target
