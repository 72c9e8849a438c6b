"""The bundle: a release's folder, while it is made (`BundleWriter`) and when it is read (`Bundle`).

What always holds: a file of a bundle is written once and never changed; a subject's digest is that of the bytes written; only a
sealed folder gets the final name, by one rename, after all of it was synced. A `Bundle` alone proves nothing:
`verify.VerifiedBundle` is the one to trust.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from securesystemslib.signer import Signer

from devicepipe.durable import naming, sync, sync_tree
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.dsse import payload_unverified, sign_envelope
from devicepipe.evidence.files import hash_file, open_file, read_file, shown, walk
from devicepipe.evidence.layout import (
    RELEASE_ENVELOPE,
    RELEASE_STATEMENT,
    Kind,
    kind_of_model,
    kind_of_path,
)
from devicepipe.evidence.model import Model
from devicepipe.evidence.names import RULE, clash, is_name
from devicepipe.evidence.predicates import RELEASE, Digest, Release, Subject
from devicepipe.evidence.statement import (
    MAXIMUM_BYTES,
    Statement,
    canonical_text,
    make_statement,
    parse_canonical,
    pretty_text,
    read_predicate,
)
from devicepipe.signing.keys import PublicKey

_CHUNK = 1024 * 1024
_PRIVATE_KEY = b"PRIVATE KEY-----"

P = TypeVar("P", bound=Model)


@dataclass(frozen=True, slots=True)
class Attestation:
    """An attestation of a bundle.

    Attributes:
        path: Its file in the bundle.
        kind: What it is about.
        board: The board it is about, "" for the whole product.
        sha256: SHA-256 of its file.
        statement: What it says.
    """

    path: str
    kind: Kind
    board: str
    sha256: str
    statement: Statement

    def read(self, model: type[P]) -> P:
        """The predicate as a typed value.

        Raises:
            IntegrityError: As `read_predicate`.
        """
        return read_predicate(self.statement.predicate, model, self.path)

    def as_input(self) -> dict[str, Any]:
        """The attestation as an entry of `inputAttestations` of a SLSA verification summary."""
        return {"uri": self.path, "digest": {"sha256": self.sha256}}


class Bundle:
    """A bundle's folder for reading, sealed or not. Names are confined to the folder; nothing is verified."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> tuple[str, ...]:
        """The names of all files, sorted.

        Raises:
            IntegrityError: The folder holds something that is neither a folder nor a regular file with a proper name.
        """
        found: list[str] = []
        for entry in walk(self.folder):
            if not entry.is_folder:
                if not entry.is_file or not is_name(entry.name):
                    raise IntegrityError("does not belong to a bundle", link=shown(entry.name))
                found.append(entry.name)
        return tuple(sorted(found))

    def path(self, name: str) -> Path:
        """The path of a file, for tools that want one. Raises IntegrityError where it is no regular file of the bundle."""
        with open_file(self.folder, name):
            return self.folder / name

    def exists(self, name: str) -> bool:
        """Whether the bundle has a regular file of that name."""
        try:
            self.path(name)
        except IntegrityError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises IntegrityError where it is no regular file of the bundle."""
        return read_file(self.folder, name)

    def sha256(self, name: str) -> str:
        """The SHA-256 of a file. Raises IntegrityError as `read`."""
        return hash_file(self.folder, name)

    def attestation(self, path: str) -> Attestation:
        """Read one attestation file.

        Raises:
            IntegrityError: No attestation belongs there, it is malformed, or of another type than its name says.
        """
        place = kind_of_path(path)
        if place is None:
            raise IntegrityError("no attestation of this name belongs to a bundle", link=path)
        kind, board = place
        data = self.read(path)
        statement = parse_canonical(payload_unverified(data, path), path)
        return checked_attestation(path, kind, board, data, statement)

    def attestations(self) -> tuple[Attestation, ...]:
        """All attestations there are, sorted by path. Raises IntegrityError as `attestation`."""
        return tuple(self.attestation(name) for name in self.names() if kind_of_path(name))

    def statements(self, predicate_type: str) -> tuple[Attestation, ...]:
        """The attestations of a predicate type, sorted by path (so by board). Raises IntegrityError as `attestation`."""
        return tuple(
            self.attestation(name)
            for name in self.names()
            if (place := kind_of_path(name)) and place[0].predicate_type == predicate_type
        )

    def predicate(self, model: type[P], board: str = "") -> P:
        """The predicate of a board's (or, with "", the product's) attestation, e.g. `predicate(TestResult, "microbit")`.

        Raises:
            IntegrityError: There is no such attestation, or it does not say that.
        """
        kind = kind_of_model(model)
        return self.attestation(kind.path_for(board)).read(model)


def checked_attestation(path: str, kind: Kind, board: str, data: bytes, statement: Statement) -> Attestation:
    """An attestation whose predicate type is the one of its kind.

    Raises:
        IntegrityError: It is another one.
    """
    if statement.predicate_type != kind.predicate_type:
        raise IntegrityError(
            f"has the predicate type {statement.predicate_type!r}, expected {kind.predicate_type}", link=path
        )
    return Attestation(path, kind, board, hashlib.sha256(data).hexdigest(), statement)


class BundleWriter:
    """A bundle under construction. Every method may be called from any thread.

    Args:
        folder: The folder to build it in: new or empty, on the file system of the final name.
        signer: The signer of attestations and of the release statement.
        public_key: The signer's public key.

    Raises:
        UsageError: The folder is not empty or cannot be made.
    """

    def __init__(self, folder: Path, signer: Signer, public_key: PublicKey) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            empty = not any(folder.iterdir())
        except OSError as error:
            raise UsageError(f"folder cannot be made: {error.strerror}", file=folder) from error
        if not empty:
            raise UsageError("the folder for the bundle is not empty", file=folder, remedy="remove it")
        self.folder = folder
        self._signer = signer
        self._public_key = public_key
        self._digests: dict[str, str] = {}
        self._reserved: set[str] = set()
        self._sealed = False
        self._lock = threading.Lock()
        self._signing = threading.Lock()  # signers of hardware sessions are not promised to be thread-safe

    @property
    def bundle(self) -> Bundle:
        """The read side. Until the bundle is sealed it shows only files that were written whole."""
        return _Growing(self)

    def add_bytes(self, data: bytes, name: str) -> Subject:
        """Write a file.

        Raises:
            IntegrityError: Bad name, a name already taken (or taken but for case), or the bundle is sealed.
        """
        return self._add((data,), name)

    def add_file(self, source: Path, name: str) -> Subject:
        """Copy a file in. Raises IntegrityError as `add_bytes`, UsageError where the source cannot be read."""
        try:
            file = source.open("rb")
        except OSError as error:
            raise UsageError(f"cannot be copied into the bundle: {error.strerror}", file=source) from error
        with file:
            return self._add(iter(lambda: file.read(_CHUNK), b""), name)

    def subject(self, name: str) -> Subject:
        """Name and digest of a file that was added. Raises IntegrityError where there is none."""
        with self._lock:
            digest = self._digests.get(name)
        if digest is None:
            raise IntegrityError("was not added to the bundle", link=shown(name))
        return Subject(name=name, digest=Digest(sha256=digest))

    def names(self) -> tuple[str, ...]:
        """The names of the files written so far, sorted."""
        with self._lock:
            return tuple(sorted(self._digests))

    def attest(
        self, name: str, predicate_type: str, predicate: Model | Mapping[str, Any], subjects: Iterable[str]
    ) -> Attestation:
        """Write `attestations/<name>.dsse.json`: a signed statement about files of the bundle.

        Args:
            name: `<board>/<kind>` or `<kind>`, as `layout.KINDS` has them, e.g. `microbit/build`.
            predicate_type: The predicate's type URI; must be the kind's.
            predicate: A predicate of `predicates.py`, or JSON data (an SBOM).
            subjects: Names of files that were added before; their digests are the writer's own.

        Raises:
            IntegrityError: No such kind, another predicate type, no subject or an unknown one, or as `add_bytes`.
            UsageError, BenchError: As `keys.sign`.
        """
        path = f"attestations/{name}.dsse.json"
        place = kind_of_path(path)
        if place is None:
            raise IntegrityError("no attestation of this name belongs to a bundle", link=path)
        digests = {subject: self.subject(subject).digest.sha256 for subject in subjects}
        statement = make_statement(predicate_type, predicate, digests, path)
        try:
            text = canonical_text(statement)
        except (ValueError, RecursionError) as error:
            raise IntegrityError(f"cannot be written as canonical JSON: {error}", link=path) from error
        # What cannot be read back as it was meant (a float beyond 2^53, say) must not be signed.
        statement = parse_canonical(text, path)
        with self._signing:
            data = sign_envelope(text, self._signer, self._public_key)
        if len(data) > MAXIMUM_BYTES:
            raise IntegrityError(f"is larger than {MAXIMUM_BYTES} bytes", link=path)
        attestation = checked_attestation(path, *place, data, statement)
        self.add_bytes(data, path)
        return attestation

    def seal(self, release: Release) -> None:
        """Write `release.json` and `release.json.dsse` over all files, and sync everything to disk.

        Raises:
            IntegrityError: A file was changed, removed or put there behind the writer's back, or the bundle is already sealed.
            UsageError, BenchError: As `keys.sign`.
        """
        with self._lock:
            self._check_open(RELEASE_STATEMENT)
            digests = dict(self._digests)
            if pending := self._reserved - digests.keys():
                raise IntegrityError("is still being written", link=min(pending))
            self._sealed = True
        found = set(Bundle(self.folder).names())
        if stray := found ^ digests.keys():
            name = min(stray)
            raise IntegrityError("was not added to the bundle" if name in found else "is missing", link=name)
        for name in sorted(digests):
            if hash_file(self.folder, name) != digests[name]:
                raise IntegrityError("was changed after it was added", link=name)
        text = pretty_text(make_statement(RELEASE, release, digests, RELEASE_STATEMENT))
        envelope = sign_envelope(text, self._signer, self._public_key)
        self._write((text,), RELEASE_STATEMENT)
        self._write((envelope,), RELEASE_ENVELOPE)
        sync_tree(self.folder)

    def publish(self, final: Path) -> Path:
        """Give the sealed folder its final name, atomically; returns it.

        Raises:
            IntegrityError: The bundle is not sealed.
            UsageError: The final name is taken or cannot be made.
        """
        if not (self._sealed and (self.folder / RELEASE_ENVELOPE).is_file()):
            raise IntegrityError("is not sealed", link=str(self.folder))
        if final.exists() or final.is_symlink():
            raise UsageError(
                "already exists",
                file=final,
                remedy="a bundle is never overwritten: remove it, or release a new version",
            )
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            self.folder.rename(final)
            sync(final.parent)
        except OSError as error:
            raise UsageError(f"the bundle cannot be moved there: {error.strerror}", file=final) from error
        return final

    def _check_open(self, name: str) -> None:
        if self._sealed:
            raise IntegrityError("the bundle is sealed; nothing can be added", link=name)

    def _add(self, chunks: Iterable[bytes], name: str) -> Subject:
        if not is_name(name) or name in (RELEASE_STATEMENT, RELEASE_ENVELOPE):
            raise IntegrityError(f"is no name for a file of a bundle; expected {RULE}", link=shown(name))
        with self._lock:
            self._check_open(name)
            if clash((*self._reserved, name)):
                raise IntegrityError(
                    "is already in the bundle (perhaps but for case); evidence is never replaced", link=name
                )
            self._reserved.add(name)
        digest = self._write(chunks, name)
        with self._lock:
            self._digests[name] = digest
        return Subject(name=name, digest=Digest(sha256=digest))

    def _write(self, chunks: Iterable[bytes], name: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with naming(path), path.open("xb") as file:
            for chunk in chunks:
                if _PRIVATE_KEY in chunk:
                    raise IntegrityError("holds a private key, which must never be in a bundle", link=name)
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()


class _Growing(Bundle):
    """A bundle that other threads are writing to: files that are not complete yet are not seen."""

    def __init__(self, writer: BundleWriter) -> None:
        super().__init__(writer.folder)
        self._writer = writer

    def names(self) -> tuple[str, ...]:
        return self._writer.names()
