"""The repository: publishing, withdrawing, renewing and rotating, each a new signed state that readers come to by one swap.

What always holds: files and metadata are written under names of their own and never again; the timestamp, which leads to the
rest, is swapped last. A process that is killed at any point leaves what was published before, or the new state whole, and running
the same again finishes. Every new state is built on one that was verified, not older than the last one seen or made here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from devicepipe.distribution import layout
from devicepipe.distribution.releases import Parcel, Published, find_release, releases_of, sha256, targets_with
from devicepipe.distribution.seen import Seen
from devicepipe.distribution.signing import Setup, SignedMetadata, add_signatures
from devicepipe.distribution.state import (
    RepositoryState,
    check_root,
    first_root,
    load_state,
    meta_of,
    read_metadata,
    to_bytes,
)
from devicepipe.distribution.store import Store
from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.project.publication_settings import RepositoryRole
from devicepipe.signing.hsm import PinRefusedError

ONLINE: tuple[RepositoryRole, ...] = ("targets", "snapshot", "timestamp")
"""The roles below the root, in the order in which they are signed."""

_MOST_LEFT = 100
"""How many versions that were never published are passed over: each is read, and is as large as whoever put it there chose."""
_LARGEST = {
    "targets": layout.LARGEST_TARGETS,
    "snapshot": layout.LARGEST_SNAPSHOT,
    "timestamp": layout.LARGEST_TIMESTAMP,
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository and who signs it.

    Attributes:
        store: Where it is.
        setup: Its roles, as they are configured now.
        seen: What was last seen of it here.
        now: The clock, in UTC.
        tell: Is told what was signed, before any of that is written.
    """

    store: Store
    setup: Setup
    seen: Seen
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    tell: Callable[[Sequence[SignedMetadata]], None] = lambda _: None

    def state(self, anchor: bytes) -> RepositoryState:
        """What is published, verified from the root `anchor`.

        Raises:
            UsageError, BenchError, IntegrityError, OSError: As `load_state`; IntegrityError also where it is older than was seen.
        """
        state = load_state(self.store, anchor)
        self.seen.check(self.store.url, state.versions, state.timestamp_bytes)
        return state

    def create(self, root: bytes) -> RepositoryState:
        """Make the repository of a first root that is signed by enough of its keys, or finish making it.

        Raises:
            UsageError: There is another one already, or a role cannot be signed.
            IntegrityError: The root does not hold.
            BenchError: The store cannot be used.
        """
        metadata = read_metadata(root, Root, "the root")
        check_root(metadata, None, "the root")
        name = layout.metadata_file("root", metadata.signed.version)
        with self.store.locked():
            published = self._read(name)
            if published is None:
                self.seen.forget(self.store.url)
                # The root comes last: without it nobody reads the rest, be it of a process that was killed.
                self._advance(metadata, None, ONLINE, {})
                self.store.swap(name, root, None)
            elif published != root:
                raise UsageError(f"{self.store.url} holds another repository", remedy="name an empty place")
            return self._kept(root)

    def publish(self, anchor: bytes, ready: AbstractContextManager[Parcel]) -> bool:
        """Bring a release into the state of a parcel; returns whether anything had to be changed.

        Args:
            anchor: The root that the project has committed.
            ready: Gives the parcel. It is entered when nobody else changes the repository any more, be that after a long wait, and
                left when the parcel is published: what the parcel is made of must not change in between.

        Raises:
            UsageError: The release cannot be published so, or a role cannot be signed.
            IntegrityError: What is published does not hold, a file of it was altered, or the store shows an older state than was
                published.
            BenchError: The store cannot be used, or somebody else publishes too.
        """
        with self._opened(anchor) as state, ready as parcel:
            before = state.targets.signed
            targets = targets_with(before, parcel, gone=self.seen.has(self.store.url, parcel.state.title))
            if parcel.state.state == "withdrawn":
                self.seen.keep_withdrawn(self.store.url, parcel.state.title)
            else:
                # A release that was gone is brought back whatever else is: it is mended one by one.
                gone = find_release(before, parcel.state.product, parcel.state.version) is None
                self._check_releases(targets, parcel.state.title if gone else None)
            put = self._put_files(parcel, targets, before)
            if targets == before.targets and not put:
                return False
            self._advance(state.root, state, ONLINE, targets)
            return True

    def renew(self, anchor: bytes, *, everything: bool = False) -> tuple[RepositoryRole, ...]:
        """Sign the timestamp anew, and what is past half of its time; returns the roles.

        The targets, whose key may be locked away, wait for it until they have expired; `past_half` tells of them.

        Raises:
            UsageError, BenchError: As `publish`; UsageError also where a token refuses its PIN, whatever waits.
            IntegrityError: As `publish`; also where a release is released that was withdrawn here, or is gone.
        """
        with self._opened(anchor) as state:
            self.check_seen(state)
            due = ONLINE if everything else self.past_half(state)
            if (
                not everything
                and not state.targets.signed.is_expired(self.now())
                and not self._at_hand("targets", state)
            ):
                due = tuple(role for role in due if role != "targets")
            if "timestamp" not in due:
                due = (*due, "timestamp")
            self._advance(state.root, state, due, state.targets.signed.targets)
            return due

    def check_signers(self, state: RepositoryState) -> None:
        """See that what is published next can be signed: enough keys that the root names can be used here.

        Raises:
            UsageError, BenchError: They cannot.
        """
        for role in ONLINE:
            if not self._enough(role, state):
                raise _too_few(state.root.signed, role)

    def past_half(self, state: RepositoryState) -> tuple[RepositoryRole, ...]:
        """The roles below the root whose metadata are past half of their time, or hold for longer than they may.

        Those were signed by a clock that was ahead (or for more days): who keeps newer ones from clients could show them as long.
        """
        left = {role: state.of(role).signed.expires - self.now() for role in ONLINE}
        return tuple(role for role in ONLINE if not self.setup[role].lasts / 2 <= left[role] <= self.setup[role].lasts)

    def _enough(self, role: RepositoryRole, state: RepositoryState) -> bool:
        """Whether enough keys of a role can be used here. Raises UsageError and BenchError where one that should cannot be."""
        named = state.root.signed.roles[role]
        usable = [one.open_signer for one in self.setup[role].signers if one.key.keyid in named.keyids]
        return sum(open_signer() is not None for open_signer in usable if open_signer is not None) >= named.threshold

    def _at_hand(self, role: RepositoryRole, state: RepositoryState) -> bool:
        try:
            return self._enough(role, state)
        except PinRefusedError:
            raise  # not a token that is locked away: one that locks itself if this goes on unseen
        except (UsageError, BenchError):
            return False

    def check_seen(self, state: RepositoryState) -> None:
        """See that every release is there that was, and none is released that was withdrawn. Raises IntegrityError."""
        self._check_releases(state.targets.signed.targets)

    def check_files(self, state: RepositoryState) -> int:
        """Read every file that the targets name; returns how many there are.

        Raises:
            IntegrityError: One is missing, or is not what its digest says.
        """
        for path, target in sorted(state.targets.signed.targets.items()):
            name = layout.target_file(path, target.hashes["sha256"])
            data = self._read(name)
            if data is None:
                raise IntegrityError("is missing", link=name)
            if (len(data), sha256(data)) != (target.length, target.hashes["sha256"]):
                raise IntegrityError("is not what was published: its bytes were altered", link=name)
        return len(state.targets.signed.targets)

    def rotate(self, anchor: bytes, root: bytes, *, broken: bool = False) -> RepositoryState:
        """Publish the next root, or finish it, and sign everything under it.

        Args:
            anchor: The root that the project has committed.
            root: The next one, signed by enough keys of it and of the one before.
            broken: Publish it although the present metadata do not hold under it: the way out where a key was lost or
                stolen. Clients that come between root and timestamp are refused, and come again.

        Raises:
            UsageError: The present metadata do not hold under the root; a role cannot be signed.
            IntegrityError: The root does not hold, or does not follow.
            BenchError: The store cannot be used.
        """
        following = read_metadata(root, Root, "the next root")
        name = layout.metadata_file("root", following.signed.version)
        with self._locked(anchor):
            state = load_state(self.store, anchor, former=True)
            self.seen.check(self.store.url, state.versions, state.timestamp_bytes)
            if not broken:
                self.check_seen(state)
            if state.root.signed.version != following.signed.version:
                check_root(following, state.root, "the next root")
                self.check_follows(state, following.signed, broken=broken)
            elif self._read(name) != root:
                raise IntegrityError("is not the next root that was made here", link=name)

            def publish_root() -> None:
                if self._read(name) is None:
                    self.store.swap(name, root, None)

            self._advance(following, state, ONLINE, state.targets.signed.targets, before_timestamp=publish_root)
            return self._kept(anchor)

    def check_follows(self, state: RepositoryState, root: Root, *, broken: bool) -> None:
        """See that what is published holds under the next root, so that no client is refused between the two.

        Raises:
            UsageError: It does not, and nothing is broken that would excuse it.
        """
        for role in ONLINE:
            metadata = state.of(role)
            try:
                root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
            except RepositoryError as error:
                if not broken:
                    raise UsageError(
                        f"the published {role} metadata do not hold under the next root",
                        remedy=f"name the former keys of {role} beside the new ones for one rotation; where one is lost or "
                        "stolen: --broken",
                    ) from error

    # --- how

    @contextmanager
    def _opened(self, anchor: bytes) -> Iterator[RepositoryState]:
        """The published state while nobody else changes it; what the store shows afterwards must be what it has become."""
        with self._locked(anchor):
            yield self.state(anchor)
            self._kept(anchor)

    def _locked(self, anchor: bytes) -> AbstractContextManager[None]:
        """Alone in the repository of that root. Looks for it first: the lock would make the folder of one that is lost."""
        first_root(self.store, anchor)
        return self.store.locked()

    def _kept(self, anchor: bytes) -> RepositoryState:
        """What the store shows, not older than what was published; it is kept as seen."""
        state = self.state(anchor)
        self.seen.keep(self.store.url, state.versions, state.timestamp_bytes, _readable(state.targets.signed.targets))
        return state

    def _check_releases(self, targets: Mapping[str, TargetFile], mended: str | None = None) -> None:
        self.seen.check_releases(self.store.url, releases_of(Targets(targets=dict(targets))), mended)

    def _read(self, name: str) -> bytes | None:
        try:
            return self.store.read(name)
        except FileNotFoundError:
            return None

    def _put_files(self, parcel: Parcel, targets: Mapping[str, TargetFile], before: Targets) -> bool:
        """Put the files of a release that are not there; returns whether there were any."""
        put = False
        for name, data in sorted(parcel.files.items()):
            path = layout.target_path(parcel.state.product, parcel.state.version, name)
            if path not in targets:
                continue
            file, named = layout.target_file(path, sha256(data)), before.targets.get(path)
            # One that the published metadata do not name is put again even if it is there: a process that was killed may have
            # written it without seeing that it lasts.
            if named is not None and named.hashes == targets[path].hashes:
                found = self._read(file)
                if found == data:
                    continue
                if found is not None:
                    raise IntegrityError("is not what was published: its bytes were altered", link=file)
            self.store.put(file, data)
            put = True
        return put

    def _advance(
        self,
        root: Metadata[Root],
        state: RepositoryState | None,
        roles: Sequence[RepositoryRole],
        targets: Mapping[str, TargetFile],
        before_timestamp: Callable[[], None] = lambda: None,
    ) -> None:
        """Sign new versions of these roles' metadata, and write them, the timestamp last, by which they are published."""
        made = list[SignedMetadata]()

        def sign(role: RepositoryRole, signed: Signed) -> MetaFile:
            signed.version = self._next_version(role, state.of(role).signed.version if state else 0)
            made.append(self._signed(root, role, signed))
            return meta_of(made[-1].data, signed.version)

        if "targets" in roles or state is None:
            meta = sign("targets", Targets(targets=dict(targets)))
        else:
            meta = state.snapshot.signed.meta["targets.json"]
        if made or "snapshot" in roles or state is None:
            meta = sign("snapshot", Snapshot(meta={"targets.json": meta}))
        else:
            meta = state.timestamp.signed.snapshot_meta
        sign("timestamp", Timestamp(snapshot_meta=meta))
        self.tell(made)
        for one in made[:-1]:
            self.store.add(layout.metadata_file(one.role, one.version), one.data)
        before_timestamp()
        before = state.timestamp_bytes if state else self._read(layout.TIMESTAMP)
        self.store.swap(layout.TIMESTAMP, made[-1].data, before)
        # Now, from what was signed: what the store shows next may be what somebody has put back by then.
        versions = (state.versions if state else {}) | {one.role: one.version for one in made}
        self.seen.keep(self.store.url, versions | {"root": root.signed.version}, made[-1].data, _readable(targets))

    def _next_version(self, role: RepositoryRole, version: int) -> int:
        """The first version after this one whose name is free: what a killed process left unpublished is passed over.

        They are asked for one by one. Beyond the highest that is there it would go on from a number that whoever can write to the
        store has chosen, and versions never go back.
        """
        for following in range(version + 1, version + 1 + _MOST_LEFT):
            if role == "timestamp" or self._read(layout.metadata_file(role, following)) is None:
                return following
        raise BenchError(
            f"{self.store.url} has {_MOST_LEFT} versions of {role} beyond {version}, which is published",
            remedy="remove those from its folder `metadata`: nothing names them",
        )

    def _signed(self, root: Metadata[Root], role: RepositoryRole, signed: Signed) -> SignedMetadata:
        signed.expires = self.now() + self.setup[role].lasts
        metadata: Metadata[Any] = Metadata(signed)
        add_signatures(metadata, self.setup[role].signers)
        try:
            root.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except RepositoryError as error:
            raise _too_few(root.signed, role) from error
        data = to_bytes(metadata)
        if len(data) > _LARGEST[role]:
            raise UsageError(
                f"the {role} metadata would have {len(data)} bytes; stock clients read {_LARGEST[role]} at most",
                remedy="publish the next releases in a new repository",
            )
        return SignedMetadata(role, signed.version, data, tuple(metadata.signatures))


def _readable(targets: Mapping[str, TargetFile]) -> tuple[Published, ...]:
    """The releases of targets; none where those cannot be read: the root is rotated whatever a thief of keys has published."""
    try:
        return releases_of(Targets(targets=dict(targets)))
    except IntegrityError:
        return ()


def _too_few(root: Root, role: RepositoryRole) -> UsageError:
    return UsageError(
        f"the keys that can be used here are not enough to sign as {role}: the root asks for {root.roles[role].threshold} "
        f"of its {len(root.roles[role].keyids)}",
        remedy="name their signers in devicepipe.toml; if the keys changed: `devicepipe repository rotate`",
    )
