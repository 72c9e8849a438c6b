"""What ships of a release: a good folder verifies, and each way to make it lie is refused, the broken link named."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from intelhex import IntelHex

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.layout import SOURCE_CONFIG
from devicepipe.evidence.production import ATTESTATION, PRODUCTION_KEY, VerifiedProduction, verify_production
from devicepipe.evidence.signatures import record_folder
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from devicepipe.signing.intel_hex import hex_text
from devicepipe.signing.trusted_key import trusted_forms
from tests.evidence import synthetic_bundle as b
from tests.evidence.synthetic_bundle import (
    Keys,
    Made,
    Pair,
    development_keys,
    make_bundle,
    production_pair,
    signed,
    to_hex,
)
from tests.evidence.synthetic_production import Spoil, board_production, make_production, production_bootloader
from tests.evidence.synthetic_records import COMMIT

BOOTLOADER = "images/alpha/bootloader.hex"
IMAGE = "images/alpha/application.signed.bin"
TABLE = "images/alpha/table.signed.bin"
FACTORY = "images/alpha/factory.hex"
LOG = "evidence/alpha/serial.log"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def bundle(made: Made) -> VerifiedBundle:
    return verify_bundle(made.path, made.keys.release.public)


@pytest.fixture
def verify(made: Made, bundle: VerifiedBundle) -> Callable[..., VerifiedProduction]:
    """Makes what ships, spoilt or not, and verifies it."""

    def run(spoil: Spoil | None = None, production: Pair | None = None) -> VerifiedProduction:
        shutil.rmtree(made.path.with_name("bundle.production"), ignore_errors=True)
        make_production(made, production=production, spoil=spoil)
        return verify_production(bundle)

    return run


def edited(where: str, value: object) -> Spoil:
    """Another value at a dotted place of the predicate."""

    def change(predicate: dict[str, Any]) -> None:
        *parents, last = (int(part) if part.isdigit() else part for part in where.split("."))
        target: Any = predicate
        for part in parents:
            target = target[part]
        target[last] = value

    return Spoil(edit=change)


def good(name: str) -> bytes:
    files = board_production("alpha", "1.2.3", development_keys(), production_pair())
    return files[Path(name).name]


def log(old: bytes, new: bytes) -> Spoil:
    """Another serial log of the same length."""
    assert len(old) == len(new)

    def change(predicate: dict[str, Any]) -> None:
        for start in predicate["boards"][0]["starts"]:
            start["line"] = start["line"].replace(old.decode(), new.decode())

    identity = b"OK id board=alpha version=1.2.3+0 commit=%b digest=%b key=production serial=emulated"
    digest = b.image_digest(good(IMAGE)).encode()
    accepted, refused = identity % (COMMIT.encode(), digest), b"boot: refused unknown-key"
    text = b"".join(b"boot: hello\r\n%b\r\n" % line for line in (accepted, refused, accepted))
    assert old in text
    return Spoil(edit=change, files={LOG: text.replace(old, new)})


def test_what_ships_of_a_release_verifies_and_can_be_read(verify: Callable[..., VerifiedProduction]) -> None:
    found = verify()
    assert found.shipped() == {"alpha": [IMAGE, TABLE, BOOTLOADER, FACTORY]}
    assert found.read(FACTORY) == good(FACTORY)
    assert found.production_key.keyid == production_pair().public.keyid
    assert {link.link for link in found.links} == {
        ATTESTATION, PRODUCTION_KEY, IMAGE, TABLE, BOOTLOADER, FACTORY, LOG
    }  # fmt: skip
    assert found.production.board("alpha").key_at == [600]


def test_where_nothing_is_signed_for_production_the_remedy_is_told(tmp_path: Path, bundle: VerifiedBundle) -> None:
    with pytest.raises(UsageError, match="devicepipe production"):
        verify_production(bundle, tmp_path / "nothing")


def test_a_bundle_is_found_from_within_it(
    verify: Callable[..., VerifiedProduction], made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify()
    monkeypatch.chdir(made.path)
    verify_production(verify_bundle(Path(), made.keys.release.public))
    assert record_folder(Path()) == record_folder(made.path)


def test_the_attestation_of_another_release_is_refused(tmp_path: Path, bundle: VerifiedBundle) -> None:
    other = make_bundle(tmp_path, version="1.2.4")
    with pytest.raises(IntegrityError, match="its release statement is") as caught:
        verify_production(bundle, make_production(other))
    assert caught.value.link == ATTESTATION


def test_another_key_than_the_released_one_is_refused(verify: Callable[..., VerifiedProduction]) -> None:
    """Everything is signed by a key of somebody's own, for which only the holder of the release key vouches."""
    with pytest.raises(IntegrityError, match=r"is not keys/production\.pub\.pem") as caught:
        verify(production=production_pair(1))
    assert caught.value.link == PRODUCTION_KEY


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (b"", "no production key was configured"),
        (b'[keys]\nproduction-public = "elsewhere.pem"\n', "'elsewhere.pem', is no file of its commit"),
        (b"[keys]\nproduction-public = 7\n", "7, is no file of its commit"),
        (b"keys = 3\n", "cannot be read"),
    ],
)
def test_a_release_that_names_no_production_key_ships_nothing(tmp_path: Path, config: bytes, why: str) -> None:
    boards = b'[product]\nname = "pump"\n[[board]]\nname = "alpha"\nmanifest = "boards/alpha.json"\n'
    text = config if config.startswith(b"keys") else b""
    text += boards + b'application = "alpha"\nbootloader = "alpha"\n' + (b"" if text else config)
    other = make_bundle(tmp_path, spoil=b.Spoil(files={SOURCE_CONFIG: text}))
    make_production(other)
    with pytest.raises(IntegrityError, match=why) as caught:
        verify_production(verify_bundle(other.path, other.keys.release.public))
    assert caught.value.link == SOURCE_CONFIG


