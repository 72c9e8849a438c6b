from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intelhex import IntelHex

from devicepipe.errors import IntegrityError, ProductError, UsageError
from devicepipe.signing.factory import Placement, check_factory_image, make_factory_image, read_hex
from devicepipe.signing.image import SignedImage, sign_image
from devicepipe.signing.keys import ensure_development_keys

BOOT = Placement(0x10000000, 0x1000)
SLOT = Placement(0x10001000, 0x4000)
BOOTLOADER = b"boot" * 100


def to_hex(data: bytes, address: int, start: int | None = None) -> bytes:
    parsed, text = IntelHex(), io.StringIO()
    parsed.frombytes(data, offset=address)
    if start is not None:
        parsed.start_addr = {"EIP": start}
    parsed.write_hex_file(text)
    return text.getvalue().encode()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> SignedImage:
    folder = tmp_path_factory.mktemp("image")
    pair = ensure_development_keys(folder / "keys").image
    (folder / "application.bin").write_bytes(b"application" * 30)
    return sign_image(
        folder / "application.bin",
        folder / "signed.bin",
        signer=pair.signer(),
        public_key=pair.public,
        version="1.0.0",
        security_counter=0,
        header_size=512,
        slot_size=SLOT.size,
        align=4,
    )


@pytest.fixture
def bootloader(tmp_path: Path) -> Path:
    path = tmp_path / "bootloader.hex"
    path.write_bytes(to_hex(BOOTLOADER, BOOT.address, start=BOOT.address + 5))
    return path


def test_boot_loader_and_image_and_nothing_else(signed: SignedImage, bootloader: Path, tmp_path: Path) -> None:
    out = tmp_path / "factory.hex"
    make_factory_image(bootloader, BOOT, signed, SLOT, out)
    found = read_hex(out.read_bytes(), "factory.hex")
    image = signed.path.read_bytes()
    assert found == {
        **{BOOT.address + offset: value for offset, value in enumerate(BOOTLOADER)},
        **{SLOT.address + offset: value for offset, value in enumerate(image)},
    }
    assert check_factory_image(out.read_bytes(), bootloader.read_bytes(), image, "factory.hex") == SLOT.address
    assert b":04000005" not in out.read_bytes(), "no start address record"
    assert b"\r" not in out.read_bytes()


def test_a_binary_boot_loader_gives_the_same(signed: SignedImage, bootloader: Path, tmp_path: Path) -> None:
    (tmp_path / "bootloader.bin").write_bytes(BOOTLOADER)
    make_factory_image(bootloader, BOOT, signed, SLOT, tmp_path / "a.hex")
    make_factory_image(tmp_path / "bootloader.bin", BOOT, signed, SLOT, tmp_path / "b.hex")
    assert (tmp_path / "a.hex").read_bytes() == (tmp_path / "b.hex").read_bytes()


def test_overlapping_regions(signed: SignedImage, bootloader: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"overlap.*0x10000100"):
        make_factory_image(bootloader, BOOT, signed, Placement(BOOT.address + 0x100, 0x4000), tmp_path / "out.hex")
    assert not (tmp_path / "out.hex").exists()


@pytest.mark.parametrize(
    ("boot", "slot"),
    [
        (Placement(BOOT.address, 0x100), SLOT),
        (Placement(BOOT.address + 0x100, 0x1000), SLOT),
        (BOOT, Placement(SLOT.address, 0x100)),
    ],
    ids=["bootloader too large", "bootloader linked elsewhere", "image too large"],
)
def test_a_part_outside_its_region(
    signed: SignedImage, bootloader: Path, tmp_path: Path, boot: Placement, slot: Placement
) -> None:
    with pytest.raises(ProductError, match="0x1000"):
        make_factory_image(bootloader, boot, signed, slot, tmp_path / "out.hex")
    assert not (tmp_path / "out.hex").exists()


def test_an_empty_boot_loader(signed: SignedImage, tmp_path: Path) -> None:
    (tmp_path / "bootloader.bin").write_bytes(b"")
    with pytest.raises(ProductError, match="empty"):
        make_factory_image(tmp_path / "bootloader.bin", BOOT, signed, SLOT, tmp_path / "out.hex")


def test_a_boot_loader_that_is_no_hex(signed: SignedImage, tmp_path: Path) -> None:
    (tmp_path / "bootloader.hex").write_text("hello")
    with pytest.raises(UsageError):
        make_factory_image(tmp_path / "bootloader.hex", BOOT, signed, SLOT, tmp_path / "out.hex")


def test_an_image_changed_after_it_was_verified(signed: SignedImage, bootloader: Path, tmp_path: Path) -> None:
    data = signed.path.read_bytes()
    signed.path.write_bytes(data + b"\0")
    try:
        with pytest.raises(IntegrityError, match="changed"):
            make_factory_image(bootloader, BOOT, signed, SLOT, tmp_path / "out.hex")
    finally:
        signed.path.write_bytes(data)


IMAGE = b"image of the application"
END = b":00000001FF\n"
GOOD = to_hex(BOOTLOADER, 0).replace(END, to_hex(IMAGE, 0x8000))

