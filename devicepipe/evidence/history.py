"""The history of a release as evidence: the versions before it, the commits since the last one, and what earlier bundles say.

Git's words are those of the repository at the time of the release; an earlier release's are read from its bundle, which was
verified with the release key before.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from devicepipe.evidence.model import Commit, Model, Sha256, Time

HISTORY = "urn:devicepipe:predicate:history:v1"

ChangeKind = Literal["new", "changed", "removed"]


class Version(Model):
    """A version that git has a tag for: the tag's name, its commit, and the commit's time."""

    name: str
    commit: Commit
    time: Time
    note: str = ""


class Change(Model):
    """A commit since the last version: what its message says, how many files it touched, and the items that it names."""

    commit: Commit
    time: Time
    author: str
    subject: str
    files: int = Field(ge=0)
    items: list[str] = Field(default_factory=list)


class BoardFigures(Model):
    """What an earlier release's bundle says of a board, in numbers. `lines` are those of coverage, executed and all."""

    board: str
    cases: int
    passed: int
    flash: int = 0
    ram: int = 0
    lines: tuple[int, int] | None = None


class EarlierRelease(Model):
    """A release whose bundle was given: which one, by the SHA-256 of its release statement; its items and its figures.

    `items` are fingerprints by id, `titles` the items' titles; `tests` the digests of the tests' sources.
    """

    product: str
    version: str
    commit: Commit
    started_on: Time
    statement: Sha256
    releasable: bool
    development_keys: bool
    requirements: int
    verified: int
    open_anomalies: list[str]
    items: dict[str, Sha256]
    titles: dict[str, str]
    tests: dict[str, Sha256]
    images: dict[str, Sha256]
    components: dict[str, str] = Field(default_factory=dict)
    boards: list[BoardFigures]


class History(Model):
    """Predicate HISTORY: versions, the commits since the newest of them, and the releases whose bundles were given.

    `versions` begins with the newest, `earlier` with the oldest; without a version, `changes` are all commits. `since` is the
    version that the commits follow, "" where there is none; `left_out` counts older commits that are not listed.
    """

    commit: Commit
    versions: list[Version]
    since: str
    changes: list[Change]
    left_out: int = 0
    earlier: list[EarlierRelease] = Field(default_factory=list)

    @property
    def previous(self) -> EarlierRelease | None:
        """The last of the earlier releases that were given."""
        return self.earlier[-1] if self.earlier else None
