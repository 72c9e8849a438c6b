"""Keys for tests of the ledger."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner

from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
from devicepipe.signing.keys import PublicKey

ORIGIN = "example.com/pump/log"


def _signer(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> tuple[CryptoSigner, PublicKey]:
    public = PublicKey.from_pem(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return CryptoSigner(key, public.to_securesystemslib()), public


def from_seed(seed: bytes, name: str) -> NoteSigner:
    signer, public = _signer(Ed25519PrivateKey.from_private_bytes(seed))
    return NoteSigner(NoteKey.of_log(name, public), signer)


@cache
def log_signer(number: int = 0, origin: str = ORIGIN) -> NoteSigner:
    """The key of a log; another one for each number."""
    return from_seed(bytes([number]) * 32, origin)


@cache
def ecdsa_signer(origin: str = ORIGIN) -> NoteSigner:
    signer, public = _signer(generate_private_key(SECP256R1()))
    return NoteSigner(NoteKey.of_log(origin, public), signer)


@cache
def witness_signer(name: str = "witness.example.com/w1") -> NoteSigner:
    signer, public = _signer(Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)[:32]))
    return NoteSigner(NoteKey.of_witness(name, public), signer)
