"""A release from a repository, verified twice: by the TUF client, and by what its release key and its people signed."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devicepipe.approval.lifecycle import Standing, State
from devicepipe.approval.record import open_record
from devicepipe.distribution.client import Client, open_client
from devicepipe.distribution.known import KnownRelease, KnownReleases
from devicepipe.distribution.pulling import WithdrawnError, choose, fetch, wanted_files
from devicepipe.distribution.releases import (
    EVIDENCE,
    EVIDENCE_FILES,
    SIGNATURES,
    STATEMENT,
    Published,
    PublishedState,
    in_one_line,
    releases_of,
)
from devicepipe.errors import BenchError, IntegrityError
from devicepipe.evidence.dsse import open_envelope
from devicepipe.evidence.files import hash_file, read_file, shown, walk
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import RELEASE_ENVELOPE, RELEASE_STATEMENT
from devicepipe.evidence.ledger.disk import Disk
from devicepipe.evidence.names import is_name
from devicepipe.evidence.predicates import RELEASE, Release
from devicepipe.evidence.production import ATTESTATION, PRODUCTION, PRODUCTION_KEY, Production
from devicepipe.evidence.signatures import SignedRecord
from devicepipe.evidence.statement import MAXIMUM_BYTES, parse_canonical, parse_pretty, read_predicate
from devicepipe.evidence.verify import ListedBundle
from devicepipe.signing.keys import MAXIMUM_PEM, PublicKey
from devicepipe.stages.standing import standing_by

_WITHDRAWN = ".withdrawn.new"
"""Where, in the folder of trust, the evidence of a withdrawal lies while it is verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What people signed of a release, verified: its statement with that SHA-256, the record, and what it comes to."""

    release: Release
    sha256: str
    record: SignedRecord
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched(Signed):
    """A release as it was fetched, verified: what ships, for which boards it is there, and in how many files."""

    production: Production
    boards: tuple[str, ...]
    files: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """A release that was pulled.

    Attributes:
        folder: Its folder.
        new: Whether that was made now.
        state: What the repository says of it, which is what people signed.
        fetched: What was verified.
        unproven: What the repository says of withdrawals of the product, and no signature proves: title -> why.
    """

    folder: Path
    new: bool
    state: PublishedState
    fetched: Fetched
    unproven: Mapping[str, str] = field(default_factory=dict)


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

    What is verified of releases and of withdrawals is kept in the folder of trust, and a repository that shows less is refused.

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
        UsageError, IntegrityError, BenchError: As `open_client`, `choose`, `fetch` and `verify_fetched`.
    """
    with open_client(trust, url, root) as client:
        client.refresh()
        releases = releases_of(client.targets())
        known = KnownReleases(Disk(trust))
        known.check(releases)
        unproven = {
            one.title: why
            for one in releases
            if one.state.state == "withdrawn" and product in (None, one.state.product)
            if (why := _learn_withdrawal(client, known, one, trust / _WITHDRAWN, release_key))
        }
        published = choose(releases, product, version)
        KeyTrust.of(release_key).check_product(published.state.product)
        if published.state.state == "withdrawn":
            raise _withdrawn(known, published, unproven.get(published.title, ""))
        files = wanted_files(published, boards)
        final = output / f"{published.state.product}-{published.state.version}"

        def check(folder: Path) -> Fetched:
            fetched = verify_fetched(folder, release_key, boards)
            _check_state(fetched, published.state)
            _keep(known, fetched)
            return fetched

        fetched, new = fetch(client, files, final, check)
    return Pulled(final, new, published.state, fetched, unproven)


def _learn_withdrawal(
    client: Client, known: KnownReleases, published: Published, place: Path, release_key: PublicKey | KeyTrust
) -> str:
    """Verify by what people signed that a release was withdrawn, and keep it for good; returns why it cannot be, or ""."""
    state = published.state
    before = known.find(state.product, state.version)
    if before is not None and before.withdrawn is not None:
        return ""
    files = {name: one for name, one in wanted_files(published).items() if name.startswith((EVIDENCE, SIGNATURES))}
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    try:
        for name, target in sorted(files.items()):
            client.download(target, place / name)
        signed = _signed(place, _names(place), KeyTrust.of(release_key), State.WITHDRAWN)
        _check_state(signed, state)
        _keep(known, signed)
    except (IntegrityError, BenchError) as error:
        return str(error).partition("\n")[0]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return ""


