from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.errors import IntegrityError, ProductError, UsageError
from devicepipe.signing import image as module
from devicepipe.signing.image import (
    SignedImage,
    check_release_version,
    image_version,
    next_build,
    sign_image,
    verify_image,
    verify_images,
)
from devicepipe.signing.keys import DevelopmentKeys, PublicKey, ensure_development_keys, load_signer

HEADER = 512
PAYLOAD = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentKeys:
    return ensure_development_keys(tmp_path_factory.mktemp("keys"))


def make(folder: Path, keys: DevelopmentKeys, **changes: Any) -> SignedImage:
    settings: dict[str, Any] = {
        "signer": keys.image.signer(),
        "public_key": keys.image.public,
        "version": "1.2.3+45",
        "security_counter": 7,
        "header_size": HEADER,
        "slot_size": 0x8000,
        "align": 4,
    }
    binary = folder / "application.bin"
    binary.write_bytes(changes.pop("payload", PAYLOAD))
    return sign_image(binary, folder / "application.signed.bin", **(settings | changes))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, keys: DevelopmentKeys) -> SignedImage:
    return make(tmp_path_factory.mktemp("image"), keys)


def test_a_signed_image(good: SignedImage, keys: DevelopmentKeys) -> None:
    data = good.path.read_bytes()
    assert good.payload_digest == hashlib.sha256(PAYLOAD).hexdigest()
    assert data[HEADER : HEADER + len(PAYLOAD)] == PAYLOAD
    hashed = HEADER + len(PAYLOAD) + 12
    assert good.image_digest == hashlib.sha256(data[:hashed]).hexdigest()
    assert (good.version, good.security_counter, good.header_size) == ("1.2.3+45", 7, HEADER)
    assert keys.image.public.verifies(data[-64:], hashlib.sha256(data[:hashed]).digest())
    assert verify_image(good.path, keys.image.public) == good


def test_the_same_input_gives_the_same_bytes(good: SignedImage, keys: DevelopmentKeys, tmp_path: Path) -> None:
    assert make(tmp_path, keys).path.read_bytes() == good.path.read_bytes()


def test_a_binary_called_hex_is_still_a_binary(keys: DevelopmentKeys, tmp_path: Path) -> None:
    binary = tmp_path / "application.hex"
    binary.write_bytes(PAYLOAD)
    made = sign_image(
        binary,
        tmp_path / "signed.hex",
        signer=keys.image.signer(),
        public_key=keys.image.public,
        version="1.2.3",
        security_counter=0,
        header_size=HEADER,
        slot_size=0x8000,
        align=4,
    )
    assert made.payload_digest == hashlib.sha256(PAYLOAD).hexdigest()
    assert verify_image(made.path, keys.image.public) == made


