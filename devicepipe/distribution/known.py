"""What a client has verified of releases, kept for good in its folder of trust: none of it is traded for something older.

The TUF client keeps versions of metadata; whoever has the repository's keys signs higher ones. What people signed they cannot sign:
so what was verified of that is kept here, by release: all signatures of its record, and its withdrawal. A repository that shows
less of it later was put back, whatever its metadata say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from pydantic import ValidationError

from devicepipe.distribution.releases import SIGNATURES, Published
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.model import Model, Sha256

KNOWN: Final = "known-releases"
"""The file, in the folder of trust. No metadata of TUF can have that name: theirs end in `.json`."""


class KnownRelease(Model):
    """What was verified of a release.

    Attributes:
        product: Whose it is.
        version: Which.
        release: SHA-256 of its release statement.
        signatures: SHA-256 of the signatures of its record, in order.
        withdrawn: The signature that withdrew it, in words; None while it was not.
    """

    product: str
    version: str
    release: Sha256
    signatures: list[Sha256]
    withdrawn: str | None = None

    @property
    def title(self) -> str:
        """Product and version."""
        return f"{self.product} {self.version}"


class KnownReleases:
    """The releases that a client knows. Whoever uses it has the folder of trust alone (`open_client`).

    Args:
        disk: The folder of trust.

    Raises:
        UsageError: The file cannot be read.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._known = {(one.product, one.version): one for one in self._read()}

    def find(self, product: str, version: str) -> KnownRelease | None:
        """What is known of a release."""
        return self._known.get((product, version))

    def check(self, releases: Iterable[Published]) -> None:
        """See that a repository still has what is known of it.

        Raises:
            IntegrityError: A release is gone, is another one, or was withdrawn and is said to be released; names it.
        """
        published = {(one.state.product, one.state.version): one.state for one in releases}
        remedy = f"ask the publisher, by another way; what was verified here before is in {self._disk.folder / KNOWN}"
        for key, known in sorted(self._known.items()):
            state = published.get(key)
            if state is None:
                raise IntegrityError(
                    "is no longer in the repository, which never removes a release", link=known.title, remedy=remedy
                )
            if state.release != known.release:
                raise IntegrityError("has become another release of the same version", link=known.title, remedy=remedy)
            if known.withdrawn is not None and state.state != "withdrawn":
                raise IntegrityError(
                    f"was withdrawn for good by {known.withdrawn}; the repository says again that it is released",
                    link=known.title,
                    remedy=remedy,
                )

    def check_record(self, product: str, version: str, signatures: list[str]) -> None:
        """See that a record has all the signatures that are known, in their order.

        Raises:
            IntegrityError: It has not.
        """
        known = self.find(product, version)
        if known is not None and signatures[: len(known.signatures)] != known.signatures:
            raise IntegrityError(
                f"has {len(signatures)} signatures, and not all of the {len(known.signatures)} that {known.title} had: "
                "it was put back to an earlier state",
                link=SIGNATURES,
                remedy=f"ask the publisher, by another way; what was verified here before is in {self._disk.folder / KNOWN}",
            )

    def keep(self, release: KnownRelease) -> None:
        """Keep what was verified of a release, for good."""
        if self.find(release.product, release.version) == release:
            return
        self._known[release.product, release.version] = release
        data = json.dumps([one.to_json() for _, one in sorted(self._known.items())], indent=1)
        self._disk.replace(KNOWN, data.encode(), f".{KNOWN}.new")

    def _read(self) -> list[KnownRelease]:
        try:
            return [KnownRelease.from_json(one) for one in json.loads(self._disk.read(KNOWN))]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, ValidationError) as error:
            raise UsageError(
                "cannot be read",
                file=self._disk.folder / KNOWN,
                remedy="bring it back from a copy; without it, withdrawals that were verified here are forgotten",
            ) from error