def _withdrawn(known: KnownReleases, published: Published, unproven: str) -> WithdrawnError:
    proven = known.find(published.state.product, published.state.version)
    if proven is None or proven.withdrawn is None:
        return WithdrawnError(
            f"the repository says that {published.title} is withdrawn, and no person's signature proves it: {unproven}",
            remedy="ask its manufacturer, by another way, whether it is and why",
        )
    return WithdrawnError(
        f"{published.title} was withdrawn by {proven.withdrawn}",
        remedy="use another version; where this one is installed, ask its manufacturer what to do",
    )


def _keep(known: KnownReleases, signed: Signed) -> None:
    """Keep what was verified, which must not be less than before."""
    release, record = signed.release, signed.record
    signatures = [one.sha256 for one in record.signatures]
    known.check_record(release.product, release.version, signatures)
    withdrawn = record.signatures[-1].signature.told if signed.standing.state is State.WITHDRAWN else None
    known.keep(
        KnownRelease(
            product=release.product,
            version=release.version,
            release=signed.sha256,
            signatures=signatures,
            withdrawn=withdrawn,
        )
    )


def is_fetched(folder: Path) -> bool:
    """Whether a folder is what `pull` makes, and no bundle."""
    return (folder / STATEMENT).is_file() and not (folder / RELEASE_STATEMENT).exists()


def verify_fetched(folder: Path, release_key: PublicKey | KeyTrust, boards: Collection[str] | None = None) -> Fetched:
    """Verify what was fetched of a release, with nothing but the release key.

    1. The release statement is signed by the release key, and what else is there of the bundle is what it lists.
    2. What people signed holds, is of this statement, and comes to `released` under the rules that were released with it.
    3. What ships is attested by the release key for this statement; every file of the boards is there with its SHA-256, and
       nothing else.

    Args:
        folder: The folder.
        release_key: The release key that the caller trusts, alone or with a history of keys.
        boards: The boards whose files were fetched; empty: all; None: those of which there is any.

    Raises:
        IntegrityError: A link does not hold; `link` names the first one.
    """
    trust = KeyTrust.of(release_key)
    names = _names(folder)
    signed = _signed(folder, names, trust, State.RELEASED)
    release = signed.release
    production, there = _production(folder, names, (signed.sha256, release.product, release.version), trust, boards)
    return Fetched(
        release=release,
        sha256=signed.sha256,
        record=signed.record,
        standing=signed.standing,
        production=production,
        boards=there,
        files=len(names),
    )


def _signed(folder: Path, names: Collection[str], trust: KeyTrust, wanted: State) -> Signed:
    """Steps 1 and 2."""
    release, sha256, evidence = _evidence(folder / EVIDENCE.rstrip("/"), names, trust)
    place = folder / SIGNATURES.rstrip("/")
    record = open_record(place, release, sha256, trust)
    if record.unlogged:
        raise IntegrityError(
            "has no proof that it is in the log, without which none is published", link=record.unlogged[0]
        )
    _, standing = standing_by(evidence, release, record)
    if standing.state is not wanted:
        raise IntegrityError(f"comes to {standing.state}, not to {wanted}", link=SIGNATURES)
    return Signed(release=release, sha256=sha256, record=record, standing=standing)


def _check_state(signed: Signed, state: PublishedState) -> None:
    """See that the repository says of a release what its own evidence does."""
    release = signed.release
    if signed.sha256 != state.release or (release.product, release.version) != (state.product, state.version):
        raise IntegrityError(f"is of {release.product} {release.version}", link=STATEMENT)
    if signed.record.signatures[-1].sha256 != state.signature:
        raise IntegrityError("is not the signature that the repository names", link=signed.record.signatures[-1].file)
    last = signed.record.signatures[-1]
    if (state.on, state.meaning) != (last.signature.on, in_one_line(last.signature.meaning)):
        raise IntegrityError("has another date or meaning than the repository tells", link=last.file)


