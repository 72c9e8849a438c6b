"""A release from a repository, verified twice: by the TUF client, and by what its release key and its people signed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from devicepipe.approval.lifecycle import Standing, State
from devicepipe.approval.record import standing_of
from devicepipe.distribution.client import open_client
from devicepipe.distribution.pulling import choose, fetch, wanted_files
from devicepipe.distribution.releases import EVIDENCE, SIGNATURES, PublishedState
from devicepipe.errors import IntegrityError
from devicepipe.evidence.dsse import open_envelope
from devicepipe.evidence.files import hash_file, read_file, walk
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import RELEASE_ENVELOPE, RELEASE_STATEMENT
from devicepipe.evidence.predicates import RELEASE, Release
from devicepipe.evidence.production import ATTESTATION, PRODUCTION, PRODUCTION_KEY, Production
from devicepipe.evidence.signature_proofs import check_proofs
from devicepipe.evidence.signatures import SignedRecord, verify_record
from devicepipe.evidence.statement import MAXIMUM_BYTES, parse_canonical, parse_pretty, read_predicate
from devicepipe.evidence.verify import ListedBundle
from devicepipe.signing.keys import MAXIMUM_PEM, PublicKey
from devicepipe.stages.standing import authors_of, policy_of


@dataclass(frozen=True, slots=True)
class Pulled:
    """A release that was fetched: its folder, whether that is new, what the repository says of it, and what people signed."""

    folder: Path
    new: bool
    state: PublishedState
    files: int
    production: Production
    record: SignedRecord
    standing: Standing


def pull(
    url: str,
    trust: Path,
    output: Path,
    *,
    root: bytes | None,
    release_key: PublicKey | KeyTrust,
    product: str | None = None,
    version: str | None = None,
    boards: Collection[str] = (),
) -> Pulled:
    """Fetch a release, whole or not at all.

    Args:
        url: The repository.
        trust: The folder in which is kept what is trusted of it.
        output: Where the release's folder, `<product>-<version>`, goes.
        root: The root metadata to begin with, the first time.
        release_key: The release key that the caller trusts, alone or with a history of keys.
        product: Of which product; of the only one.
        version: Which version; the newest.
        boards: For these boards only.

    Raises:
        WithdrawnError: It has been withdrawn.
        UsageError, IntegrityError, BenchError: As `open_client`, `choose`, `fetch` and `verify_pulled`.
    """
    with open_client(trust, url, root) as client:
        client.refresh()
        published = choose(client, product, version)
        files = wanted_files(published, boards)
        final = output / f"{published.state.product}-{published.state.version}"
        new = fetch(client, files, final, lambda folder: verify_pulled(folder, published.state, release_key, boards))
    production, record, standing = verify_pulled(final, published.state, release_key, boards)
    return Pulled(final, new, published.state, len(files), production, record, standing)


def verify_pulled(
    folder: Path, state: PublishedState, release_key: PublicKey | KeyTrust, boards: Collection[str] = ()
) -> tuple[Production, SignedRecord, Standing]:
    """Verify what was fetched of a release, with nothing but the release key.

    1. The release statement is signed by the release key, and is that of the state, product and version.
    2. What people signed holds, is of this statement, and comes to `released` under the rules that were released with it.
    3. What ships is attested by the release key for this statement; every file is listed with its SHA-256.

    Args:
        folder: The folder.
        state: What the repository says of the release.
        release_key: The release key that the caller trusts, alone or with a history of keys.
        boards: The boards whose files were fetched; all of them, if none is named.

    Raises:
        IntegrityError: A link does not hold; `link` names the first one.
    """
    trust = KeyTrust.of(release_key)
    evidence = _evidence(folder / EVIDENCE.rstrip("/"), state, trust)
    place = folder / SIGNATURES.rstrip("/")
    record = verify_record(place, state.release, state.product, state.version, trust)
    check_proofs(place, record, state.release, trust)
    standing = standing_of(record, policy_of(evidence), authors_of(evidence))
    if standing.state is not State.RELEASED or record.signatures[-1].sha256 != state.signature:
        raise IntegrityError(f"comes to {standing.state}, the repository says {state.state}", link=SIGNATURES)
    return _production(folder, state, trust, boards), record, standing


def _evidence(folder: Path, state: PublishedState, trust: KeyTrust) -> ListedBundle:
    """Step 1: the few files of the bundle that come along."""
    link = f"{EVIDENCE}{RELEASE_ENVELOPE}"
    envelope = read_file(folder, RELEASE_ENVELOPE, MAXIMUM_BYTES)
    key = trust.key_of(envelope, link)
    payload = open_envelope(envelope, key, link)
    link = f"{EVIDENCE}{RELEASE_STATEMENT}"
    if read_file(folder, RELEASE_STATEMENT, MAXIMUM_BYTES) != payload:
        raise IntegrityError("is not what is signed", link=link)
    statement = parse_pretty(payload, link)
    if statement.predicate_type != RELEASE or hash_file(folder, RELEASE_STATEMENT) != state.release:
        raise IntegrityError("is not the release statement that the repository names", link=link)
    release = read_predicate(statement.predicate, Release, link)
    if (release.product, release.version) != (state.product, state.version):
        raise IntegrityError(f"is of {release.product} {release.version}", link=link)
    trust.check_time(key, release.sealed_on, "was sealed", link)
    digests = {one.name: one.digest.sha256 for one in statement.subjects}
    return ListedBundle(folder, digests)


def _production(folder: Path, state: PublishedState, trust: KeyTrust, boards: Collection[str]) -> Production:
    """Step 3."""
    envelope = read_file(folder, ATTESTATION, MAXIMUM_BYTES)
    key = trust.key_of(envelope, ATTESTATION)
    statement = parse_canonical(open_envelope(envelope, key, ATTESTATION), ATTESTATION)
    if statement.predicate_type != PRODUCTION:
        raise IntegrityError("is no attestation of what ships", link=ATTESTATION)
    production = read_predicate(statement.predicate, Production, ATTESTATION)
    said = (production.release_statement, production.product, production.version)
    if said != (state.release, state.product, state.version):
        raise IntegrityError("is about another release", link=ATTESTATION)
    trust.check_time(key, production.made_on, "was made", ATTESTATION)
    listed = {one.name: one.digest.sha256 for one in statement.subjects}
    others = {name for one in production.boards if boards and one.board not in boards for name in one.files}
    found = {
        entry.name
        for entry in walk(folder)
        if entry.is_file and not entry.name.startswith((EVIDENCE, SIGNATURES)) and entry.name != ATTESTATION
    }
    if odd := found - (listed.keys() - others):
        raise IntegrityError("is not in the attestation of what ships", link=min(odd))
    for name in sorted(listed.keys() - others):
        if hash_file(folder, name) != listed[name]:
            raise IntegrityError("differs from what the attestation lists", link=name)
    shipped_under = PublicKey.from_pem(read_file(folder, PRODUCTION_KEY, MAXIMUM_PEM))
    trust.check_image_key(shipped_under, production.made_on, envelope, PRODUCTION_KEY)
    return production
