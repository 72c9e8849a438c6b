"""The root of a product's repository: made, signed by several people in turn, published, followed by the next one.

The next root waits beside the trusted one, as `root.next.json`, until enough keys have signed it: each by whoever has that key, on
a machine of theirs. It is a file to be passed on or committed, and no secret. Once published it takes the place of the trusted one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Root

from devicepipe.distribution.layout import metadata_file
from devicepipe.distribution.releases import sha256
from devicepipe.distribution.repository import Repository
from devicepipe.distribution.signing import RoleSigner, Setup, SignedMetadata, add_signatures, root_of
from devicepipe.distribution.state import check_root, load_state, read_metadata, to_bytes
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.ledger.entry import Entry, make_entry
from devicepipe.project.config import Project
from devicepipe.project.state import locked_in_state
from devicepipe.stages import ledger
from devicepipe.stages.publication import uses_in_metadata

_MADE_ON = "x-devicepipe-made-on"
"""The field of a root that tells when it was made, which the log says of its keys."""


@dataclass(frozen=True, slots=True)
class RootProgress:
    """How far a root is.

    Attributes:
        version: Its version.
        file: Where it lies.
        published: Whether it is the repository's root now.
        missing: What it wants yet, in words; empty where nothing.
    """

    version: int
    file: Path
    published: bool
    missing: str


def trusted_file(project: Project) -> Path:
    """The root that clients start from."""
    return project.root / project.publication.trusted_root


def next_file(project: Project) -> Path:
    """The root that waits for signatures."""
    trusted = trusted_file(project)
    return trusted.with_name(f"{trusted.stem}.next{trusted.suffix}")


def advance_root(project: Project, repository: Repository, account: str, *, broken: bool = False) -> RootProgress:
    """Make the next root of the keys in devicepipe.toml, sign it with those at hand, and publish it if that is enough.

    Where one waits already, it is that one. The first root makes the repository.

    Args:
        project: The product.
        repository: Its repository.
        account: Who does it, for the log.
        broken: See `Repository.rotate`.

    Raises:
        UsageError, IntegrityError, BenchError: As `Repository.create` and `Repository.rotate`.
    """
    with _alone(project):
        return _advance(project, repository, account, broken=broken)


def _alone(project: Project) -> AbstractContextManager[None]:
    """Wait until nobody else makes, signs or publishes the next root on this machine."""
    return locked_in_state(project, "root")


def _advance(project: Project, repository: Repository, account: str, *, broken: bool) -> RootProgress:
    trusted, waiting = trusted_file(project), next_file(project)
    before = _load(trusted) if trusted.exists() else None
    if before is not None and waiting.exists() and waiting.read_bytes() == trusted.read_bytes():
        waiting.unlink()  # of a run that was killed just before it came to that
        return RootProgress(before.signed.version, trusted, published=True, missing="")
    if before is not None and not waiting.exists():
        # Not where one waits: that may be the newest, of a run that was killed.
        published = load_state(repository.store, trusted.read_bytes(), former=True)
        if published.root.signed.version != before.signed.version:
            raise UsageError(
                f"the repository's root is version {published.root.signed.version}, that of the project "
                f"{before.signed.version}",
                file=trusted,
                remedy="take over the newer one from whoever made it: it is committed with the product; if it was lost "
                f"before that, copy {metadata_file('root', before.signed.version + 1)} of the repository to {waiting}, and run "
                "it again, which finishes it",
            )
        # Before one waits for signatures that could never be published.
        repository.check_follows(published, root_of(repository.setup, before.signed.version + 1), broken=broken)
    root = _waiting(repository.setup, waiting, before, repository)
    if _missing(root, before):
        add_signatures(root, repository.setup["root"].signers)
        _write(waiting, to_bytes(root))
    if missing := _missing(root, before):
        return RootProgress(root.signed.version, waiting, published=False, missing=missing)
    data = waiting.read_bytes()
    if before is None:
        repository.create(data)
    else:
        repository.rotate(trusted.read_bytes(), data, broken=broken)
    _log(project, before.signed if before else None, root, account, data)
    _write(trusted, data)
    waiting.unlink()
    return RootProgress(root.signed.version, trusted, published=True, missing="")


def sign_root(project: Project, signer: RoleSigner) -> RootProgress:
    """Add a key's signature to the root that waits, which names that key or follows a root that does.

    Raises:
        UsageError: None waits, or the key is none that counts; as `keys.sign`.
        IntegrityError: The file is no root.
    """
    waiting, trusted = next_file(project), trusted_file(project)
    with _alone(project):
        root = _load(waiting)
        before = _load(trusted) if trusted.exists() else None
        counting = {*root.signed.roles[Root.type].keyids, *(before.signed.roles[Root.type].keyids if before else ())}
        if signer.key.keyid not in counting:
            raise UsageError(
                "this key is neither of the next root nor of the one before",
                file=waiting,
                remedy="sign with one that is",
            )
        add_signatures(root, [signer])
        _write(waiting, to_bytes(root))
    return RootProgress(root.signed.version, waiting, published=False, missing=_missing(root, before))


def _load(file: Path) -> Metadata[Root]:
    try:
        return read_metadata(file.read_bytes(), Root, file.name)
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}", file=file, remedy="make one: `devicepipe repository init` or `rotate`"
        ) from error


def _waiting(setup: Setup, file: Path, before: Metadata[Root] | None, repository: Repository) -> Metadata[Root]:
    """The root that waits, or a new one of the keys in devicepipe.toml."""
    made = root_of(setup, before.signed.version + 1 if before else 1)
    if not file.exists():
        made.expires = repository.now() + setup["root"].lasts
        made.unrecognized_fields[_MADE_ON] = utc_now()
        new: Metadata[Any] = Metadata(made)
        return new
    root = _load(file)
    if (root.signed.version, root.signed.roles, root.signed.keys) != (made.version, made.roles, made.keys):
        raise UsageError(
            "names other keys or thresholds than devicepipe.toml, or does not follow the trusted root",
            file=file,
            remedy="remove it to begin anew",
        )
    return root


def _missing(root: Metadata[Root], before: Metadata[Root] | None) -> str:
    try:
        check_root(root, before, "the next root")
    except IntegrityError as error:
        return error.message
    return ""


def _write(file: Path, data: bytes) -> None:
    disk = Disk(file.parent)
    disk.make()
    disk.replace(file.name, data, f".{file.name}.new")


def _log(project: Project, before: Root | None, root: Metadata[Root], account: str, data: bytes) -> None:
    """Tell the log who signed a root and which keys came and went, unless a run that was interrupted did."""
    at = root.signed.unrecognized_fields.get(_MADE_ON) or utc_now()
    signed = SignedMetadata("root", root.signed.version, data, tuple(root.signatures))
    entries: list[Entry] = uses_in_metadata(signed, at=at, by=account)
    for role, now in sorted(root.signed.roles.items()):
        earlier = {*before.roles[role].keyids} if before else set()
        for change, keys in (("added", {*now.keyids} - earlier), ("removed", earlier - {*now.keyids})):
            entries += [
                make_entry(
                    "key-change",
                    at=at,
                    by=account,
                    subject=f"repository {role}",
                    digest=sha256(data),
                    details={
                        "change": change,
                        "keyid": keyid,
                        "reason": f"root {root.signed.version} of the repository",
                    },
                )
                for keyid in sorted(keys)
            ]
    ledger.append_once(project, entries)
