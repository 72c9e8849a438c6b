"""Which releases a key signed: what falls with it when it is revoked, and what of a release is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from devicepipe.distribution.layout import target_file, target_path
from devicepipe.distribution.releases import EVIDENCE, SIGNATURES, Published, releases_of, sha256
from devicepipe.distribution.state import load_state
from devicepipe.distribution.store import Store
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.dsse import keyid_unverified
from devicepipe.evidence.files import hash_file, read_file, walk
from devicepipe.evidence.key_history import Role
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import IMAGE_KEY, PROOF_SUFFIX, RELEASE_ENVELOPE, RELEASE_STATEMENT
from devicepipe.evidence.ledger.checkpoint import Trust
from devicepipe.evidence.ledger.proof import MAXIMUM_PROOF, says_key, verify_proof
from devicepipe.evidence.production import ATTESTATION, PRODUCTION_KEY, production_folder, verify_production
from devicepipe.evidence.signatures import SignedRecord, record_folder
from devicepipe.evidence.statement import MAXIMUM_BYTES
from devicepipe.evidence.verify import VerifiedBundle
from devicepipe.project.config import Project
from devicepipe.signing.keys import MAXIMUM_PEM, PublicKey
from devicepipe.stages.publication import open_store, trusted_root


@dataclass(frozen=True)
class SignedRelease:
    """A release that a key signed, as its files say.

    Attributes:
        statement: The SHA-256 of its release statement.
        bundle: Its bundle, from the project's folder on; "" where that is not here.
        published: What the repository says of it, e.g. "pump 1.0.0, published"; "" where it has none.
    """

    statement: str
    bundle: str = ""
    published: str = ""

    def __str__(self) -> str:
        if not self.bundle:
            return f"{self.published}, whose bundle is not here"
        return f"{self.bundle} ({self.published})" if self.published else self.bundle


def releases_by(project: Project, key: PublicKey, role: Role) -> list[SignedRelease]:
    """The releases of a product that fall with a key: the bundles in its folder of releases, and what is published.

    Nothing is verified of a bundle here: the files say themselves whose they are, and one that lies falls with no key.

    Args:
        project: The product.
        key: The key.
        role: What the key is for.

    Raises:
        UsageError, IntegrityError, BenchError: The product has a repository, and it cannot be read.
    """
    found: dict[str, SignedRelease] = {}
    for statement in sorted((project.root / project.output).glob(f"*/{RELEASE_STATEMENT}")):
        bundle = statement.parent
        with suppress(IntegrityError, UsageError, OSError):
            if _falls(bundle, key, role):
                digest = hash_file(bundle, RELEASE_STATEMENT)
                found[digest] = SignedRelease(digest, str(bundle.relative_to(project.root)))
    for digest, title in _published_by(project, key, role):
        found[digest] = replace(found.get(digest, SignedRelease(digest)), published=title)
    return list(found.values())


def _falls(bundle: Path, key: PublicKey, role: Role) -> bool:
    """Whether a bundle, what people signed of it, or what ships of it is by a key of a role, as they say."""
    production = production_folder(bundle)
    if role == "image":
        return PublicKey.from_pem(read_file(bundle, IMAGE_KEY, MAXIMUM_PEM)).keyid == key.keyid
    if role == "production":
        return production.is_dir() and (
            PublicKey.from_pem(read_file(production, PRODUCTION_KEY, MAXIMUM_PEM)).keyid == key.keyid
        )
    # Rosters and proofs are by the key that was in force when people signed, which may be a later one than the bundle's.
    record = record_folder(bundle)
    files = [(bundle, RELEASE_ENVELOPE)]
    files += [(production, ATTESTATION)] if production.is_dir() else []
    files += [(record, one.name) for one in walk(record) if one.is_file] if record.is_dir() else []
    return any(_says(read_file(folder, name, MAXIMUM_BYTES), name, key) for folder, name in files)


def _published_by(project: Project, key: PublicKey, role: Role) -> Iterator[tuple[str, str]]:
    """The releases in the product's repository, if it has one, that fall with a key: statements by SHA-256, and titles."""
    if role == "image" or not (project.root / project.publication.trusted_root).exists():
        return  # images under the key for tests are not published
    store = open_store(project)
    for one in releases_of(load_state(store, trusted_root(project)).targets.signed):
        if role == "production":
            production = _target(store, one, PRODUCTION_KEY)
            falls = production is not None and PublicKey.from_pem(production).keyid == key.keyid
        else:
            own = (f"{EVIDENCE}{RELEASE_ENVELOPE}", ATTESTATION)
            names = (name for name in one.targets if name in own or name.startswith(SIGNATURES))
            falls = any(_says(_target(store, one, name) or b"", name, key) for name in names)
        if falls:
            yield one.state.release, f"{one.title}, {'published' if one.state.state == 'released' else 'withdrawn'}"


def _says(data: bytes, name: str, key: PublicKey) -> bool:
    """Whether a file, an envelope or a proof from the log, says that a key signed it."""
    with suppress(IntegrityError):
        if name.endswith(PROOF_SUFFIX):
            return says_key(data, key, name)
        return keyid_unverified(data, name) == key.keyid
    return False


def _target(store: Store, published: Published, name: str) -> bytes | None:
    target = published.targets.get(name)
    if target is None:
        return None
    path = target_path(published.state.product, published.state.version, name)
    data = store.read(target_file(path, target.hashes["sha256"]))
    if sha256(data) != target.hashes["sha256"]:
        raise IntegrityError("is not what was published: its bytes were altered", link=path)
    return data


def signed_by(bundle: VerifiedBundle, record: SignedRecord, key: PublicKey, role: Role) -> set[str]:
    """The digests of what a key signed of a release, once all of that is verified.

    Raises:
        IntegrityError: What ships of it does not hold.
    """
    production = production_folder(bundle.folder)
    shipped = verify_production(bundle) if production.is_dir() else None
    envelopes = [bundle.read(RELEASE_ENVELOPE)]
    if shipped is not None:
        envelopes.append(shipped.envelope)
    if role == "image":
        own = PublicKey.from_pem(bundle.read(IMAGE_KEY)).keyid == key.keyid
        return {sha256(envelopes[0])} if own else set()
    if role == "production":
        return {sha256(envelopes[-1])} if shipped is not None and shipped.production_key.keyid == key.keyid else set()
    envelopes += [data for name, data in record.files.items() if not name.endswith(PROOF_SUFFIX)]
    proofs = {name: data for name, data in record.files.items() if name.endswith(PROOF_SUFFIX)}
    by_key = {sha256(data) for data in envelopes if keyid_unverified(data, "the bundle") == key.keyid}
    return by_key | {sha256(data) for name, data in proofs.items() if _proof_by(data, name, bundle.trust, key)}


def proofs_by(folder: Path, trust: KeyTrust, key: PublicKey) -> set[str]:
    """The digests of the history's own proofs whose checkpoint a key signed: they count on, each is checked against its change."""
    proofs = {one.name: one.read_bytes()[: MAXIMUM_PROOF + 1] for one in sorted(folder.glob(f"*{PROOF_SUFFIX}"))}
    return {sha256(data) for name, data in proofs.items() if _proof_by(data, name, trust, key)}


def _proof_by(data: bytes, name: str, trust: KeyTrust, key: PublicKey) -> bool:
    return verify_proof(data, Trust(trust.keys), name).checkpoint.key.keyid == key.keyid
