"""New key pairs: on a token, or in an encrypted file.

What always holds: no private half is written unencrypted, none over another file, and each key was tried before its public half is
given away: objects of a token that are public can be exchanged by whoever has it plugged in, without its PIN.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from securesystemslib.signer import SecretsHandler

from devicepipe.errors import UsageError
from devicepipe.signing.hsm import TokenKey, describe_key, make_key
from devicepipe.signing.keys import ED25519, PublicKey, load_signer, read_private, sign
from devicepipe.signing.pkcs11_uri import SCHEME as PKCS11
from devicepipe.signing.secret_sources import find_secret

_TRIED = b"devicepipe: a new key is tried"


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key pair: its public half, and where the private one is, for people."""

    public: PublicKey
    place: str


def make_key_pair(uri: str, scheme: str, base: Path, secrets: SecretsHandler | None = None) -> MadeKey:
    """Make a key pair.

    Args:
        uri: `pkcs11:…` or `file:PATH`.
        scheme: `ed25519` or `ecdsa-sha2-nistp256`.
        base: The folder that relative paths start from.
        secrets: Asked for PIN or passphrase.

    Raises:
        UsageError: There is a key of that name already, or no secret.
        BenchError: The token cannot be reached.
    """
    made = _on_token(make_key(uri, scheme, base, secrets)) if _is_token(uri) else _in_file(uri, scheme, base, secrets)
    return _tried(made, uri, base, secrets)


def existing_key(uri: str, base: Path, secrets: SecretsHandler | None = None) -> MadeKey:
    """The public half of a key that is there. Raises as `make_key_pair`."""
    if _is_token(uri):
        return _tried(_on_token(describe_key(uri, base, secrets)), uri, base, secrets)
    path = base / uri.partition(":")[2]
    private = read_private(path, secrets)
    return MadeKey(
        _public(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)), str(path)
    )


def _tried(key: MadeKey, uri: str, base: Path, secrets: SecretsHandler | None) -> MadeKey:
    """The key, once it has signed under its public half. Raises UsageError where that is another's."""
    sign(load_signer(uri, key.public, base, secrets), key.public, _TRIED)
    return key


def _is_token(uri: str) -> bool:
    scheme = uri.partition(":")[0]
    if scheme not in (PKCS11, "file"):
        raise UsageError(f"no key is made by '{scheme[:20]}:'", remedy="use pkcs11:… or file:PATH")
    return scheme == PKCS11


def _on_token(key: TokenKey) -> MadeKey:
    if key.public is None:
        raise UsageError(
            f"the token '{key.token}' does not give the public half of {key.uri}",
            remedy="take it from where the key was made",
        )
    how = "made there, never to leave it" if key.made_there else "brought into it"
    return MadeKey(_public(key.public), f"token '{key.token}', {how}")


def _in_file(uri: str, scheme: str, base: Path, secrets: SecretsHandler | None) -> MadeKey:
    path = base / uri.partition(":")[2]
    if path.exists():
        raise UsageError("there is a file already", file=path, remedy="name another one")
    passphrase = find_secret(path.name, f"passphrase of the new key file '{path.name}'", secrets, new=True)
    private = Ed25519PrivateKey.generate() if scheme == ED25519 else generate_private_key(SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(handle)
    except OSError as error:
        raise UsageError(f"the key cannot be written: {error.strerror}", file=path) from error
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return MadeKey(_public(public), f"{path}, encrypted")


def _public(pem: bytes) -> PublicKey:
    return PublicKey.from_pem(pem)
