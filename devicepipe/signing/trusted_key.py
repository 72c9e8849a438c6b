"""What a program holds of the image key that it trusts, and what becomes of it under another key.

A bootloader holds an Ed25519 key as its 32 raw bytes (also inside a SubjectPublicKeyInfo), as its KEYHASH (SHA-256 of the
SubjectPublicKeyInfo, MCUboot's key id), or both. It may also name the kind of the key, the build's DEVICEPIPE_KEY_KIND, as text:
that counts as part of the key where it stands in 12 bytes filled up with zeros, so that no other byte moves with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.signing.factory import read_hex, read_start
from devicepipe.signing.keys import PublicKey

KIND_SIZE = 12
"""The bytes that the kind of a key may take, with the zeros after it."""


def key_kind(key: PublicKey) -> str:
    """The kind of a key, as a build's DEVICEPIPE_KEY_KIND has it."""
    return "development" if key.development else "production"


def trusted_forms(key: PublicKey) -> tuple[bytes, bytes]:
    """The forms in which a program holds an image key: its 32 raw bytes, and its KEYHASH.

    Raises:
        UsageError: It is no Ed25519 key.
    """
    public = load_pem_public_key(key.pem)
    if not isinstance(public, Ed25519PublicKey):
        raise UsageError(f"images are signed with Ed25519, but this key is {key.scheme}")
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw), bytes.fromhex(key.keyid)


def holds_key(data: bytes, key: PublicKey) -> bool:
    """Whether a file's bytes hold an image key in any form. Raises UsageError as `trusted_forms`."""
    return any(form in data for form in trusted_forms(key))


def check_other_key(tested: bytes, made: bytes, old: PublicKey, new: PublicKey, link: str) -> list[int]:
    """Check that two builds of a bootloader differ in nothing but the key that they trust.

    Args:
        tested: The bootloader that trusts the old key, as Intel HEX.
        made: The one that trusts the new key, as Intel HEX.
        old: The old image key.
        new: The new one.
        link: What `made` is called in errors.

    Returns:
        The addresses of the key, in any form, ascending.

    Raises:
        IntegrityError: They differ elsewhere (names the first address), or the tested one does not hold the old key.
        UsageError: A key is no Ed25519 key.
    """
    before, after = read_hex(tested, link), read_hex(made, link)
    if read_start(tested, link) != read_start(made, link):
        raise IntegrityError("names another start address than the tested bootloader", link=link)
    expected, places = _exchanged(before, after, old, new)
    if not places:
        raise IntegrityError("cannot be compared: the tested bootloader does not hold its image key", link=link)
    if expected != after:
        address = min(at for at in expected.keys() | after.keys() if expected.get(at) != after.get(at))
        raise IntegrityError(
            f"differs from the tested bootloader in more than the key: first at {address:#010x}",
            link=link,
            remedy="build it with the compilers that the release was built with; a bootloader that tells the kind of its key "
            f"keeps that in {KIND_SIZE} bytes, so that nothing moves with it",
        )
    return places


def _exchanged(
    before: Mapping[int, int], after: Mapping[int, int], old: PublicKey, new: PublicKey
) -> tuple[dict[int, int], list[int]]:
    """The tested bootloader with the new key in the place of the old one, and the places."""
    expected = dict(before)
    places: list[int] = []
    forms = tuple(zip(trusted_forms(old), trusted_forms(new), strict=True))
    kinds = (_kind(old), _kind(new))
    for address, content in _segments(before):
        for one, other in forms:
            for place in _all(content, one, address):
                places.append(place)
                expected.update(enumerate(other, start=place))
        # A text of that form may have another meaning elsewhere: it counts only where the new kind is in its place.
        for place in _all(content, kinds[0], address):
            if all(after.get(at) == byte for at, byte in enumerate(kinds[1], start=place)):
                expected.update(enumerate(kinds[1], start=place))
    return expected, sorted(places)


def _kind(key: PublicKey) -> bytes:
    return key_kind(key).encode().ljust(KIND_SIZE, b"\0")


def _segments(content: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
    """The gapless parts of what lies in a flash: address and bytes."""
    start, part = 0, bytearray()
    for address in sorted(content):
        if address != start + len(part):
            if part:
                yield start, bytes(part)
            start, part = address, bytearray()
        part.append(content[address])
    if part:
        yield start, bytes(part)


def _all(data: bytes, part: bytes, address: int) -> Iterator[int]:
    at = data.find(part)
    while at >= 0:
        yield address + at
        at = data.find(part, at + 1)
