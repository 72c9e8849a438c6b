"""What a publisher has last seen of a repository, so that nobody who can write to the store makes it build on an older state.

It is a file of the publisher's machine, beside its other state. Where it is lost, or the machine is another one, the next state
that is seen counts, as it does for a client that starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devicepipe.distribution.layout import metadata_file
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.disk import Disk


@dataclass(frozen=True, slots=True)
class Seen:
    """The versions of each repository's metadata that were last seen, in a file."""

    file: Path

    def check(self, url: str, versions: Mapping[str, int]) -> None:
        """See that a repository is not older than it was.

        Raises:
            IntegrityError: It is; names the role.
        """
        for role, seen in self._read().get(url, {}).items():
            if versions.get(role, 0) < seen:
                raise IntegrityError(
                    f"is older than version {seen}, which was published: it was put back",
                    link=metadata_file(role, versions.get(role, 0)),
                    remedy=f"bring the repository's newer files back; if it was made anew, remove {self.file}",
                )

    def keep(self, url: str, versions: Mapping[str, int]) -> None:
        """Keep that these were seen, whole or not at all."""
        known = self._read() | {url: dict(versions)}
        disk = Disk(self.file.parent)
        disk.make()
        disk.replace(self.file.name, json.dumps(known, indent=1).encode(), f".{self.file.name}.new")

    def _read(self) -> dict[str, dict[str, int]]:
        try:
            found = json.loads(self.file.read_bytes())
            return {str(url): {str(role): int(one) for role, one in of.items()} for url, of in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise UsageError("cannot be read", file=self.file, remedy="remove it; it is made anew") from error
