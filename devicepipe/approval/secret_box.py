"""What only a person can open: the private key of the signatures and the secret of the one-time codes, under the person's password.

What always holds: neither leaves the box but in the memory of the process that was given the password; a wrong password opens
nothing, and whoever has the box alone has neither (Argon2id, RFC 9106; AES-256-GCM, NIST SP 800-38D). That the box opens is the
check of the password. The mark of a password, by which it is known again, is a box with nothing in it: no cheaper to guess by.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.signer import CryptoSigner, Signer

from devicepipe.signing.keys import PublicKey

_SALT, _NONCE, _SEED = 16, 12, 32
_FORM = b"\x01"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a guess of a password costs. The default is the second recommendation of RFC 9106, section 4."""

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What is in a box: the Ed25519 seed of the signature key, and the secret of the one-time codes."""

    seed: bytes
    totp: bytes

    @classmethod
    def new(cls) -> Secrets:
        """Random ones."""
        seed = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return cls(seed, os.urandom(20))  # 160 bits: RFC 4226, requirement R6

    def public_key(self) -> PublicKey:
        """The public half of the signature key."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return PublicKey.from_pem(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def signer(self) -> Signer:
        """The signer of the signature key."""
        key = self.public_key().to_securesystemslib()
        return CryptoSigner(Ed25519PrivateKey.from_private_bytes(self.seed), key)


def close(secrets: Secrets, account: str, password: str, cost: Cost) -> bytes:
    """The bytes of a box for an account."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    head = (
        _FORM
        + b"".join(number.to_bytes(4, "big") for number in (cost.memory_kib, cost.iterations, cost.lanes))
        + salt
        + nonce
    )
    return head + AESGCM(_key(password, salt, cost)).encrypt(
        nonce, secrets.seed + secrets.totp, head + account.encode()
    )


def open_box(box: bytes, account: str, password: str) -> Secrets | None:
    """What is in the box of an account; None where the password is wrong, the box is damaged, or it is another account's."""
    start = 1 + 3 * 4
    head = box[: start + _SALT + _NONCE]
    if box[:1] != _FORM or len(head) < start + _SALT + _NONCE:
        return None
    cost = Cost(*(int.from_bytes(head[at : at + 4], "big") for at in (1, 5, 9)))
    salt, nonce = head[start : start + _SALT], head[start + _SALT :]
    try:
        data = AESGCM(_key(password, salt, cost)).decrypt(nonce, box[len(head) :], head + account.encode())
    except (InvalidTag, ValueError, MemoryError):
        return None
    return Secrets(data[:_SEED], data[_SEED:])


def mark(account: str, password: str, cost: Cost) -> bytes:
    """The mark of a password of an account, by which it is known again, and which opens nothing."""
    return close(Secrets(b"", b""), account, password, cost)


def is_mark_of(found: bytes, account: str, password: str) -> bool:
    """Whether a mark is that of a password of an account."""
    return open_box(found, account, password) is not None


def _key(password: str, salt: bytes, cost: Cost) -> bytes:
    derive = Argon2id(salt=salt, length=32, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib)
    return derive.derive(password.encode())
