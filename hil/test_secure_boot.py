"""The bootloader: what it starts, and what it refuses with which reason. Requirements: requirements/secure-boot.md.

The bad images are made here from the image under test: by changing its bytes, or anew by imgtool, MCUboot's own image tool.
The layout is MCUboot's (docs/design.md, "Image format"): header, payload, protected TLVs, TLVs; all numbers little-endian.
"""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from imgtool.main import imgtool
from pexpect import TIMEOUT
from pytest_embedded import Dut

from devicepipe.bench.device import Device

KEYHASH, SHA256, ED25519, COUNTER = 0x01, 0x10, 0x24, 0x50
TRUST_SIZE = 64  # firmware/src/core/verify.h
STORED = 7  # the security counter that a test stores, above the image's


class Image:
    """The image under test, with the places of its parts."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.header_size, protected_size, self.payload_size = struct.unpack_from("<HHI", data, 8)
        self.protected = self.header_size + self.payload_size
        self.tlvs = self.protected + protected_size
        self.entries = self._entries(self.tlvs, len(data))
        self.counter = self._entries(self.protected, self.tlvs)[COUNTER]  # offset of the security counter

    def _entries(self, area: int, end: int) -> dict[int, int]:
        """The TLVs of an area: type and offset of the value."""
        found, at = {}, area + 4
        while at < end:
            kind, length = struct.unpack_from("<HH", self.data, at)
            found[kind] = at + 4
            at += 4 + length
        return found

    def flipped(self, offset: int, bit: int = 0) -> bytes:
        """The image with one bit changed."""
        data = bytearray(self.data)
        data[offset] ^= 1 << bit
        return bytes(data)

    def without(self, *kinds: int) -> bytes:
        """The image without TLVs of these types."""
        kept = b""
        for kind, at in self.entries.items():
            if kind not in kinds:
                (length,) = struct.unpack_from("<H", self.data, at - 2)
                kept += self.data[at - 4 : at + length]
        return self.data[: self.tlvs] + struct.pack("<HH", 0x6907, 4 + len(kept)) + kept


@pytest.fixture
def image(device: Device) -> Image:
    """The image under test."""
    return Image(device.images.signed.read_bytes())


def make(device: Device, image: Image, folder: Path, *options: str, counter: int | None = 1) -> bytes:
    """The payload under test as an image that imgtool makes anew, with further options."""
    payload, made = folder / "payload.bin", folder / "made.bin"
    payload.write_bytes(image.data[image.header_size : image.protected])
    layout = device.board
    arguments = ["sign", "--version", "0.1.0", "--pad-header", "--header-size", str(layout.image.header_size)]
    arguments += ["--slot-size", str(layout.slot0.size), "--align", str(layout.image.align), *options]
    arguments += [] if counter is None else ["--security-counter", str(counter)]
    imgtool.main(args=[*arguments, str(payload), str(made)], standalone_mode=False)
    return made.read_bytes()


def make_key(folder: Path) -> tuple[Ed25519PrivateKey, str]:
    """A key that no device trusts, and its file."""
    key = Ed25519PrivateKey.generate()
    file = folder / "other.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key, str(file)


def boot(device: Device, image: bytes) -> str:
    """Put an image into slot 0 and reset: what the device says in the end."""
    device.install(image)
    device.reset()
    return device.wait_started()


def record(counter: int) -> bytes:
    """A record of the stored security counter, as the bootloader keeps it (firmware/src/bootloader/counter.h)."""
    return struct.pack("<4I", 0x43535044, counter, counter ^ 0xFFFFFFFF, 0xBCACAFBB)


@pytest.mark.verifies("SRS-014")
def test_released_image_is_reported_and_started(device: Device) -> None:
    """The bootloader names board, trusted key, and version, counter and digest of the image, in this order, and then starts it."""
    public = load_pem_public_key(device.images.public_key.read_bytes())
    keyhash = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]
    device.reset()
    assert device.wait_started().startswith("app: ready ")
    lines = device.boot_output.decode("ascii").splitlines()
    board, version = re.escape(device.board.name), re.escape(device.expected.version)
    assert re.fullmatch(
        rf"boot: devicepipe bootloader board={board} version=\S+ key=(development|production) keyhash={keyhash}",
        lines[0],
    )
    assert re.fullmatch(rf"boot: slot0 version={version} counter=\d+ digest={device.images.digest}", lines[1])
    assert lines[2] == "boot: start slot0"


@pytest.mark.verifies("SRS-014")
def test_image_put_back_starts_again(device: Device, image: Image) -> None:
    """After a refused image the released one starts: nothing but the image was wrong."""
    assert boot(device, image.flipped(image.header_size)) == "boot: refused bad-digest"
    assert boot(device, image.data).startswith("app: ready ")


@pytest.mark.verifies("SRS-015")
def test_unsigned_image_is_refused(device: Device, image: Image, tmp_path: Path) -> None:
    """The same payload made into an image without a key: no-signature."""
    assert boot(device, make(device, image, tmp_path)) == "boot: refused no-signature"


@pytest.mark.verifies("SRS-015")
def test_image_without_its_proofs_is_refused(device: Device, image: Image) -> None:
    """The released image without its signature: no-signature; without its digest: no-digest."""
    for removed, reason in (
        ({ED25519}, "no-signature"),
        ({ED25519, KEYHASH}, "no-signature"),
        ({SHA256}, "no-digest"),
        ({SHA256, KEYHASH, ED25519}, "no-digest"),
    ):
        assert boot(device, image.without(*removed)) == f"boot: refused {reason}", f"without {removed}"


@pytest.mark.verifies("SRS-016")
def test_image_signed_by_another_key_is_refused(device: Device, image: Image, tmp_path: Path) -> None:
    """The same payload signed properly by a key of ours: unknown-key."""
    _, file = make_key(tmp_path)
    assert boot(device, make(device, image, tmp_path, "-k", file)) == "boot: refused unknown-key"


@pytest.mark.verifies("SRS-014")
@pytest.mark.verifies("SRS-016")
@pytest.mark.verifies("SRS-024")
def test_payload_trusts_what_its_bootloader_trusts(device: Device, image: Image, tmp_path: Path) -> None:
    """The payload under test runs unchanged where another key is trusted, and takes drugs from a library of that key only.

    So it can be signed for the bench and for the field: it has no key of its own. What the released key signed is refused there.
    """
    key, file = make_key(tmp_path)
    place = device.board.regions["bootloader"]
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    device.write_flash(place.offset + place.size - TRUST_SIZE, raw + b"production\0\0")
    device.reset()
    assert device.wait_started() == "boot: refused unknown-key"
    assert boot(device, make(device, image, tmp_path, "-k", file)).startswith("app: ready ")
    assert b"key=production keyhash=" in device.boot_output
    assert " key=production " in device.command("id")
    assert device.command("library") == "ERR library none"
    library = Image(device.factory[device.board.address("library")])
    signed = make(device, library, tmp_path, "-k", file, "--non-bootable", "--overwrite-only")
    assert signed[library.header_size :].startswith(library.data[library.header_size : library.protected])
    device.install(signed, "library")
    device.reset()
    assert device.wait_started().startswith("app: ready ")
    assert device.command("library").startswith("OK library version=0.1.0+0 ")


@pytest.mark.verifies("SRS-016")
def test_image_that_only_claims_the_trusted_key_is_refused(device: Device, image: Image, tmp_path: Path) -> None:
    """The released image with its own key hash, but the signature of another key over its digest: bad-signature."""
    key, _ = make_key(tmp_path)
    at = image.entries[ED25519]
    signature = key.sign(image.data[image.entries[SHA256] :][:32])
    forged = image.data[:at] + signature + image.data[at + len(signature) :]
    assert boot(device, forged) == "boot: refused bad-signature"


@pytest.mark.verifies("SRS-017")
def test_one_changed_bit_is_found(device: Device, image: Image) -> None:
    """One bit changed in any part of header, payload or protected fields: bad-digest, or bad-header where it is no image any more.

    One bit of the digest: bad-digest; of the key's hash: unknown-key; of the signature: bad-signature.
    """
    for part, offset, bit, reason in (
        ("magic", 0, 0, "bad-header"),
        ("version", 20, 0, "bad-digest"),
        ("last of header", image.header_size - 1, 7, "bad-digest"),
        ("first of payload", image.header_size, 0, "bad-digest"),
        ("middle of payload", image.header_size + image.payload_size // 2, 3, "bad-digest"),
        ("last of payload", image.protected - 1, 7, "bad-digest"),
        ("security counter", image.counter, 1, "bad-digest"),
        ("digest", image.entries[SHA256], 0, "bad-digest"),
        ("key hash", image.entries[KEYHASH] + 31, 7, "unknown-key"),
        ("signature, R", image.entries[ED25519], 0, "bad-signature"),
        ("signature, S", image.entries[ED25519] + 32, 0, "bad-signature"),
    ):
        assert boot(device, image.flipped(offset, bit)) == f"boot: refused {reason}", part


@pytest.mark.verifies("SRS-017")
def test_changed_payload_with_a_digest_that_fits_is_refused(device: Device, image: Image) -> None:
    """A changed payload whose digest was computed anew passes the digest check, but not the signature's: bad-signature."""
    changed = bytearray(image.flipped(image.header_size + 64))
    at = image.entries[SHA256]
    changed[at : at + 32] = hashlib.sha256(changed[: image.tlvs]).digest()
    assert boot(device, bytes(changed)) == "boot: refused bad-signature"


