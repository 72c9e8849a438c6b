"""The state of a repository as it is published: found, and verified as a client would, before anything is built on it.

What always holds of a `RepositoryState`: its root follows, version by version, from the one that the project has committed, each
signed by enough keys of the one before it and of its own; timestamp, snapshot and targets are signed by enough keys of that root,
and each is exactly the one that the one before it names. So whoever can write to the store, and has no key, cannot bring a
publisher to sign what it did not publish. Expiry is not asked for: what has expired is what has to be renewed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from devicepipe.distribution.layout import TIMESTAMP, metadata_file
from devicepipe.distribution.store import Store
from devicepipe.errors import IntegrityError, UsageError

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)

_MOST_ROOTS = 10_000


@dataclass(frozen=True, slots=True)
class RepositoryState:
    """What is published: the metadata of each role, and the bytes of the timestamp, which the next one takes the place of."""

    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]
    timestamp_bytes: bytes

    def of(self, role: str) -> Metadata[Any]:
        """The metadata of a role."""
        found: Metadata[Any] = getattr(self, role)
        return found

    @property
    def versions(self) -> dict[str, int]:
        """The version of each role's metadata."""
        return {role: self.of(role).signed.version for role in ("root", "timestamp", "snapshot", "targets")}


def to_bytes(metadata: Metadata[Any]) -> bytes:
    """Metadata as they are published."""
    return metadata.to_bytes(JSONSerializer(compact=True, validate=True))


def read_metadata(data: bytes, kind: type[S], link: str) -> Metadata[S]:
    """Metadata of a role; nothing is verified.

    Raises:
        IntegrityError: They are none of that role.
    """
    try:
        found: Metadata[Any] = Metadata.from_bytes(data)
    except (DeserializationError, ValueError, RecursionError) as error:
        raise IntegrityError("is no TUF metadata", link=link) from error
    if not isinstance(found.signed, kind):
        raise IntegrityError(f"is {found.signed.type} metadata, not {kind.type}", link=link)
    return found


def load_state(store: Store, anchor: bytes, *, former: bool = False) -> RepositoryState:
    """Find out what is published.

    Args:
        store: The repository.
        anchor: The root that the project has committed.
        former: Also take metadata that hold under the root before the newest one only: for a rotation that was interrupted.

    Raises:
        UsageError: There is no repository, or it is not the one of that root.
        IntegrityError: Its metadata do not hold; `link` names which.
        BenchError, OSError: The store cannot be used.
    """
    roots = _roots(store, anchor)
    trusted = roots[-2:] if former else roots[-1:]
    data = _read(store, TIMESTAMP)
    timestamp = _signed_by(trusted, read_metadata(data, Timestamp, TIMESTAMP), TIMESTAMP)
    snapshot = _named(store, trusted, timestamp.signed.snapshot_meta, Snapshot)
    if "targets.json" not in snapshot.signed.meta:
        link = metadata_file("snapshot", snapshot.signed.version)
        raise IntegrityError("names no targets metadata", link=link)
    targets = _named(store, trusted, snapshot.signed.meta["targets.json"], Targets)
    return RepositoryState(roots[-1], timestamp, snapshot, targets, data)


def check_root(root: Metadata[Root], before: Metadata[Root] | None, link: str) -> None:
    """See that a root is signed by enough of its own keys, and of those of the one before it (specification 5.3.4).

    Raises:
        IntegrityError: It is not, or is not of the next version.
    """
    try:
        result = root.signed.get_root_verification_result(
            before.signed if before else None, root.signed_bytes, root.signatures
        )
    except ValueError as error:
        raise IntegrityError(str(error), link=link) from error
    if not result.verified:
        own, former = result.second, result.first
        raise IntegrityError(
            f"is signed by {len(own.signed)} of its own keys, {own.threshold} must"
            + (f"; by {len(former.signed)} of those before it, {former.threshold} must" if before else ""),
            link=link,
        )


def first_root(store: Store, anchor: bytes) -> Metadata[Root]:
    """The root that the project has committed, which the repository begins with. Raises as `load_state`."""
    root = read_metadata(anchor, Root, "the project's root")
    link = metadata_file("root", root.signed.version)
    try:
        published = store.read(link)
    except FileNotFoundError as error:
        raise UsageError(
            f"{store.url} is not the repository of the project's root: it has no {link}",
            remedy="correct `repository` of [publication]; if it has moved, copy all of it there",
        ) from error
    if published != anchor:
        raise IntegrityError("is not the root that the project has committed", link=link)
    check_root(root, None, link)
    return root


def _roots(store: Store, anchor: bytes) -> list[Metadata[Root]]:
    """The roots from the committed one to the newest."""
    roots = [first_root(store, anchor)]
    while len(roots) <= _MOST_ROOTS:
        link = metadata_file("root", roots[-1].signed.version + 1)
        try:
            following = read_metadata(store.read(link), Root, link)
        except FileNotFoundError:
            return roots
        check_root(following, roots[-1], link)
        roots.append(following)
    raise IntegrityError(f"is one root too many: {_MOST_ROOTS} are read", link=link)


def _read(store: Store, link: str) -> bytes:
    try:
        return store.read(link)
    except FileNotFoundError as error:
        raise IntegrityError("is missing", link=link) from error


def _signed_by(roots: Sequence[Metadata[Root]], metadata: Metadata[S], link: str) -> Metadata[S]:
    """Metadata that are signed by enough keys of one of the roots."""
    kind = metadata.signed.type
    for root in roots:
        try:
            root.signed.verify_delegate(kind, metadata.signed_bytes, metadata.signatures)
        except RepositoryError:
            continue
        return metadata
    role = roots[-1].signed.roles[kind]
    raise IntegrityError(f"is not signed by {role.threshold} of the {len(role.keyids)} keys of {kind}", link=link)


def _named(store: Store, roots: Sequence[Metadata[Root]], meta: MetaFile, kind: type[S]) -> Metadata[S]:
    """The metadata that others name, by version, length and digest."""
    link = metadata_file(kind.type, meta.version)
    data = _read(store, link)
    try:
        meta.verify_length_and_hashes(data)
    except LengthOrHashMismatchError as error:
        raise IntegrityError("is not the one that the published metadata name", link=link) from error
    found = _signed_by(roots, read_metadata(data, kind, link), link)
    if found.signed.version != meta.version:
        raise IntegrityError(f"says to be version {found.signed.version}", link=link)
    return found


def meta_of(metadata: bytes, version: int) -> MetaFile:
    """How other metadata name these: by version, length and SHA-256."""
    return MetaFile(version, len(metadata), {"sha256": hashlib.sha256(metadata).hexdigest()})
