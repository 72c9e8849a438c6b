"""Choosing a release of a repository, and fetching it into a folder: whole or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, TypeVar

from tuf.api.metadata import TargetFile

from devicepipe.distribution.client import Client
from devicepipe.distribution.releases import Published, sha256, too_large
from devicepipe.durable import alone, sync, sync_tree
from devicepipe.errors import DevicepipeError, IntegrityError, UsageError
from devicepipe.evidence.files import read_file, walk
from devicepipe.evidence.names import clash, is_name

_OF_BOARD: Final = re.compile(r"(?:images|evidence)/([^/]+)/.+")
T = TypeVar("T")
_NUMBERS: Final = re.compile(r"[0-9]+")


class WithdrawnError(DevicepipeError):
    """The release that was asked for has been withdrawn. A verdict of people about the product: exit code 1."""


def choose(releases: Collection[Published], product: str | None, version: str | None) -> Published:
    """The release that is wanted: by default, the newest one that is not said to be withdrawn; else the newest.

    Raises:
        UsageError: There is none, or there are several products.
    """
    products = sorted({one.state.product for one in releases})
    if product is None and len(products) > 1:
        raise UsageError(f"the repository has several products: {', '.join(products)}", remedy="name one: --product")
    mine = sorted((one for one in releases if product in (None, one.state.product)), key=_order)
    named = [one for one in mine if version in (None, one.state.version)]
    if not named:
        known = ", ".join(one.title for one in mine) or "none"
        raise UsageError("there is no such release", remedy=f"releases: {known}")
    released = [one for one in named if one.state.state == "released"]
    return (released or named)[-1]


def wanted_files(published: Published, boards: Collection[str] = ()) -> dict[str, TargetFile]:
    """The files of a release by name: all, or what is of no board but these.

    Raises:
        UsageError: It is for no such board.
        IntegrityError: A name is none that a file of a release can have, or a file is too large (`too_large`).
    """
    files = dict(published.targets)
    bad = next((name for name in files if not is_name(name)), None) or clash(sorted(files))
    if bad is not None:
        raise IntegrityError("is no name for a file of a release", link=bad)
    # Before anything is fetched: who has the targets' key says how long files are.
    if large := too_large({name: one.length for name, one in files.items()}):
        raise IntegrityError(f"is too large: {large[1]}", link=large[0])
    of_board = {name: match[1] for name in files if (match := _OF_BOARD.fullmatch(name))}
    if unknown := {*boards} - {*of_board.values()}:
        raise UsageError(
            f"{published.title} is for no board '{min(unknown)}'",
            remedy=f"boards: {', '.join(sorted({*of_board.values()}))}",
        )
    return {name: one for name, one in files.items() if not boards or of_board.get(name) in (None, *boards)}


def fetch(client: Client, files: Mapping[str, TargetFile], final: Path, check: Callable[[Path], T]) -> tuple[T, bool]:
    """Fetch files into a folder of that name; returns what `check` found, and whether the folder had to be made.

    Args:
        client: The client.
        files: The files, by their names in the folder.
        final: The folder. If it is there, it must have exactly these files.
        check: Raises if the folder, which it is given before it has its name, is not what it should be.

    Raises:
        UsageError: The folder is there, with something else in it.
        IntegrityError, BenchError: As `Client.download` and `check`.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    with alone(final):
        if final.exists() or final.is_symlink():
            _compare(final, files)
            return check(final), False
        new = final.with_name(f".{final.name}.new")
        if new.is_symlink() or (new.exists() and not new.is_dir()):
            raise UsageError("is there, and is no folder", file=new, remedy="remove it, or name another place")
        if new.exists():
            shutil.rmtree(new)  # of a process that was killed
        try:
            for name, target in sorted(files.items()):
                client.download(target, new / name)
            found = check(new)
            sync_tree(new)
            new.rename(final)
            sync(final.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return found, True


def _compare(folder: Path, files: Mapping[str, TargetFile]) -> None:
    remedy = "name another place, or remove it"
    if not folder.is_dir() or folder.is_symlink():
        raise UsageError("is there, and is no folder", file=folder, remedy=remedy)
    found = {entry.name for entry in walk(folder) if not entry.is_folder}
    for name, target in sorted(files.items()):
        if name not in found or sha256(read_file(folder, name)) != target.hashes["sha256"]:
            raise UsageError(f"is there, and its {name} is another one", file=folder, remedy=remedy)
    if more := found - files.keys():
        raise UsageError(f"is there, and holds {min(more)} too", file=folder, remedy=remedy)


def _order(published: Published) -> tuple[str, tuple[int, ...]]:
    """Versions in the order of MCUboot's: by their four numbers."""
    return published.state.product, tuple(int(part) for part in _NUMBERS.findall(published.state.version))
