"""Verification of a bundle: a pure function of the folder and one public key. No network, no repository, no database.

The order of the checks is fixed, and the first link that does not hold is the one that is named:

1. `release.json.dsse` is one envelope signed by the caller's key, or by one that the caller's history of keys joins with it and
   that was in force then (never by a key that the bundle brings along);
2. `release.json` is exactly the signed bytes, and a release statement;
3. every file that it lists is there, as a regular file, with its SHA-256, in the order of the names;
4. nothing else is there: no further file or folder, no symbolic link, no device;
5. every attestation is signed by the same key, of the type that its name says, and its subjects are files of this bundle;
6. the cross links between the attestations, keys and images: see `links.py`.

What always holds of a `VerifiedBundle`: all of that held, and every later read compares the bytes with the signed list again.
Sizes, depths and counts are bounded (`files.py`, `statement.py`), and nothing is waited for. Not covered: file modes and times,
which no copy of a bundle keeps, and whether the documents say what the evidence does (`devicepipe report` makes them anew).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Attestation, Bundle, checked_attestation
from devicepipe.evidence.checks import Link
from devicepipe.evidence.dsse import open_envelope
from devicepipe.evidence.files import MAXIMUM_TOTAL, hash_file, read_file, shown, size_of, walk
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import ATTESTATIONS, IMAGE_KEY, RELEASE_ENVELOPE, RELEASE_STATEMENT, kind_of_path
from devicepipe.evidence.links import check_links
from devicepipe.evidence.predicates import RELEASE, Release
from devicepipe.evidence.statement import MAXIMUM_BYTES, Statement, parse_canonical, parse_pretty, read_predicate
from devicepipe.signing.keys import PublicKey

_PROOF = object()
_BESIDE = (".signatures", ".production")
"""What the folders that lie beside a bundle end with."""


class ListedBundle(Bundle):
    """A bundle whose files are those of a signed list: a read gives the bytes of the list's SHA-256 or fails."""

    def __init__(self, folder: Path, digests: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._listed = dict(digests)

    def names(self) -> tuple[str, ...]:
        """The names of the signed list, sorted."""
        return tuple(sorted(self._listed))

    def exists(self, name: str) -> bool:
        """Whether the signed list has the name."""
        return name in self._listed

    def sha256(self, name: str) -> str:
        """The SHA-256 in the signed list. Raises IntegrityError where the name is not in it."""
        if name not in self._listed:
            raise IntegrityError("is not in the release statement", link=shown(name))
        return self._listed[name]

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            IntegrityError: The name is not in the signed list, or the file has changed since.
        """
        expected = self.sha256(name)
        data = super().read(name)
        if hashlib.sha256(data).hexdigest() != expected:
            raise IntegrityError("differs from what the release statement lists", link=name)
        return data


class VerifiedBundle(ListedBundle):
    """A bundle that `verify_bundle` has accepted; there is no other way to get one.

    Attributes:
        release: The release statement's predicate.
        public_key: The key it was verified with.
        trust: The release keys that what lies beside the bundle may be signed by.
        links: The checks that were done, in order.
    """

    def __init__(
        self,
        listed: ListedBundle,
        release: Release,
        public_key: PublicKey,
        trust: KeyTrust,
        links: tuple[Link, ...],
        proof: object,
    ) -> None:
        if proof is not _PROOF:
            raise TypeError("a VerifiedBundle comes from verify_bundle only")
        super().__init__(listed.folder, {name: listed.sha256(name) for name in listed.names()})
        self.release = release
        self.public_key = public_key
        self.trust = trust
        self.links = links


def verify_bundle(path: Path, trusted: PublicKey | KeyTrust) -> VerifiedBundle:
    """Verify a bundle.

    Args:
        path: The bundle's folder.
        trusted: The release key that the caller trusts, alone or with a history of keys.

    Raises:
        UsageError: There is no folder at `path`, or one that is no bundle.
        IntegrityError: A link does not hold; `link` names the first one.
        BenchError: imgtool cannot be run.
    """
    if not path.is_dir():
        raise UsageError("there is no bundle: expected a folder", file=path)
    if not any(os.path.lexists(path / name) for name in (RELEASE_STATEMENT, RELEASE_ENVELOPE)):
        beside = next((suffix for suffix in _BESIDE if path.resolve().name.endswith(suffix)), None)
        meant = path.resolve().name.removesuffix(beside) if beside else "dist/NAME-VERSION"
        raise UsageError(
            f"is no bundle of a release: it has no {RELEASE_STATEMENT}",
            file=path,
            remedy=f"name the bundle itself: {path.resolve().with_name(meant)}"
            if beside
            else f"name one, e.g. {meant}",
        )
    links: list[Link] = []
    trust = KeyTrust.of(trusted)
    envelope = read_file(path, RELEASE_ENVELOPE, MAXIMUM_BYTES)
    public_key = trust.key_of(envelope, RELEASE_ENVELOPE)
    digests, release = _check_release(path, envelope, public_key, links)
    trust.check_product(release.product)
    trust.check_time(public_key, release.sealed_on, "was sealed", RELEASE_ENVELOPE)
    _check_files(path, digests, links)
    _check_nothing_else(path, digests, links)
    listed = ListedBundle(path, digests)
    attestations = _check_attestations(listed, public_key, links)
    links += check_links(listed, attestations, release, public_key)
    image_key = PublicKey.from_pem(listed.read(IMAGE_KEY))
    trust.check_image_key(image_key, release.sealed_on, envelope, IMAGE_KEY)
    return VerifiedBundle(listed, release, public_key, trust, tuple(links), _PROOF)


def _check_release(
    path: Path, envelope: bytes, public_key: PublicKey, links: list[Link]
) -> tuple[dict[str, str], Release]:
    """Steps 1 and 2; the digests of all files of the bundle, the release statement's own two included."""
    payload = open_envelope(envelope, public_key, RELEASE_ENVELOPE)
    links.append(Link(RELEASE_ENVELOPE, f"signed by the key {public_key.keyid}"))
    if read_file(path, RELEASE_STATEMENT, MAXIMUM_BYTES) != payload:
        raise IntegrityError("is not what release.json.dsse signs", link=RELEASE_STATEMENT)
    statement = parse_pretty(payload, RELEASE_STATEMENT)
    if statement.predicate_type != RELEASE:
        raise IntegrityError("is not a release statement", link=RELEASE_STATEMENT)
    release = read_predicate(statement.predicate, Release, RELEASE_STATEMENT)
    digests = {subject.name: subject.digest.sha256 for subject in statement.subjects}
    for own, data in ((RELEASE_STATEMENT, payload), (RELEASE_ENVELOPE, envelope)):
        if own in digests:
            raise IntegrityError("lists itself", link=RELEASE_STATEMENT)
        digests[own] = hashlib.sha256(data).hexdigest()
    links.append(Link(RELEASE_STATEMENT, f"is what was signed, and lists {len(statement.subjects)} files"))
    return digests, release


def _check_files(path: Path, digests: Mapping[str, str], links: list[Link]) -> None:
    total = 0
    for name in sorted(digests):
        total += size_of(path, name)
        if total > MAXIMUM_TOTAL:
            raise IntegrityError(f"the bundle is larger than {MAXIMUM_TOTAL} bytes", link=name)
    for name in sorted(digests):
        if hash_file(path, name) != digests[name]:
            raise IntegrityError("differs from what the release statement lists", link=name)
    links.append(Link(RELEASE_STATEMENT, "every listed file is there with its SHA-256"))


def _check_nothing_else(path: Path, digests: Mapping[str, str], links: list[Link]) -> None:
    folders = {
        "/".join(parts[:length]) for parts in (name.split("/") for name in digests) for length in range(len(parts))
    }
    for entry in walk(path):
        if entry.name not in (folders if entry.is_folder else digests):
            raise IntegrityError("is not in the release statement", link=shown(entry.name))
        if not (entry.is_folder or entry.is_file):
            raise IntegrityError("is not a regular file", link=shown(entry.name))
    links.append(Link(RELEASE_STATEMENT, "nothing else is in the bundle"))


def _check_attestations(bundle: ListedBundle, public_key: PublicKey, links: list[Link]) -> tuple[Attestation, ...]:
    attestations: list[Attestation] = []
    for name in bundle.names():
        if not name.startswith(ATTESTATIONS):
            continue
        place = kind_of_path(name)
        if place is None:
            raise IntegrityError("no attestation of this name belongs to a bundle", link=name)
        data = bundle.read(name)
        statement = parse_canonical(open_envelope(data, public_key, name), name)
        _check_subjects(bundle, statement, name)
        attestations.append(checked_attestation(name, *place, data, statement))
        links.append(
            Link(
                name,
                f"signed, of type {statement.predicate_type}, about {len(statement.subjects)} files of this bundle",
            )
        )
    return tuple(attestations)


def _check_subjects(bundle: ListedBundle, statement: Statement, name: str) -> None:
    for subject in statement.subjects:
        if not bundle.exists(subject.name):
            raise IntegrityError(f"is about {subject.name}, which is not in this bundle", link=name)
        if bundle.sha256(subject.name) != subject.digest.sha256:
            raise IntegrityError(f"is about another {subject.name} than the one in this bundle", link=name)
