"""The forms in which a private key's bytes could stand in a file: raw, in hexadecimal, in base64 (also that of URLs) at any offset.

What always holds: the forms are long enough (15 bytes or more of the secret) that none is found by chance.
"""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from devicepipe.errors import UsageError

_PART = 20
_OF_URLS = bytes.maketrans(b"+/", b"-_")


def private_forms(pem: bytes) -> tuple[bytes, ...]:
    """What to look for, so that a private key of a PEM file is found.

    Raises:
        UsageError: It is no unencrypted PEM private key, or of another kind than Ed25519, ECDSA and RSA.
    """
    try:
        return key_forms(load_pem_private_key(pem, password=None))
    except (ValueError, TypeError) as error:
        raise UsageError(f"is no unencrypted PEM private key: {error}") from error


def key_forms(key: PrivateKeyTypes) -> tuple[bytes, ...]:
    """What to look for, so that a private key is found. Raises UsageError: it is of another kind than Ed25519, ECDSA and RSA."""
    if isinstance(key, Ed25519PrivateKey):
        numbers = [key.private_bytes_raw()]
    elif isinstance(key, EllipticCurvePrivateKey):
        size = (key.key_size + 7) // 8
        value = key.private_numbers().private_value
        numbers = [value.to_bytes(size, "big"), value.to_bytes(size, "little")]
    elif isinstance(key, RSAPrivateKey):
        primes = key.private_numbers()
        sized = [(prime, (prime.bit_length() + 7) // 8) for prime in (primes.p, primes.q)]
        numbers = [prime.to_bytes(size, "big") for prime, size in sized]
        numbers += [prime.to_bytes(size, "little") for prime, size in sized]
    else:
        raise UsageError("is a key of a kind that cannot be searched for")
    return tuple(form for number in numbers for form in _forms(number))


def _forms(secret: bytes) -> list[bytes]:
    text = secret.hex()
    # Base64 takes three bytes at a time: where the secret begins in a group, its first and last letters mix with its neighbours.
    shifted = [base64.b64encode(bytes(shift) + secret)[(4 if shift else 0) :] for shift in range(3)]
    whole = [form.rstrip(b"=")[:-2] for form in shifted]
    # A line break cuts PEM's base64 after 64 letters: a part of the secret is enough to know it, and every line holds a whole part.
    parts = [form[start : start + _PART] for form in whole for start in range(0, len(form) - _PART + 1, _PART)]
    parts += [part.translate(_OF_URLS) for part in parts]
    return [secret, text.encode(), text.upper().encode(), *dict.fromkeys(parts)]
