"""The items of a product, checked against its lock file: what a release traces and what a developer is told early."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from devicepipe.errors import DevicepipeError, UsageError
from devicepipe.traceability.cache import FileCache
from devicepipe.traceability.items import read_items
from devicepipe.traceability.markdown import read_bytes
from devicepipe.traceability.soup import Locked, check_soup

if TYPE_CHECKING:
    from devicepipe.build.soup import Component, Linked
    from devicepipe.evidence.trace import CommitMarker, Item
    from devicepipe.project.config import Project
    from devicepipe.traceability.drafts import Traced
    from devicepipe.traceability.loss import Loss
    from devicepipe.traceability.schema import Schema


def read_product_items(
    project: Project,
    *,
    schema: Schema | None = None,
    problems: list[UsageError] | None = None,
    losses: list[Loss] | None = None,
) -> tuple[tuple[Item, ...], tuple[Locked, ...]]:
    """The items, and the locked components that no SOUP item is about.

    Args:
        project: The product.
        schema: Its schema, where it is read already.
        problems: Where to put mistakes; without, the first one is raised.
        losses: Gets what live sources could not carry.

    Raises:
        UsageError: The item files are wrong, or differ from the lock file.
    """
    items = read_items(project, schema=schema, problems=problems, losses=losses)
    return items, unlisted_soup(project.root, project.firmware.soup, items, problems)


def unlisted_soup(
    root: Path,
    lock: str | None,
    items: Sequence[Traced],
    problems: list[UsageError] | None = None,
    cache_folder: Path | None = None,
) -> tuple[Locked, ...]:
    """The components of a lock file that no SOUP item is about. Raises UsageError as `read_product_items` does."""
    try:
        return check_soup(items, _kept_lock(root, lock, cache_folder), root)
    except UsageError as error:
        if problems is None:
            raise
        problems.append(error)
        return ()


def product_commits(home: Path, revisions: str = "") -> list[CommitMarker] | None:
    """The commits that name items, of a range or, without one, since the last tag; None where there is no git repository.

    Args:
        home: The product's root in the repository.
        revisions: The range, e.g. "v1.0.0..HEAD".

    Raises:
        UsageError: A range is given, and git does not know it.
    """
    if not revisions and not any((folder / ".git").exists() for folder in (home, *home.parents)):
        return None
    from devicepipe.build.commit_trailers import commit_markers, last_tag

    if revisions:
        return commit_markers(home, revisions)
    try:
        tag = last_tag(home, "HEAD")
        return commit_markers(home, f"{tag}..HEAD" if tag else "HEAD")
    except DevicepipeError:  # no repository, no commit, or no git: then no commit names anything
        return None


def _kept_lock(root: Path, name: str | None, cache_folder: Path | None) -> list[Locked]:
    """The components of a lock file; from the cache where it has not changed."""
    if name is None:
        return []
    if cache_folder is None:
        return _locked(root, name)
    entry = FileCache(cache_folder, "soup").only(name, read_bytes(root / name))
    kept = entry.content()
    if kept is not None:
        return [Locked(*values) for values in kept]
    locked = _locked(root, name)
    entry.keep([[one.name, one.place, one.fields] for one in locked])
    return locked


def _locked(root: Path, name: str) -> list[Locked]:
    from devicepipe.build.soup import load_lock

    lock = load_lock(root / name)
    entries: list[tuple[str, int, Component | Linked, str]] = [
        *(("component", index, one, one.archive.sha256) for index, one in enumerate(lock.components)),
        *(("linked", index, one, "") for index, one in enumerate(lock.linked)),
    ]
    return [
        Locked(
            name=entry.name,
            place=f"{name}:{lock.error('', table, index, 'name').line}",
            fields={
                "version": entry.version,
                "supplier": entry.supplier,
                "licence": entry.licence,
                "purl": entry.purl,
                "cpe": entry.cpe,
                "sha256": sha256,
            },
        )
        for table, index, entry, sha256 in entries
    ]