def test_a_development_key_and_the_key_of_the_bench_ship_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = development_keys().image
    monkeypatch.setattr(b, "production_pair", lambda: bench)
    other = make_bundle(tmp_path)
    make_production(other, production=bench)
    with pytest.raises(IntegrityError, match="is a development key, or the key of the tested images") as caught:
        verify_production(verify_bundle(other.path, other.keys.release.public))
    assert caught.value.link == PRODUCTION_KEY


def test_a_payload_that_holds_the_key_of_the_bench_ships_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the field it would trust what the bench's key signs."""
    monkeypatch.setattr(b, "TABLE_CONTENT", b"limits" + trusted_forms(development_keys().image.public)[0])
    for files in (b.board_files, board_production):
        files.cache_clear()
    try:
        other = make_bundle(tmp_path)
        make_production(other)
    finally:
        for files in (b.board_files, board_production):
            files.cache_clear()
    with pytest.raises(IntegrityError, match="holds the key of the tested images") as caught:
        verify_production(verify_bundle(other.path, other.keys.release.public))
    assert caught.value.link == TABLE


def resigned(binary: bytes, version: str = "1.2.3", **changes: Any) -> bytes:
    """An image properly signed with the production key."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "application.bin").write_bytes(binary)
        keys = Keys(production_pair(), development_keys().release)
        return signed(Path(folder), "application", version, keys, **changes).path.read_bytes()


def other_bootloader(change: Callable[[bytearray], object] = lambda _: None, *, bench: bool = False) -> bytes:
    """The production bootloader, or the bench's, with further changes."""
    tested = b.board_files("alpha", "1.2.3", development_keys())["bootloader.bin"]
    image = development_keys().image
    data = bytearray(tested if bench else production_bootloader(tested, image, production_pair()))
    change(data)
    return to_hex(bytes(data), b.BOOTLOADER.address)


def payload() -> bytes:
    return b.board_files("alpha", "1.2.3", development_keys())["application.bin"]


def flip(place: int) -> Callable[[bytearray], object]:
    return lambda data: data.__setitem__(place, data[place] ^ 1)


def bench(name: str) -> bytes:
    """A file of the bundle, which trusts the key of the bench or is signed by it."""
    return b.board_files("alpha", "1.2.3", development_keys())[Path(name).name]


