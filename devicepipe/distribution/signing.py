"""Who signs a repository: for each role its keys, as TUF knows them, and those signers that can be used here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature, Signer, SSlibKey
from tuf.api.metadata import Metadata, Role, Root

from devicepipe.errors import UsageError
from devicepipe.project.publication_settings import ROLES, RepositoryRole
from devicepipe.signing.keys import PublicKey, sign


@dataclass(frozen=True, slots=True)
class RoleSigner:
    """A key of a role, and how to sign with it; `open_signer` is None where somebody else has the private half."""

    public: PublicKey
    open_signer: Callable[[], Signer] | None = None

    @property
    def key(self) -> Key:
        """The key as TUF metadata have it, under the id that TUF clients compute."""
        return SSlibKey.from_crypto(load_pem_public_key(self.public.pem), scheme=self.public.scheme)


@dataclass(frozen=True, slots=True)
class RoleSetup:
    """A role: its keys, how many must sign, and how long holds what it signs."""

    signers: tuple[RoleSigner, ...]
    threshold: int
    lasts: timedelta


Setup = Mapping[RepositoryRole, RoleSetup]
"""All four roles."""


@dataclass(frozen=True, slots=True)
class SignedMetadata:
    """Metadata of a role as they were signed: their version, their bytes, and the ids of the keys that signed."""

    role: RepositoryRole
    version: int
    data: bytes
    keyids: tuple[str, ...]


def root_of(setup: Setup, version: int) -> Root:
    """An unsigned root that names the keys and thresholds of a setup.

    Raises:
        UsageError: A role has a key twice.
    """
    root = Root(version=version, consistent_snapshot=True)
    for role in ROLES:
        keys = [signer.key for signer in setup[role].signers]
        if len({key.keyid for key in keys}) != len(keys):
            raise UsageError(f"the role {role} has a key twice", remedy="each counts once: name different keys")
        root.roles[role] = Role([], setup[role].threshold)
        for key in keys:
            root.add_key(key, role)
    return root


def add_signatures(metadata: Metadata[Any], signers: Sequence[RoleSigner]) -> None:
    """Sign metadata with every key that can be used here and has not signed them.

    Raises:
        UsageError, BenchError: A signer cannot be used; as `keys.sign`.
    """
    data = metadata.signed_bytes
    for one in signers:
        if one.open_signer is not None and not _has_signed(metadata, one.key, data):
            keyid = one.key.keyid
            metadata.signatures[keyid] = Signature(keyid, sign(one.open_signer(), one.public, data).hex())


def _has_signed(metadata: Metadata[Any], key: Key, data: bytes) -> bool:
    if key.keyid not in metadata.signatures:
        return False
    try:
        key.verify_signature(metadata.signatures[key.keyid], data)
    except UnverifiedSignatureError:
        return False
    return True
