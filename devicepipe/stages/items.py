"""The items of a product, checked against its lock file: what a release traces and what a developer is told early."""

from __future__ import annotations

from devicepipe.build.soup import Component, Linked, load_lock
from devicepipe.evidence.predicates import Item
from devicepipe.project.config import Project
from devicepipe.traceability.items import read_items
from devicepipe.traceability.soup import Locked, check_soup


def read_product_items(project: Project) -> tuple[tuple[Item, ...], tuple[Locked, ...]]:
    """The items, and the locked components that no SOUP item is about.

    Raises:
        UsageError: The item files are wrong, or differ from the lock file.
    """
    items = read_items(project)
    return items, check_soup(items, _locked(project), project.root)


def _locked(project: Project) -> list[Locked]:
    if project.firmware.soup is None:
        return []
    lock = load_lock(project.root / project.firmware.soup)
    entries: list[tuple[str, int, Component | Linked, str]] = [
        *(("component", index, one, one.archive.sha256) for index, one in enumerate(lock.components)),
        *(("linked", index, one, "") for index, one in enumerate(lock.linked)),
    ]
    return [
        Locked(
            name=entry.name,
            place=f"{project.firmware.soup}:{lock.error('', table, index, 'name').line}",
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