END = b":00000001FF\n"
KEY_OF_THE_BENCH = "holds the key of the tested"
FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "image-of-the-bench": (IMAGE, lambda: bench(IMAGE), "does not verify under the image key"),
    "another-payload": (IMAGE, lambda: resigned(payload()[:-1] + b"x"), "its payload digest is"),
    "another-version": (IMAGE, lambda: resigned(payload(), "1.2.4"), "its image digest is"),
    "another-counter": (IMAGE, lambda: resigned(payload(), security_counter=0), "its image digest is"),
    "no-dependencies": (IMAGE, lambda: resigned(payload(), dependencies=()), "its image digest is"),
    "table-of-the-bench": (TABLE, lambda: bench(TABLE), "does not verify under the image key"),
    "bootloader-of-the-bench": (BOOTLOADER, lambda: bench(BOOTLOADER), KEY_OF_THE_BENCH),
    "bootloader-with-another-byte": (BOOTLOADER, lambda: other_bootloader(flip(7)), "first at 0x00000007"),
    "bootloader-with-half-a-key": (BOOTLOADER, lambda: other_bootloader(flip(631)), "first at 0x00000277"),
    "bootloader-with-another-kind": (BOOTLOADER, lambda: other_bootloader(flip(832)), "first at 0x00000340"),
    "longer-bootloader": (BOOTLOADER, lambda: other_bootloader(lambda data: data.extend(b"x")), "in more than the key"),
    "bootloader-cut-off": (BOOTLOADER, lambda: good(BOOTLOADER)[:-14], "is cut off"),
    "factory-of-the-bench": (FACTORY, lambda: bench(FACTORY), KEY_OF_THE_BENCH),
    "factory-with-more": (FACTORY, lambda: good(FACTORY).replace(END, to_hex(b"x", 0x3F000)), "further data"),
    "factory-without-data": (FACTORY, lambda: factory(table=False), "does not hold the data image"),
    "factory-with-an-image-elsewhere": (FACTORY, lambda: factory(slot=0x9000), "address of the image"),
}  # fmt: skip


def factory(slot: int = b.SLOT.address, *, table: bool = True) -> bytes:
    """Another factory image of what ships."""
    parts = IntelHex()
    parts.loadhex(io.StringIO(good(BOOTLOADER).decode()))
    parts.puts(slot, good(IMAGE))
    if table:
        parts.puts(b.TABLE.address, good(TABLE))
    return hex_text(parts).encode()