def test_a_module_in_the_current_folder_does_not_stand_in(
    keys: DevelopmentKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imgtool").mkdir()
    (tmp_path / "imgtool/main.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    make(tmp_path, keys)


def test_a_signed_image_cannot_be_made_up(good: SignedImage) -> None:
    with pytest.raises(TypeError):
        SignedImage(good.path, good.sha256, "0" * 64, "0" * 64, "1.0.0+0", 0, HEADER, good.keyid, object())


# --- data images and dependencies ---


def test_a_data_image_is_not_bootable_and_may_fill_its_place(keys: DevelopmentKeys, tmp_path: Path) -> None:
    made = make(tmp_path, keys, bootable=False, slot_size=HEADER + len(PAYLOAD) + 12 + 144 + 64)
    assert not made.bootable
    assert struct.unpack_from("<I", made.path.read_bytes(), 16) == (0x10,)
    assert verify_image(made.path, keys.image.public) == made


def test_data_that_does_not_fit(keys: DevelopmentKeys, tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="does not fit into its slot"):
        make(tmp_path, keys, bootable=False, slot_size=HEADER + len(PAYLOAD))


def test_dependencies_are_read_back(keys: DevelopmentKeys, tmp_path: Path) -> None:
    made = make(tmp_path, keys, dependencies=["(1, 1.0.0)", "(2,2.10.3+7)"])
    assert made.dependencies == ("(1, 1.0.0+0)", "(2, 2.10.3+7)")
    assert verify_image(made.path, keys.image.public) == made
    assert make(tmp_path, keys).dependencies == ()


@pytest.mark.parametrize(
    "text", ["1.0.0", "(1)", "(256, 1.0.0)", "(1, 1.0)", "(1, 1.0.0)(2, 1.0.0)", "(-1, 1.0.0)", ""]
)
def test_dependencies_that_are_none(keys: DevelopmentKeys, tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        make(tmp_path, keys, dependencies=[text])


def test_the_next_build() -> None:
    assert next_build("1.2.3") == "1.2.3+1"
    assert next_build("1.2.3+41") == "1.2.3+42"
    with pytest.raises(UsageError, match="build does not fit"):
        next_build("1.2.3+4294967295")


# --- what sign_image refuses ---


def test_nothing_is_written_where_signing_fails(keys: DevelopmentKeys, tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="does not fit into its slot"):
        make(tmp_path, keys, slot_size=1024)
    assert [path.name for path in tmp_path.iterdir()] == ["application.bin"]


def test_an_empty_binary(keys: DevelopmentKeys, tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="empty"):
        make(tmp_path, keys, payload=b"")


def test_no_binary(keys: DevelopmentKeys, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        sign_image(
            tmp_path / "none.bin",
            tmp_path / "out.bin",
            signer=keys.image.signer(),
            public_key=keys.image.public,
            version="1.2.3",
            security_counter=0,
            header_size=HEADER,
            slot_size=0x8000,
            align=4,
        )


@pytest.mark.parametrize("counter", [-1, 1 << 32])
def test_a_security_counter_that_does_not_fit(keys: DevelopmentKeys, tmp_path: Path, counter: int) -> None:
    with pytest.raises(UsageError, match="32 bits"):
        make(tmp_path, keys, security_counter=counter)


def test_the_largest_security_counter(keys: DevelopmentKeys, tmp_path: Path) -> None:
    assert make(tmp_path, keys, security_counter=(1 << 32) - 1).security_counter == (1 << 32) - 1


def test_a_signer_of_another_key(keys: DevelopmentKeys, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not verify under its public key"):
        make(tmp_path, keys, signer=keys.release.signer())


def test_an_ecdsa_image_key(keys: DevelopmentKeys, tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key = PublicKey.from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(UsageError, match="Ed25519"):
        make(tmp_path, keys, signer=load_signer("file:key.pem", key, tmp_path), public_key=key)
    with pytest.raises(UsageError, match="Ed25519"):
        verify_images({"a": b""}, key)


# --- versions ---

VERSIONS = {
    "1.2.3": "1.2.3+0",
    "0.0.0": "0.0.0+0",
    "1.2.3+45": "1.2.3+45",
    "255.255.65535+4294967295": "255.255.65535+4294967295",
}


@pytest.mark.parametrize(("version", "expected"), VERSIONS.items())
def test_versions_that_fit(version: str, expected: str) -> None:
    assert image_version(version) == expected


@pytest.mark.parametrize(
    "version",
    ["1.2.3-rc.1", "1.2.3-rc.1+4", "1.2.1٣", "256.0.0", "0.256.0", "0.0.65536", "0.0.0+4294967296", "1.2.3+abc", "1.2.3+007",
     "1.2.3+1.2", "1.2.3+", "1.2", "v1.2.3", "01.2.3", "1.2.3 ", "1.2.3\n", "1.2.٣", "", "-1.0.0", "1.2.3+99999999999999999999"],
)  # fmt: skip
def test_versions_that_do_not_fit(version: str) -> None:
    with pytest.raises(UsageError) as caught:
        image_version(version)
    assert "1.2.3+45" in caught.value.remedy


def test_a_version_has_one_spelling_in_a_release() -> None:
    for version in ("1.2.3", "0.0.0", "1.2.3+45", "1.2.30", "1.2.3+10"):
        check_release_version(version)
    for version in ("1.2.3+0", "1.2.3+00", "01.2.3", "1.2.3+01", "v1.2.3", "1.2.3-0", "1.2.1\u0663", "1.2.3 "):
        with pytest.raises(UsageError):
            check_release_version(version)
    with pytest.raises(UsageError) as caught:
        check_release_version("1.2.3+0")
    assert caught.value.remedy == "say 1.2.3"


@given(st.text(max_size=30))
def test_any_text_is_a_version_or_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        image_version("x" + text)


# --- what verify_image refuses ---


def _set(fmt: str, offset: int, value: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        result = bytearray(data)
        struct.pack_into(fmt, result, offset, value)
        return bytes(result)

    return change


TLVS = HEADER + len(PAYLOAD) + 12  # the unprotected area, after the protected one with the security counter

BAD_IMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "shorter than a header": lambda data: data[:31],
    "header only": lambda data: data[:32],
    "truncated in the payload": lambda data: data[:800],
    "truncated in the TLVs": lambda data: data[:-1],
    "no TLVs": lambda data: data[:TLVS],
    "one byte behind the TLVs": lambda data: data + b"\0",
    "padded to the slot": lambda data: data.ljust(0x8000, b"\xff"),
    "image twice": lambda data: data * 2,
    "flipped magic": _set("<B", 0, 0),
    "flipped header padding": _set("<B", 100, 0),
    "flipped payload bit": _set("<B", HEADER + 5, 0),
    "flipped version": _set("<B", 20, 9),
    "flipped security counter": _set("<B", HEADER + len(PAYLOAD) + 8, 8),
    "flipped digest": _set("<B", TLVS + 8, 0xFF),
    "flipped key hash": _set("<B", TLVS + 4 + 36 + 4, 0xFF),
    "signature of zeros": lambda data: data[:-64] + bytes(64),
    "header size beyond the file": _set("<H", 8, 0xFFFF),
    "header size below its own": _set("<H", 8, 16),
    "image size beyond the file": _set("<I", 12, 0xFFFFFFFF),
    "protected size of zero": _set("<H", 10, 0),
    "flags say encrypted": _set("<I", 16, 4),
    "flags say not bootable": _set("<I", 16, 16),
    "flags say not bootable and encrypted": _set("<I", 16, 20),
    "security counter twice": lambda data: (
        _set("<H", HEADER + len(PAYLOAD) + 2, 20)(_set("<H", 10, 20)(data[:TLVS])) + data[TLVS - 8 : TLVS] + data[TLVS:]
    ),
    "load address": _set("<I", 4, 0x20000000),
    "protected area of a wrong magic": _set("<H", HEADER + len(PAYLOAD), 0x6907),
    "TLV area of size zero": _set("<H", TLVS + 2, 0),
    "TLV area beyond the file": _set("<H", TLVS + 2, 0xFFFF),
    "TLV beyond its area": _set("<H", TLVS + 6, 0xFFFF),
    "TLV of another type": _set("<H", TLVS + 4, 0x11),
    "TLV type with the high byte set": _set("<H", TLVS + 4, 0x0110),
    "signature marked as pure": _set("<H", len(PAYLOAD) + HEADER + 12 + 4 + 36 + 36, 0x25),
    "no signature": lambda data: _set("<H", TLVS + 2, 4 + 36 + 36)(data[:-68]),
    "only the digest": lambda data: _set("<H", TLVS + 2, 4 + 36)(data[: TLVS + 4 + 36]),
    "signature twice": lambda data: _set("<H", TLVS + 2, 4 + 36 + 36 + 68 + 68)(data + data[-68:]),
    "a further TLV": lambda data: _set("<H", TLVS + 2, 4 + 36 + 36 + 68 + 5)(data + struct.pack("<HHB", 0xA0, 1, 0)),
    "an empty TLV": lambda data: _set("<H", TLVS + 2, 4 + 36 + 36 + 68 + 4)(data + struct.pack("<HH", 0xA0, 0)),
    "half a TLV": lambda data: _set("<H", TLVS + 2, 4 + 36 + 36 + 68 + 2)(data + b"\xa0\0"),
}


@pytest.mark.parametrize("spoil", BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_bad_images(good: SignedImage, keys: DevelopmentKeys, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(spoil(good.path.read_bytes()))
    with pytest.raises(IntegrityError) as caught:
        verify_image(path, keys.image.public)
    assert caught.value.link == str(path)


def test_an_image_of_another_key(good: SignedImage, keys: DevelopmentKeys) -> None:
    with pytest.raises(IntegrityError):
        verify_image(good.path, keys.release.public)


def test_no_image_there(keys: DevelopmentKeys, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="No such file"):
        verify_image(tmp_path / "none.bin", keys.image.public)


def test_the_first_bad_one_of_several_is_named(good: SignedImage, keys: DevelopmentKeys) -> None:
    data = good.path.read_bytes()
    bad = BAD_IMAGES["flipped payload bit"](data)
    with pytest.raises(IntegrityError) as caught:
        verify_images({"one": data, "two": bad, "three": data}, keys.image.public)
    assert caught.value.link == "two"
    with pytest.raises(IntegrityError) as caught:
        verify_images({"one": data, "two": bad, "three": b"no image"}, keys.image.public)
    assert caught.value.link == "two"


def test_imgtool_alone_would_have_passed_junk_and_an_unsigned_image(good: SignedImage, keys: DevelopmentKeys) -> None:
    """Why the length check and `-k` are there: if imgtool learns better one day, this says so."""
    data = good.path.read_bytes()
    module._imgtool_verify({"junk": data + b"junk behind the TLVs"}, keys.image.public)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_integrity_error(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        module._parse(data, "x")
    with pytest.raises(IntegrityError):
        module._parse(struct.pack("<I", 0x96F3B83D) + data, "x")