def _names(folder: Path) -> set[str]:
    """The files of a folder, which has nothing but files and folders."""
    names: set[str] = set()
    for entry in walk(folder):
        if entry.is_file and is_name(entry.name):
            names.add(entry.name)
            if entry.name.startswith(EVIDENCE) and entry.name.removeprefix(EVIDENCE) not in EVIDENCE_FILES:
                raise IntegrityError("does not belong to the evidence of a release that was fetched", link=entry.name)
        elif not entry.is_folder:
            raise IntegrityError("does not belong to a release", link=shown(entry.name))
    return names


def _evidence(folder: Path, names: Collection[str], trust: KeyTrust) -> tuple[Release, str, ListedBundle]:
    """Step 1: the few files of the bundle that come along."""
    link = f"{EVIDENCE}{RELEASE_ENVELOPE}"
    envelope = read_file(folder, RELEASE_ENVELOPE, MAXIMUM_BYTES)
    key = trust.key_of(envelope, link)
    payload = open_envelope(envelope, key, link)
    link = STATEMENT
    if read_file(folder, RELEASE_STATEMENT, MAXIMUM_BYTES) != payload:
        raise IntegrityError("is not what is signed", link=link)
    statement = parse_pretty(payload, link)
    if statement.predicate_type != RELEASE:
        raise IntegrityError("is no release statement", link=link)
    release = read_predicate(statement.predicate, Release, link)
    trust.check_time(key, release.sealed_on, "was sealed", link)
    bundle = ListedBundle(folder, {one.name: one.digest.sha256 for one in statement.subjects})
    for name in sorted(name.removeprefix(EVIDENCE) for name in names if name.startswith(EVIDENCE)):
        if name not in (RELEASE_STATEMENT, RELEASE_ENVELOPE):
            bundle.read(name)
    return release, hash_file(folder, RELEASE_STATEMENT), bundle


def _production(
    folder: Path, names: set[str], release: tuple[str, str, str], trust: KeyTrust, boards: Collection[str] | None
) -> tuple[Production, tuple[str, ...]]:
    """Step 3; also the boards whose files are there."""
    envelope = read_file(folder, ATTESTATION, MAXIMUM_BYTES)
    key = trust.key_of(envelope, ATTESTATION)
    statement = parse_canonical(open_envelope(envelope, key, ATTESTATION), ATTESTATION)
    if statement.predicate_type != PRODUCTION:
        raise IntegrityError("is no attestation of what ships", link=ATTESTATION)
    production = read_predicate(statement.predicate, Production, ATTESTATION)
    if (production.release_statement, production.product, production.version) != release:
        raise IntegrityError("is about another release", link=ATTESTATION)
    trust.check_time(key, production.made_on, "was made", ATTESTATION)
    wanted = [
        one
        for one in production.boards
        if (names.intersection(one.files) if boards is None else not boards or one.board in boards)
    ]
    listed = {one.name: one.digest.sha256 for one in statement.subjects}
    others = {name for one in production.boards if one not in wanted for name in one.files}
    own = {name for name in names if not name.startswith((EVIDENCE, SIGNATURES)) and name != ATTESTATION}
    if odd := own - (listed.keys() - others):
        raise IntegrityError("is not in the attestation of what ships", link=min(odd))
    for name in sorted(listed.keys() - others):
        if hash_file(folder, name) != listed[name]:
            raise IntegrityError("differs from what the attestation lists", link=name)
    shipped_under = PublicKey.from_pem(read_file(folder, PRODUCTION_KEY, MAXIMUM_PEM))
    trust.check_image_key(shipped_under, production.made_on, envelope, PRODUCTION_KEY)
    return production, tuple(one.board for one in wanted)