@pytest.mark.verifies("SRS-018")
def test_truncated_image_is_refused(device: Device, image: Image) -> None:
    """Cut off after the header, in the middle of and after the payload, after the protected TLVs, after the digest: bad-size.

    Cut off inside the signature: bad-signature. Nothing at all: no-image.
    """
    for end, length, reason in (
        ("nothing", 0, "no-image"),
        ("header", image.header_size, "bad-size"),
        ("half of payload", image.header_size + image.payload_size // 2, "bad-size"),
        ("payload", image.protected, "bad-size"),
        ("protected TLVs", image.tlvs, "bad-size"),
        ("digest", image.entries[SHA256] + 32, "bad-size"),
        ("half of signature", image.entries[ED25519] + 32, "bad-signature"),
    ):
        assert boot(device, image.data[:length]) == f"boot: refused {reason}", f"ends after {end}"


@pytest.mark.verifies("SRS-018")
def test_image_that_claims_too_much_is_refused(device: Device, image: Image) -> None:
    """A payload size of the whole slot, and of the largest number there is: bad-size, without a fault of the bootloader."""
    for size in (device.board.slot0.size, 0xFFFFFFFF):
        data = image.data[:12] + struct.pack("<I", size) + image.data[16:]
        assert boot(device, data) == "boot: refused bad-size", size


@pytest.mark.verifies("SRS-019")
def test_older_image_is_refused(device: Device) -> None:
    """The released image on a device that has started a higher security counter before: downgrade."""
    device.install(record(STORED), "state")
    device.reset()
    assert device.wait_started() == "boot: refused downgrade"


@pytest.mark.verifies("SRS-019")
def test_started_image_raises_the_stored_counter(device: Device, image: Image) -> None:
    """The device remembers the counter of the image it has started: that image starts again, the next lower counter is refused."""
    (counter,) = struct.unpack_from("<I", image.data, image.counter)
    device.install(record(counter), "state")
    device.reset()
    assert device.wait_started().startswith("app: ready ")
    device.install(record(counter + 1), "state")
    device.reset()
    assert device.wait_started() == "boot: refused downgrade"


@pytest.mark.verifies("SRS-019")
def test_counter_survives_resets_and_another_image(device: Device, image: Image) -> None:
    """What the bootloader itself has stored holds the image's counter, and keeps it over an attempt to start another image."""
    (counter,) = struct.unpack_from("<I", image.data, image.counter)
    state = device.board.regions["state"]
    assert device.read_flash(state.offset, 16) == record(counter)
    assert boot(device, image.flipped(image.header_size)) == "boot: refused bad-digest"
    assert device.read_flash(state.offset, 16) == record(counter)


@pytest.mark.verifies("SRS-019")
def test_damaged_copy_of_the_stored_counter_is_made_again(device: Device, image: Image) -> None:
    """One copy damaged, the first or the second: the other one counts, the image starts, and both hold the counter again."""
    (counter,) = struct.unpack_from("<I", image.data, image.counter)
    state, good = device.board.regions["state"], record(counter)
    damaged = bytes([good[0] ^ 1]) + good[1:]
    for copies in ((damaged, good), (good, damaged)):
        device.install(b"".join(copy.ljust(state.size // 2, b"\xff") for copy in copies), "state")
        device.reset()
        assert device.wait_started().startswith("app: ready ")
        assert [device.read_flash(state.offset + half, 16) for half in (0, state.size // 2)] == [good, good]


@pytest.mark.verifies("SRS-019")
def test_stored_counter_that_cannot_be_read_starts_nothing(device: Device) -> None:
    """Both copies of the stored counter damaged: bad-state, never the counter 0 that would allow any image."""
    state = device.board.regions["state"]
    damaged = bytes([record(STORED)[0] ^ 1]) + record(STORED)[1:]
    device.install(damaged.ljust(state.size // 2, b"\xff") + damaged, "state")
    device.reset()
    assert device.wait_started() == "boot: refused bad-state"


@pytest.mark.verifies("RC-005", kind="effectiveness")
@pytest.mark.verifies("SRS-020")
def test_refused_image_never_runs(device: Device, image: Image, dut: Dut, tmp_path: Path) -> None:
    """An unsigned image that would run perfectly well: after the refusal the device sends nothing and answers nothing.

    After another reset it refuses the image again.
    """
    assert boot(device, make(device, image, tmp_path)) == "boot: refused no-signature"
    dut.expect("boot: slot0 [^\\n]*\\n", timeout=1)
    dut.write("id\nstatus\n")
    with pytest.raises(TIMEOUT):
        dut.expect(".", timeout=0.5)
    device.reset()
    assert device.wait_started() == "boot: refused no-signature"
