"""Two bootloaders that may differ in nothing but the key they trust, in each form that a program can hold it in."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.signing.keys import PublicKey
from devicepipe.signing.trusted_key import check_other_key, holds_key, trusted_forms
from tests.evidence.synthetic_bundle import development_keys, ecdsa_pair, production_pair, to_hex

OLD, NEW = development_keys().image.public, production_pair().public
BASE = 0x1000


def der(key: PublicKey) -> bytes:
    return load_pem_public_key(key.pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def raw(key: PublicKey) -> bytes:
    return der(key)[-32:]


def keyhash(key: PublicKey) -> bytes:
    return hashlib.sha256(der(key)).digest()


def check(before: bytes, after: bytes) -> list[int]:
    return check_other_key(to_hex(before, BASE), to_hex(after, BASE), OLD, NEW, "bootloader.hex")


@pytest.mark.parametrize("form", [raw, der, keyhash])
def test_the_key_in_each_form_is_all_that_may_differ(form: object) -> None:
    assert callable(form)
    before, after = (b"code" + form(key) + b"more" for key in (OLD, NEW))
    (place,) = check(before, after)
    assert place == BASE + 4 + (12 if form is der else 0)
    assert trusted_forms(OLD) == (raw(OLD), keyhash(OLD))
    with pytest.raises(IntegrityError, match=f"first at {BASE + len(before) - 1:#010x}"):
        check(before, after[:-1] + b"x")


def test_key_and_hash_are_both_exchanged_wherever_they_are() -> None:
    def text(key: PublicKey) -> bytes:
        return raw(key) + b"a" + keyhash(key) + b"b" + raw(key)

    assert check(text(OLD), text(NEW)) == [BASE, BASE + 33, BASE + 66]


def test_a_place_that_keeps_the_old_key_is_a_difference() -> None:
    with pytest.raises(IntegrityError, match=f"first at {BASE + 32:#010x}"):
        check(raw(OLD) + raw(OLD), raw(NEW) + raw(OLD))


def test_a_kind_of_key_in_twelve_bytes_goes_with_the_key_and_a_text_of_another_meaning_may_stay() -> None:
    old, new = b"development\0", b"production\0\0"
    assert check(raw(OLD) + old + old, raw(NEW) + new + old) == [BASE]
    with pytest.raises(IntegrityError, match="keeps that in 12 bytes"):
        check(raw(OLD) + b"development\0x", raw(NEW) + b"production\0x")


def test_a_bootloader_that_does_not_hold_its_key_says_nothing() -> None:
    with pytest.raises(IntegrityError, match="does not hold its image key"):
        check(b"code", b"code")


def test_another_start_address_and_more_after_the_end_are_differences() -> None:
    before, after = to_hex(raw(OLD), BASE), to_hex(raw(NEW), BASE)
    start = b":0400000520000001D6\n"
    with pytest.raises(IntegrityError, match="another start address"):
        check_other_key(before, start + after, OLD, NEW, "bootloader.hex")
    assert check_other_key(start + before, start + after, OLD, NEW, "bootloader.hex") == [BASE]
    with pytest.raises(IntegrityError, match="goes on after"):
        check_other_key(before, after + after, OLD, NEW, "bootloader.hex")


def test_a_key_that_signs_no_images_is_refused() -> None:
    with pytest.raises(UsageError, match="images are signed with Ed25519"):
        holds_key(b"", ecdsa_pair().public)
