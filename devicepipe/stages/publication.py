"""Publication: a product's repository by its devicepipe.toml, and what is published of a release.

A release is published by a person's signature (`release`), and taken back by another one (`withdraw`); the repository is then
brought into the state that they say, and the log told. Each of the three finds what is done already: whoever was killed runs it
again.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from devicepipe.approval.lifecycle import Standing, State
from devicepipe.distribution.object_store import SCHEME, ObjectStore
from devicepipe.distribution.releases import (
    EVIDENCE,
    EVIDENCE_FILES,
    SIGNATURES,
    Parcel,
    PublishedState,
    check_version,
    find_release,
    in_one_line,
    sha256,
)
from devicepipe.distribution.repository import Repository
from devicepipe.distribution.seen import Seen
from devicepipe.distribution.signing import RoleSetup, RoleSigner, SignedMetadata
from devicepipe.distribution.store import FolderStore, Store
from devicepipe.durable import alone
from devicepipe.errors import UsageError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.key_uses import use_of_key
from devicepipe.evidence.layout import RELEASE_STATEMENT
from devicepipe.evidence.ledger.entry import Entry, make_entry
from devicepipe.evidence.production import ATTESTATION, VerifiedProduction
from devicepipe.evidence.signatures import Given, record_folder
from devicepipe.evidence.verify import VerifiedBundle
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.project.publication_settings import ROLES, RepositoryRole
from devicepipe.signing.keys import PublicKey, ensure_development_key, load_signer
from devicepipe.stages import ledger
from devicepipe.stages.approval import log_signatures
from devicepipe.stages.context import default_tester
from devicepipe.stages.logged import logged_standing


def open_store(project: Project) -> Store:
    """Where the product is published. Raises UsageError as `ObjectStore`."""
    place = project.publication.repository
    return ObjectStore(place) if place.startswith(SCHEME) else FolderStore(project.root / place)


def open_repository(project: Project, *, logged: bool = True) -> Repository:
    """The product's repository, with the keys that devicepipe.toml names, or development keys.

    Args:
        project: The product.
        logged: Whether each use of a key is logged, before anything is written that it signed.

    Raises:
        UsageError: A key cannot be read.
    """
    setup = {role: _role(project, role) for role in ROLES}
    seen = Seen(project.state / "publication" / "seen.json")
    repository = Repository(open_store(project), setup, seen)
    return replace(repository, tell=functools.partial(_log_uses, project)) if logged else repository


def _log_uses(project: Project, signed: Sequence[SignedMetadata]) -> None:
    at, by = utc_now(), default_tester()
    uses = [use for one in signed for use in uses_in_metadata(one, at=at, by=by)]
    ledger.append(project, uses)


def uses_in_metadata(signed: SignedMetadata, *, at: str, by: str) -> list[Entry]:
    """What the log says of the keys that signed metadata of the repository, by the ids that TUF gives them."""
    subject, digest = f"{signed.role} {signed.version}", sha256(signed.data)
    return [use_of_key(keyid, "repository metadata", subject, digest, at=at, by=by) for keyid in signed.keyids]


def _role(project: Project, role: RepositoryRole) -> RoleSetup:
    settings = project.publication.role(role)
    lasts = timedelta(days=project.publication.days(role))
    if not settings.keys:
        pair = ensure_development_key(project.state / "keys", f"publication-{role}")
        return RoleSetup((RoleSigner(pair.public, pair.signer),), 1, lasts)
    signers: list[RoleSigner] = []
    for key in settings.keys:
        public = PublicKey.load(project.root / key.public)
        uri = key.signer
        opened = functools.partial(load_signer, uri, public, project.root) if uri is not None else None
        signers.append(RoleSigner(public, opened))
    return RoleSetup(tuple(signers), settings.threshold, lasts)


def trusted_root(project: Project) -> bytes:
    """The root that the product has committed, which clients start from.

    Raises:
        UsageError: There is none yet.
    """
    path = project.root / project.publication.trusted_root
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the root of the repository cannot be read: {error.strerror}",
            file=path,
            remedy="make the repository: `devicepipe repository init`",
        ) from error


def check_publishable(project: Project, repository: Repository, bundle: VerifiedBundle) -> None:
    """See, before anybody signs, that a release can be published.

    The repository holds, its keys can be used and fit the release's, and the version is free.

    Raises:
        UsageError, IntegrityError, BenchError: It cannot; as `Repository.state`.
    """
    development = any(one.public.development for of in repository.setup.values() for one in of.signers)
    if bundle.public_key.development != development:
        raise UsageError(
            "the release is signed with development keys, the repository is not"
            if bundle.public_key.development
            else "the repository is signed with development keys, and the release is not",
            file=project.root / CONFIG_NAME,
            key="publication",
            remedy="configure keys for both, [keys] and [publication], or for neither",
        )
    state = repository.state(trusted_root(project))
    repository.check_signers(state)
    check_version(
        state.targets.signed, bundle.release.product, bundle.release.version, bundle.sha256(RELEASE_STATEMENT)
    )


def is_published(project: Project, repository: Repository, bundle: VerifiedBundle) -> bool:
    """Whether the repository has the release, be it withdrawn, or had it. Raises as `Repository.state`."""
    targets, release = repository.state(trusted_root(project)).targets.signed, bundle.release
    return find_release(targets, release.product, release.version) is not None or repository.seen.has(
        repository.store.url, f"{release.product} {release.version}"
    )


def publish(
    project: Project, repository: Repository, bundle: VerifiedBundle, production: VerifiedProduction | None
) -> tuple[PublishedState, bool]:
    """Bring the repository into the state that people signed, and log it; returns the state, and whether that changed anything.

    Args:
        project: The product.
        repository: Its repository.
        bundle: The release, signed as released or as withdrawn.
        production: What ships of it; not needed for one that is withdrawn.

    Raises:
        UsageError: The release is neither released nor withdrawn; as `Repository.publish`.
        IntegrityError, BenchError: As `Repository.publish` and `logged_standing`.
    """
    published: list[tuple[PublishedState, str]] = []

    @contextmanager
    def ready() -> Iterator[Parcel]:
        # Asked once the repository is ours, and nobody signs until it is published: a withdrawal comes before, and is seen, or
        # after. The locks are always taken in this order: repository, record, roster, log.
        log_signatures(project, bundle)  # of a signer whose process was killed before it came to that
        with alone(record_folder(bundle.folder)):
            record, standing = logged_standing(project, bundle)
            state = _state(bundle, record.signatures[-1] if record.signatures else None, standing)
            files = {f"{EVIDENCE}{name}": bundle.read(name) for name in EVIDENCE_FILES}
            files |= {f"{SIGNATURES}{name}": data for name, data in record.files.items()}
            if production is not None and state.state == "released":
                files |= {name: production.read(name) for name in production.names()}
                files[ATTESTATION] = production.envelope
            published.append((state, record.signatures[-1].signature.account))
            yield Parcel(state, files)

    changed = repository.publish(trusted_root(project), ready())
    state, account = published[-1]
    _log(project, state, account)
    return state, changed


def _state(bundle: VerifiedBundle, last: Given | None, standing: Standing) -> PublishedState:
    if last is None or standing.state not in (State.RELEASED, State.WITHDRAWN):
        raise UsageError(
            f"the release is {standing.state.told}: nobody has signed that it be published",
            remedy="see `devicepipe approvals` for what it wants",
        )
    return PublishedState(
        product=bundle.release.product,
        version=bundle.release.version,
        release=bundle.sha256(RELEASE_STATEMENT),
        state="released" if standing.state is State.RELEASED else "withdrawn",
        on=last.signature.on,
        signature=last.sha256,
        meaning=in_one_line(last.signature.meaning),
    )


def _log(project: Project, state: PublishedState, account: str) -> None:
    """Tell the log, unless a run that was interrupted did: of what was signed then, and is done now."""
    details = {
        "outcome": "published" if state.state == "released" else "withdrawn",
        "repository": project.publication.repository,
    }
    entry = make_entry(
        "publication", at=state.on, by=account, subject=state.title, digest=state.release, details=details
    )
    ledger.append_once(project, [entry])
