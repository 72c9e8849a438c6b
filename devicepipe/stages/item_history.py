"""Items as they stood in an earlier commit, read the way that the commit's own configuration says."""

from __future__ import annotations

import tempfile
from pathlib import Path

from devicepipe.build.source import commit_of, commits_that_changed, export_tree
from devicepipe.errors import DevicepipeError, UsageError
from devicepipe.evidence.reviews import Review
from devicepipe.evidence.trace import Item
from devicepipe.project.config import CONFIG_NAME, Project, load_project
from devicepipe.stages.items import read_product_items
from devicepipe.traceability.reviews import Reviews


def items_at(root: Path, revision: str) -> tuple[Item, ...]:
    """The items of a commit.

    Args:
        root: The product's root in the repository.
        revision: A branch, a tag, an id.

    Raises:
        UsageError: There is no such commit, or its items or configuration are wrong (they were, then).
    """
    commit = commit_of(root, revision)
    with tempfile.TemporaryDirectory() as folder:
        export_tree(root, Path(folder), commit=commit)
        if not (Path(folder) / CONFIG_NAME).is_file():
            raise UsageError(f"commit '{revision}' has no {CONFIG_NAME}", remedy="name one of this product")
        return read_product_items(load_project(Path(folder) / CONFIG_NAME))[0]


class ReviewedStates:
    """What items looked like when they were reviewed, as far as the repository still knows."""

    def __init__(self, project: Project, reviews: Reviews) -> None:
        self._root = project.root
        self._file = reviews.file
        self._items: dict[str, dict[str, Item]] = {}

    def at(self, review: Review) -> dict[str, Item]:
        """The item of a review and its parents, by id; what cannot be found in the fingerprints of then is left out."""
        wanted = {review.item: review.fingerprint, **review.links}
        found: dict[str, Item] = {}
        for commit in self._commits(review):
            items = self._read(commit)
            found |= {
                name: items[name]
                for name, fingerprint in wanted.items()
                if name in items and items[name].fingerprint == fingerprint
            }
            if len(found) == len(wanted):
                break
        return found

    def _commits(self, review: Review) -> list[str]:
        """The commit that brought the review, and the newest one: the review may not be committed yet."""
        try:
            return [*commits_that_changed(self._root, self._file, review.fingerprint)[-1:], "HEAD"]
        except DevicepipeError:  # no repository, or none with a commit: a review can be made all the same
            return []

    def _read(self, commit: str) -> dict[str, Item]:
        if commit not in self._items:
            try:
                self._items[commit] = {item.id: item for item in items_at(self._root, commit)}
            except DevicepipeError:  # the items were wrong then, or the commit is not there (a shallow clone)
                self._items[commit] = {}
        return self._items[commit]