STORIES: dict[str, tuple[Spoil, str, str]] = {
    "another-release-key": (Spoil(release_key=development_keys(1).release), ATTESTATION, "is signed by"),
    "a-file-more-than-named": (Spoil(files={"images/x.bin": b"x"}), ATTESTATION, "does not name images/x.bin"),
    "a-file-less-than-named": (Spoil(leave_out={IMAGE}), ATTESTATION, f"does not name {IMAGE}"),
    "a-file-not-listed": (Spoil(unlisted={"images/x.bin": b"x"}), "images/x.bin", "is not in the attestation"),
    "digest-that-the-image-has-not": (edited("boards.0.application.imageDigest", "0" * 64), ATTESTATION, "image digest of"),
    "image-that-was-not-tested": (edited("boards.0.application.testedSha256", "0" * 64), ATTESTATION, "SHA-256 of"),
    "tested-image-of-another-name": (edited("boards.0.application.tested", "x"), ATTESTATION, "its images is"),
    "bootloader-that-was-not-tested": (edited("boards.0.testedBootloaderSha256", "0" * 64), ATTESTATION, "SHA-256 of"),
    "key-at-another-place": (edited("boards.0.keyAt", [601]), ATTESTATION, "addresses of the key"),
    "another-compiler": (edited("boards.0.compilers.0.sha256", "0" * 64), BOOTLOADER, "other compilers"),
    "another-commit-built": (edited("boards.0.environment.DEVICEPIPE_COMMIT", "0" * 40), ATTESTATION, "build environment"),
    "key-of-the-bench-built-in": (edited("boards.0.environment.DEVICEPIPE_IMAGE_KEY", "x"), ATTESTATION, "build environment"),
    "another-production-key": (edited("productionKey.keyid", "0" * 64), ATTESTATION, "its production key"),
    "another-bench-key": (edited("benchKey.keyid", "0" * 64), ATTESTATION, "its bench key"),
    "another-version": (edited("version", "1.2.4"), ATTESTATION, "its version"),
    "another-commit": (edited("commit", "0" * 40), ATTESTATION, "its commit"),
    "another-release": (edited("releaseStatement", "0" * 64), ATTESTATION, "its release statement"),
    "another-board": (edited("boards.0.board", "beta"), ATTESTATION, "its boards"),
    "two-starts-only": (Spoil(edit=lambda predicate: predicate["boards"][0]["starts"].pop()), ATTESTATION, "three starts"),
    "bench-image-started": (edited("boards.0.starts.1.image", "production"), ATTESTATION, "three starts"),
    "start-beyond-the-log": (edited("boards.0.starts.2.logEnd", 99999), LOG, "not in the serial log"),
    "starts-that-overlap": (edited("boards.0.starts.1.logStart", 0), LOG, "not in the serial log"),
    "line-that-is-not-in-the-log": (edited("boards.0.starts.1.line", "boot: refused bad-digest"), LOG, "does not hold"),
    "a-file-named-twice": (edited("boards.0.serialLog", "evidence/alpha/build.log"), ATTESTATION, "exactly once"),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_another_file_is_refused(verify: Callable[..., VerifiedProduction], what: str) -> None:
    name, data, why = FILES[what]
    with pytest.raises(IntegrityError, match=why) as caught:
        verify(Spoil(files={name: data()}))
    assert caught.value.link == name


@pytest.mark.parametrize("what", STORIES)
def test_another_story_is_refused(verify: Callable[..., VerifiedProduction], what: str) -> None:
    spoil, link, why = STORIES[what]
    with pytest.raises(IntegrityError, match=why) as caught:
        verify(spoil)
    assert caught.value.link == link


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"version=1.2.3+0", b"version=1.2.4+0", "device's version"),
        (b"board=alpha", b"board=gamma", "device's board"),
        (b"digest=", b"DIGEST=", "device's digest"),
        (b"key=production ", b"key=development", "is no identity|device's key"),
        (b"OK id board", b"OK up board", "is no identity"),
        (
            b"boot: refused unknown-key",
            b"boot: started unknown-key",
            "does not tell that an image of the bench key was",
        ),
        (b"unknown-key", b"bug\r\napp: r", "does not hold|does not tell"),
    ],
)
def test_a_device_that_said_something_else_is_refused(
    verify: Callable[..., VerifiedProduction], old: bytes, new: bytes, why: str
) -> None:
    with pytest.raises(IntegrityError, match=why) as caught:
        verify(log(old, new))
    assert caught.value.link == LOG


def test_every_byte_that_is_touched_and_every_file_that_is_gone_is_found(
    verify: Callable[..., VerifiedProduction], bundle: VerifiedBundle
) -> None:
    folder = verify().folder
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, data = path.relative_to(folder).as_posix(), path.read_bytes()
        for place in {0, len(data) // 2, len(data) - 1}:
            path.write_bytes(bytes(byte ^ (at == place) for at, byte in enumerate(data)))
            with pytest.raises(IntegrityError) as caught:
                verify_production(bundle)
            assert caught.value.link == name
        path.unlink()
        with pytest.raises(IntegrityError) as caught:
            verify_production(bundle)
        assert caught.value.link == name
        path.write_bytes(data)
    verify_production(bundle)


def test_a_link_to_a_good_file_and_an_empty_folder_do_not_belong(
    verify: Callable[..., VerifiedProduction], bundle: VerifiedBundle, tmp_path: Path
) -> None:
    folder = verify().folder
    (folder / "images/beta").mkdir()
    with pytest.raises(IntegrityError, match="is not in the attestation") as caught:
        verify_production(bundle)
    assert caught.value.link == "images/beta"
    (folder / "images/beta").rmdir()
    (folder / IMAGE).rename(tmp_path / "image")
    (folder / IMAGE).symlink_to(tmp_path / "image")
    with pytest.raises(IntegrityError) as caught:
        verify_production(bundle)
    assert caught.value.link == IMAGE


def test_a_read_after_the_check_is_checked_too(verify: Callable[..., VerifiedProduction]) -> None:
    found = verify()
    (found.folder / IMAGE).write_bytes(b"other")
    with pytest.raises(IntegrityError):
        found.read(IMAGE)
