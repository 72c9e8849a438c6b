"""The file of reviews, `reviews.jsonl` beside the items: one line of canonical JSON (RFC 8785) an item, sorted by its id.

What always holds: reading never writes; only `record_reviews` and `forget_reviews` do. They change the file as a whole or not
at all, keep every line that they are not about, and wait for each other, so that two people or processes lose nothing.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import rfc8785
from pydantic import ValidationError

from devicepipe.errors import UsageError
from devicepipe.evidence.items import attribute_digests, parents
from devicepipe.evidence.review_links import Reviewable, review_findings
from devicepipe.evidence.reviews import Review
from devicepipe.evidence.trace import TraceFinding
from devicepipe.project.config import Project
from devicepipe.project.state import locked_in_state

NAME = "reviews.jsonl"


@dataclass(frozen=True, slots=True)
class Reviews:
    """The reviews of a product.

    Attributes:
        file: Their file, relative to the project's root.
        reviews: In the order of the file.
        kept: Whether the product keeps reviews: there is a file, or its configuration requires one.
        lines: Reviewed id → its line in the file.
    """

    file: str
    reviews: tuple[Review, ...] = ()
    kept: bool = False
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def evidence(self) -> list[Review] | None:
        """As the traceability attestation has them."""
        return sorted(self.reviews, key=lambda review: review.item) if self.kept else None

    def of(self, item: str) -> Review | None:
        """The review of an item; None where there is none."""
        return next((review for review in self.reviews if review.item == item), None)

    def findings(self, items: Sequence[Reviewable]) -> list[TraceFinding]:
        """What does not hold of the items' reviews (`review_findings`); nothing where the product keeps none."""
        places = {item: (self.file, line) for item, line in self.lines.items()}
        return review_findings(items, self.reviews, places) if self.kept else []


def read_reviews(project: Project) -> Reviews:
    """The product's reviews; none where there is no file.

    Raises:
        UsageError: A line is no review, or reviews an item a second time; names file and line.
    """
    path = reviews_file(project)
    name = path.relative_to(project.root).as_posix()
    kept = project.traceability.reviews == "required"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Reviews(name, kept=kept)
    reviews, lines = _parse(data, path)
    return Reviews(name, reviews, kept=True, lines=lines)


def reviews_file(project: Project) -> Path:
    """Where a product's reviews are."""
    return project.root / project.traceability.path / NAME


def review_of(item: Reviewable, items: Mapping[str, Reviewable], *, by: str, on: str, note: str) -> Review:
    """A review of an item as it and its parents stand."""
    return Review(
        item=item.id,
        fingerprint=item.fingerprint,
        links={parent: items[parent].fingerprint for parent in sorted(parents(item)) if parent in items},
        attributes=attribute_digests(item),
        by=by,
        on=on,
        note=note,
    )


def record_reviews(project: Project, made: Iterable[Review]) -> None:
    """Write reviews, each in the place of the item's earlier one.

    Raises:
        UsageError: The file as it stands is wrong.
    """
    with _changing(project) as reviews:
        reviews.update({review.item: review for review in made})


def forget_reviews(project: Project, items: Iterable[str]) -> None:
    """Take reviews out, of items that are no more.

    Raises:
        UsageError: The file as it stands is wrong.
    """
    with _changing(project) as reviews:
        for item in items:
            reviews.pop(item, None)


@contextlib.contextmanager
def _changing(project: Project) -> Iterator[dict[str, Review]]:
    """The reviews by item, to be changed; they are written when the block ends well."""
    path = reviews_file(project)
    # The lock is a file of its own: `path` itself is replaced, and a lock on it would be on the old one.
    with locked_in_state(project, "reviews"):
        try:
            found, _ = _parse(path.read_bytes(), path)
        except FileNotFoundError:
            found = ()
        reviews = {review.item: review for review in found}
        yield reviews
        _replace(path, b"".join(_line(reviews[item]) for item in sorted(reviews)))


def _line(review: Review) -> bytes:
    return rfc8785.dumps(review.to_json()) + b"\n"


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".reviews-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _parse(data: bytes, path: Path) -> tuple[tuple[Review, ...], dict[str, int]]:
    reviews: list[Review] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            review = Review.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                f"is no review: {f'{where}: ' if where else ''}{first['msg']}",
                file=path,
                line=number,
                remedy="resolve what a merge left there, or take the line out; then `devicepipe trace review` the item",
            ) from error
        if review.item in lines:
            raise UsageError(
                f"{review.item} is reviewed twice, in line {lines[review.item]} already",
                file=path,
                line=number,
                remedy="keep one of the two lines",
            )
        lines[review.item] = number
        reviews.append(review)
    return tuple(reviews), lines
