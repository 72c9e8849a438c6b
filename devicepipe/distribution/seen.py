"""What a publisher has last seen of a repository, so that nobody who can write to the store makes it build on an older state.

It is a file of the publisher's machine, beside its other state. Where it is lost, or the machine is another one, the next state
that is seen counts, as it does for a client that starts. What always holds: it never goes back. Versions are kept as soon as they
are published, and not as a store shows them afterwards; withdrawals, before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from devicepipe.distribution.layout import TIMESTAMP, metadata_file
from devicepipe.distribution.releases import Published, sha256
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.model import Model, Sha256

_COPY: Final = "timestamp.json"
"""The newest timestamp, beside the file: with it, a repository that was put back is mended."""


class SeenRepository(Model):
    """What was seen of one repository.

    Attributes:
        versions: The highest version of each role's metadata.
        timestamp: SHA-256 of the timestamp of that version.
        releases: The releases, product and version, that were seen in it.
        withdrawn: Those that were seen to be withdrawn, or are withdrawn here: then kept before that is published.
    """

    versions: dict[str, int] = Field(default_factory=dict)
    timestamp: Sha256 | None = None
    releases: list[str] = Field(default_factory=list)
    withdrawn: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of each repository, by its address, in a file."""

    file: Path

    def check(self, url: str, versions: Mapping[str, int], timestamp: bytes) -> None:
        """See that a repository is not older than it was.

        Raises:
            IntegrityError: It is; names the role.
        """
        known = self._read().get(url, SeenRepository())
        remedy = (
            f"bring the repository's newer files back (its {TIMESTAMP} is also in {self.file.with_name(_COPY)}); "
            f"if it was made anew, remove {self.file}"
        )
        for role, version in versions.items():
            if version < known.versions.get(role, 0):
                raise IntegrityError(
                    f"is older than version {known.versions[role]}, which was published: it was put back",
                    link=metadata_file(role, version),
                    remedy=remedy,
                )
        if versions["timestamp"] == known.versions.get("timestamp") and known.timestamp != sha256(timestamp):
            raise IntegrityError(
                f"is not the version {versions['timestamp']} that was published", link=TIMESTAMP, remedy=remedy
            )

    def has(self, url: str, title: str) -> bool:
        """Whether a release, by product and version, was seen in a repository."""
        return title in self._read().get(url, SeenRepository()).releases

    def check_releases(self, url: str, releases: Iterable[Published], mended: str | None = None) -> None:
        """See that none is released that was withdrawn, be it here by a run that was killed, and that none is gone.

        Versions do not tell it where another machine, which had not seen the newer state, signed an older one anew.

        Args:
            url: The repository.
            releases: What is, or is to be, published.
            mended: A release that is published now. If it was gone itself, others that are may wait for their turn.

        Raises:
            IntegrityError: One is; names it.
        """
        known, there = self._read().get(url, SeenRepository()), {one.title: one.state.state for one in releases}
        for title in known.withdrawn:
            if there.get(title) == "released":
                raise IntegrityError(
                    "was withdrawn here, and is not withdrawn in the repository: that was interrupted, or it was put back",
                    link=title,
                    remedy="run `devicepipe unpublish` of that release again, before anything else is signed",
                )
        gone = [title for title in known.releases if title not in there]
        if gone and mended not in known.releases:
            raise IntegrityError(
                "is not in the repository any more: it was put back, and signed anew by another machine",
                link=gone[0],
                remedy="run `devicepipe publish` (or `unpublish`) of that release again, before anything else is signed",
            )

    def keep(self, url: str, versions: Mapping[str, int], timestamp: bytes, releases: Iterable[Published]) -> None:
        """Keep that these were published, whole or not at all; of each role the highest version stays."""
        there = {one.title: one.state.state for one in releases}
        withdrawn = {title for title, state in there.items() if state == "withdrawn"}

        def kept(known: SeenRepository) -> SeenRepository:
            highest = {role: max(one, known.versions.get(role, 0)) for role, one in versions.items()}
            newest = versions["timestamp"] == highest["timestamp"]
            return known.model_copy(
                update={
                    "versions": known.versions | highest,
                    "timestamp": sha256(timestamp) if newest else known.timestamp,
                    "releases": sorted({*known.releases, *there}),
                    "withdrawn": sorted({*known.withdrawn, *withdrawn}),
                }
            )

        self._change(url, kept, timestamp)

    def keep_withdrawn(self, url: str, title: str) -> None:
        """Keep that a release, by product and version, is to be withdrawn, for good."""
        self._change(url, lambda known: known.model_copy(update={"withdrawn": sorted({*known.withdrawn, title})}))

    def forget(self, url: str) -> None:
        """Begin anew with a repository that is made now."""
        self._change(url, lambda _: SeenRepository())

    def _change(
        self, url: str, change: Callable[[SeenRepository], SeenRepository], timestamp: bytes | None = None
    ) -> None:
        disk = Disk(self.file.parent)
        disk.make()
        with disk.locked(f".{self.file.name}.lock"):
            known = self._read()
            before = known.get(url, SeenRepository())
            after = known[url] = change(before)
            if after == before:
                return
            if timestamp is not None and after.timestamp == sha256(timestamp):
                disk.replace(_COPY, timestamp, f".{_COPY}.new")
            document = {where: one.to_json() for where, one in known.items()}
            disk.replace(self.file.name, json.dumps(document, indent=1).encode(), f".{self.file.name}.new")

    def _read(self) -> dict[str, SeenRepository]:
        try:
            found = json.loads(self.file.read_bytes())
            return {str(url): SeenRepository.from_json(of) for url, of in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, ValidationError) as error:
            raise UsageError("cannot be read", file=self.file, remedy="remove it; it is made anew") from error