BAD_FACTORY_IMAGES = {
    "empty": b"",
    "no hex": b"hello",
    "only the bootloader": to_hex(BOOTLOADER, 0),
    "only the image": to_hex(IMAGE, 0x8000),
    "another bootloader": GOOD.replace(to_hex(BOOTLOADER, 0)[:43], to_hex(b"toob" * 4, 0)[:43]),
    "another image": to_hex(BOOTLOADER, 0).replace(END, to_hex(IMAGE.upper(), 0x8000)),
    "a longer image": to_hex(BOOTLOADER, 0).replace(END, to_hex(IMAGE + b"!", 0x8000)),
    "a shorter image": to_hex(BOOTLOADER, 0).replace(END, to_hex(IMAGE[:-1], 0x8000)),
    "something before the image": GOOD.replace(END, to_hex(b"x", 0x7000)),
    "something after the image": GOOD.replace(END, to_hex(b"x", 0x9000)),
    "a byte twice": GOOD.replace(END, to_hex(b"x", 0x8000)),
    "cut off before its end record": GOOD.replace(END, b""),
    "a wrong checksum": GOOD.replace(END, b":0000000100\n"),
}


def test_a_good_factory_image() -> None:
    assert check_factory_image(GOOD, to_hex(BOOTLOADER, 0), IMAGE, "factory.hex") == 0x8000


@pytest.mark.parametrize("factory", BAD_FACTORY_IMAGES.values(), ids=BAD_FACTORY_IMAGES.keys())
def test_bad_factory_images(factory: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        check_factory_image(factory, to_hex(BOOTLOADER, 0), IMAGE, "factory.hex")
    assert caught.value.link == "factory.hex"


TABLE = b"table of limits"
WITH_DATA = GOOD.replace(END, to_hex(TABLE, 0x9000))
DATA = {"table": (0x9000, TABLE)}

BAD_WITH_DATA = {
    "no data image": GOOD,
    "data image elsewhere": GOOD.replace(END, to_hex(TABLE, 0xA000)),
    "another data image": GOOD.replace(END, to_hex(TABLE.upper(), 0x9000)),
    "a longer data image": GOOD.replace(END, to_hex(TABLE + b"!", 0x9000)),
    "a shorter data image": GOOD.replace(END, to_hex(TABLE[:-1], 0x9000)),
    "only data": to_hex(BOOTLOADER, 0).replace(END, to_hex(TABLE, 0x9000)),
}


def test_a_good_factory_image_with_data() -> None:
    assert check_factory_image(WITH_DATA, to_hex(BOOTLOADER, 0), IMAGE, "factory.hex", DATA) == 0x8000
    with pytest.raises(IntegrityError, match="holds further data at 0x00009000"):
        check_factory_image(WITH_DATA, to_hex(BOOTLOADER, 0), IMAGE, "factory.hex")


@pytest.mark.parametrize("factory", BAD_WITH_DATA.values(), ids=BAD_WITH_DATA.keys())
def test_bad_factory_images_with_data(factory: bytes) -> None:
    with pytest.raises(IntegrityError):
        check_factory_image(factory, to_hex(BOOTLOADER, 0), IMAGE, "factory.hex", DATA)


def test_data_images_are_placed_and_kept_apart(signed: SignedImage, bootloader: Path, tmp_path: Path) -> None:
    out, place = tmp_path / "factory.hex", Placement(SLOT.address + SLOT.size, 0x1000)
    make_factory_image(bootloader, BOOT, signed, SLOT, out, [(signed, place)])
    found, image = read_hex(out.read_bytes(), "factory.hex"), signed.path.read_bytes()
    assert bytes(found[place.address + offset] for offset in range(len(image))) == image
    with pytest.raises(IntegrityError, match="overlaps"):
        make_factory_image(bootloader, BOOT, signed, SLOT, out, [(signed, Placement(SLOT.address + 64, 0x1000))])
    with pytest.raises(ProductError, match="outside its region"):
        make_factory_image(bootloader, BOOT, signed, SLOT, out, [(signed, Placement(place.address, 0x100))])


@given(st.binary(max_size=100))
def test_any_bytes_are_hex_or_an_integrity_error(data: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        assert all(0 <= value <= 255 for value in read_hex(b":" + data, "x").values())


def record(kind: int, address: int, data: bytes) -> bytes:
    whole = bytes([len(data), *address.to_bytes(2), kind, *data])
    return f":{(whole + bytes([-sum(whole) & 255])).hex().upper()}\n".encode()


AFTER_THE_END = record(4, 0, b"\0\7") + record(0, 0, b"EVIL CODE HERE!!") + record(1, 0, b"")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("more after the end", "goes on after its end-of-file record"),
        ("a start address", "names a start address"),
        ("a comment", "not Intel HEX|not written as devicepipe writes it"),
        ("small letters", "not written as devicepipe writes it"),
    ],
)
def test_a_factory_image_in_which_something_is_hidden_is_refused(
    signed: SignedImage, bootloader: Path, tmp_path: Path, what: str, why: str
) -> None:
    """OpenOCD, for one, programs what stands after the end-of-file record; others stop there."""
    out = tmp_path / "factory.hex"
    make_factory_image(bootloader, BOOT, signed, SLOT, out)
    good = out.read_bytes()
    spoilt = {
        "more after the end": good + AFTER_THE_END,
        "a start address": record(5, 0, b"\x20\0\0\1") + good,
        "a comment": b"; hello\n" + good,
        "small letters": good.lower(),
    }[what]
    check_factory_image(good, bootloader.read_bytes(), signed.path.read_bytes(), "factory.hex")
    with pytest.raises(IntegrityError, match=why):
        check_factory_image(spoilt, bootloader.read_bytes(), signed.path.read_bytes(), "factory.hex")
