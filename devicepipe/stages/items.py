"""The items of a product, checked against its lock file: what a release traces and what a developer is told early."""

from __future__ import annotations

from devicepipe.build.soup import load_lock
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
    return [
        Locked(
            name=component.name,
            place=f"{project.firmware.soup}:{lock.error('', 'component', index, 'name').line}",
            fields={
                "version": component.version,
                "supplier": component.supplier,
                "licence": component.licence,
                "purl": component.purl,
                "cpe": component.cpe,
                "sha256": component.archive.sha256,
            },
        )
        for index, component in enumerate(lock.components)
    ]
