"""What ships: the tested images under the production key, with the bootloader that trusts only that key, as evidence.

It lies in a folder beside the bundle (`<bundle>.production/`), since a sealed bundle takes nothing more:

    production.dsse.json                    the attestation: all other files by SHA-256, signed by the release key
    keys/production.pub.pem                 the production key's public half
    images/<board>/application.signed.bin   the tested payload, signed with the production key
    images/<board>/<data>.signed.bin        each data image, likewise
    images/<board>/bootloader.hex           the tested bootloader, but for the key
    images/<board>/factory.hex              all of them, as a programmer takes them
    evidence/<board>/…                      the log of the build, and of the device that started the image and refused the bench's

Checked by `verify_production`, offline and in this order, the first broken link named:

1. the attestation is signed by a release key, in its time, and is about this release statement;
2. its subjects are all files of the folder, with their SHA-256, and nothing else is there; each is named by the predicate;
3. the production key is the one that the released devicepipe.toml names in a file of the released commit; it is neither a
   development key nor the one that the tested images are signed with; by the history of keys, if the caller has one, it counts;
4. there is exactly the set of boards of the bundle, and for each
   - imgtool verifies each image under the production key, and it has payload, header and protected TLVs of the tested one: the
     same payload digest and the same image digest, which is what a device reports of what it runs;
   - nothing that ships holds the key of the tested images in any form: no device would trust it;
   - the bootloader is the tested one with the production key in the place of the other, byte by byte (signing/trusted_key.py), and
     was built from the commit as this version;
   - the factory image is bootloader, image and data images at the tested places, nothing else;
   - an emulated device started the production image and reported its digest, and refused the tested one, as its log tells.

What always holds of a `VerifiedProduction`: all of that held, and every later read compares the bytes with the signed list again.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field
from securesystemslib.signer import Signer

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.build_links import source_files
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.checks import Link, artifact, same
from devicepipe.evidence.dsse import open_envelope, sign_envelope
from devicepipe.evidence.files import hash_file, read_file, shown, walk
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import IMAGE_KEY, RELEASE_STATEMENT, SOURCE_CONFIG
from devicepipe.evidence.model import Commit, Model, Sha256, Time
from devicepipe.evidence.predicates import ImageSigning, KeyInfo, Provenance, SourceInfo, Tool
from devicepipe.evidence.statement import (
    MAXIMUM_BYTES,
    Statement,
    canonical_text,
    make_statement,
    parse_canonical,
    read_predicate,
)
from devicepipe.evidence.verify import ListedBundle, VerifiedBundle
from devicepipe.signing.factory import check_factory_image, read_hex
from devicepipe.signing.image import SignedImage, verify_images
from devicepipe.signing.keys import MAXIMUM_PEM, PublicKey
from devicepipe.signing.trusted_key import check_other_key, holds_key, key_kind

PRODUCTION = "urn:devicepipe:predicate:production:v1"

ATTESTATION = "production.dsse.json"
"""The attestation's file in the folder."""
PRODUCTION_KEY = "keys/production.pub.pem"

_MAXIMUM_LOG = 16 * 1024 * 1024


class ProductionImage(Model):
    """A tested image under the production key.

    Attributes:
        name: "application", or the name of the data image.
        image: The file.
        tested: The file of the bundle that was tested, which has the same payload under another key.
        tested_sha256: Its SHA-256.
        payload_digest: SHA-256 of the signed payload, of both.
        image_digest: MCUboot's SHA-256 over header, payload and protected TLVs, of both.
        image_version: MCUboot's version.
        security_counter: The downgrade-protection counter.
    """

    name: str
    image: str
    tested: str
    tested_sha256: Sha256
    payload_digest: Sha256
    image_digest: Sha256
    image_version: str
    security_counter: int


class Start(Model):
    """One start of the emulated device.

    Attributes:
        image: Which image lay in its slot: what ships, or the tested one under the bench key.
        line: What the device said: its identity, or that its bootloader refused the image.
        log_start: Where in the serial log this start begins, in bytes.
        log_end: Where it ends.
    """

    image: Literal["production", "bench"]
    line: str
    log_start: int = Field(ge=0)
    log_end: int = Field(ge=0)


class ProductionBoard(Model):
    """What ships for one board.

    Attributes:
        board: The board.
        application: The program's image.
        data: The data images.
        bootloader: The bootloader's file.
        tested_bootloader_sha256: SHA-256 of the bootloader's file in the bundle.
        key_at: The addresses at which the bootloader holds the production key where the tested one holds the other.
        factory_image: The factory image's file.
        compilers: What built the bootloader.
        environment: What the build was told from outside: the environment variables.
        build_log: The build's output.
        emulator: What the device was emulated with.
        serial_log: The log of the device's console.
        other_logs: Those of its further UARTs.
        starts: Its starts, in their order.
    """

    board: str
    application: ProductionImage
    data: list[ProductionImage]
    bootloader: str
    tested_bootloader_sha256: Sha256
    key_at: list[int]
    factory_image: str
    compilers: list[Tool]
    environment: dict[str, str]
    build_log: str
    emulator: Tool
    serial_log: str
    other_logs: list[str]
    starts: list[Start]

    @property
    def images(self) -> list[ProductionImage]:
        """All images: the application's first."""
        return [self.application, *self.data]

    @property
    def shipped(self) -> list[str]:
        """The files that ship: signed images, bootloader and factory image."""
        return [*(image.image for image in self.images), self.bootloader, self.factory_image]

    @property
    def files(self) -> list[str]:
        """All its files."""
        return [*self.shipped, self.build_log, self.serial_log, *self.other_logs]


class Production(Model):
    """Predicate PRODUCTION: what of a release ships. Its subjects are all files of the folder but the attestation itself.

    Attributes:
        product: Whose release it is.
        version: Of which version.
        commit: Of which commit.
        release_statement: SHA-256 of the bundle's `release.json`.
        production_key: The key that the images are signed with, and the only one that the bootloaders trust.
        bench_key: The key of the tested images.
        made_on: When.
        generator: What made it.
        image_tool: What put the signatures into the images, and verified them.
        boards: What ships for each board.
    """

    product: str
    version: str
    commit: Commit
    release_statement: Sha256
    production_key: KeyInfo
    bench_key: KeyInfo
    made_on: Time
    generator: Tool
    image_tool: Tool
    boards: list[ProductionBoard]

    def board(self, name: str) -> ProductionBoard:
        """What ships for a board; KeyError where there is none of that name."""
        for board in self.boards:
            if board.board == name:
                return board
        raise KeyError(name)


_PROOF = object()


class VerifiedProduction(ListedBundle):
    """What ships, as `verify_production` has accepted it; there is no other way to get one.

    Attributes:
        production: What the attestation says.
        production_key: The key of the images.
        envelope: The attestation's file, as it was verified.
        links: The checks that were done, in order.
    """

    def __init__(
        self,
        listed: ListedBundle,
        production: Production,
        production_key: PublicKey,
        envelope: bytes,
        links: tuple[Link, ...],
        proof: object,
    ) -> None:
        if proof is not _PROOF:
            raise TypeError("a VerifiedProduction comes from verify_production only")
        super().__init__(listed.folder, {name: listed.sha256(name) for name in listed.names()})
        self.production = production
        self.production_key = production_key
        self.envelope = envelope
        self.links = links

    def shipped(self) -> dict[str, list[str]]:
        """The files that ship, by board, e.g. `images/<board>/factory.hex`: `read` gives their bytes."""
        return {board.board: board.shipped for board in self.production.boards}


def production_folder(bundle: Path) -> Path:
    """Where what ships of a bundle lies: beside the folder itself, whatever links or ".." it is named by."""
    place = bundle.resolve()
    return place.with_name(f"{place.name}.production")


def sign_production(production: Production, digests: dict[str, str], signer: Signer, public_key: PublicKey) -> bytes:
    """The bytes of the attestation's file.

    Args:
        production: What it says.
        digests: SHA-256 by name of all files of the folder.
        signer: The release key's signer.
        public_key: Its public half.

    Raises:
        IntegrityError: A file has a name that none can have.
        UsageError, BenchError: As `keys.sign`.
    """
    statement = make_statement(PRODUCTION, production, digests, ATTESTATION)
    return sign_envelope(canonical_text(statement), signer, public_key)


def verify_production(
    bundle: VerifiedBundle, folder: Path | None = None, *, release_key: PublicKey | None = None
) -> VerifiedProduction:
    """Verify what ships of a release.

    Args:
        bundle: The release.
        folder: Where it lies; beside the bundle if None.
        release_key: The only release key that may have attested it; None: any that the bundle's trust has.

    Raises:
        UsageError: There is no such folder.
        IntegrityError: A link does not hold; `link` names the first one.
        BenchError: imgtool cannot be run.
    """
    place = folder or production_folder(bundle.folder)
    if not place.is_dir():
        if os.path.lexists(place):
            raise IntegrityError("is no folder, where what ships of the release lies", link=place.name)
        raise UsageError(
            "there is nothing signed with the production key: expected a folder",
            file=place,
            remedy="make it: `devicepipe production BUNDLE`",
        )
    return _Check(bundle, place, release_key).run()


class _Check:
    def __init__(self, bundle: VerifiedBundle, folder: Path, release_key: PublicKey | None) -> None:
        self.bundle = bundle
        self.folder = folder
        self.trust = KeyTrust.of(release_key) if release_key is not None else bundle.trust
        self.release_key = self.trust.anchor
        self.source = bundle.predicate(SourceInfo)
        self.bench_key = PublicKey.from_pem(bundle.read(IMAGE_KEY))
        self.links: list[Link] = []

    def run(self) -> VerifiedProduction:
        envelope = read_file(self.folder, ATTESTATION, MAXIMUM_BYTES)
        self.release_key = self.trust.key_of(envelope, ATTESTATION)
        statement = parse_canonical(open_envelope(envelope, self.release_key, ATTESTATION), ATTESTATION)
        production = self.release(statement)
        self.trust.check_time(self.release_key, production.made_on, "was made", ATTESTATION)
        listed = self.files(statement, production)
        key = self.key(listed, production)
        self.trust.check_image_key(key, production.made_on, envelope, PRODUCTION_KEY)
        same("boards", [board.board for board in production.boards], self.source.boards, ATTESTATION, "the source")
        images = self.images(listed, production, key)
        for board in production.boards:
            self.board(listed, board, images, key)
        return VerifiedProduction(listed, production, key, envelope, tuple(self.links), _PROOF)

    def held(self, link: str, check: str) -> None:
        self.links.append(Link(link, check))

    def release(self, statement: Statement) -> Production:
        """Step 1."""
        if statement.predicate_type != PRODUCTION:
            raise IntegrityError("is no attestation of what ships", link=ATTESTATION)
        production, release = read_predicate(statement.predicate, Production, ATTESTATION), self.bundle.release
        for what, here, there in (
            ("release statement", production.release_statement, self.bundle.sha256(RELEASE_STATEMENT)),
            ("product", production.product, release.product),
            ("version", production.version, release.version),
            ("commit", production.commit, release.commit),
            ("bench key", production.bench_key, self.source.image_key),
        ):
            same(what, here, there, ATTESTATION, "the bundle")
        self.held(ATTESTATION, f"signed by the key {self.release_key.keyid}, about this release statement")
        return production

    def files(self, statement: Statement, production: Production) -> ListedBundle:
        """Step 2."""
        digests = {subject.name: subject.digest.sha256 for subject in statement.subjects}
        named = [PRODUCTION_KEY, *(name for board in production.boards for name in board.files)]
        if sorted(named) != sorted(digests):
            odd = sorted({*named} ^ {*digests}) or sorted(name for name in named if named.count(name) > 1)
            raise IntegrityError(f"does not name {odd[0]} exactly once, as a file and as what it is", link=ATTESTATION)
        found = {entry.name: entry for entry in walk(self.folder)}
        folders = {parent.as_posix() for name in digests for parent in Path(name).parents}
        for name in sorted(digests):
            if hash_file(self.folder, name) != digests[name]:
                raise IntegrityError("differs from what the attestation lists", link=name)
        for name, entry in sorted(found.items()):
            if not ((entry.is_folder and name in folders) or (entry.is_file and name in {*digests, ATTESTATION})):
                raise IntegrityError("is not in the attestation of what ships", link=shown(name))
        self.held(ATTESTATION, f"lists {len(digests)} files, all there with their SHA-256, and nothing else is there")
        return ListedBundle(self.folder, digests)

    def key(self, listed: ListedBundle, production: Production) -> PublicKey:
        """Step 3."""
        data = listed.read(PRODUCTION_KEY)
        try:
            key = PublicKey.from_pem(data[: MAXIMUM_PEM + 1])
        except UsageError as error:
            raise IntegrityError(error.message, link=PRODUCTION_KEY) from error
        info = KeyInfo(keyid=key.keyid, scheme=key.scheme, development=key.development)
        same("production key", production.production_key, info, ATTESTATION, PRODUCTION_KEY)
        named = released_production_key(self.bundle)
        if hashlib.sha256(data).hexdigest() != named[1]:
            raise IntegrityError(
                f"is not {named[0]}, which the released devicepipe.toml names as production key", link=PRODUCTION_KEY
            )
        if key.development or key.keyid == self.source.image_key.keyid:
            raise IntegrityError("is a development key, or the key of the tested images", link=PRODUCTION_KEY)
        self.held(PRODUCTION_KEY, f"is {named[0]} of the released commit, named by its devicepipe.toml")
        return key

    def images(self, listed: ListedBundle, production: Production, key: PublicKey) -> dict[str, SignedImage]:
        """All signed images, verified in one run of imgtool under the production key."""
        names = [image.image for board in production.boards for image in board.images]
        try:
            return verify_images({name: listed.read(name) for name in names}, key)
        except UsageError as error:
            raise IntegrityError(error.message, link=PRODUCTION_KEY) from error

    def board(
        self, listed: ListedBundle, board: ProductionBoard, images: dict[str, SignedImage], key: PublicKey
    ) -> None:
        """Step 4."""
        signing = self.bundle.predicate(ImageSigning, board.board)
        expected = {"application": signing.image} | {data.name: data.image for data in signing.data}
        same("images", {one.name: one.tested for one in board.images}, expected, ATTESTATION, "the bundle")
        tested = verify_images({name: self.bundle.read(name) for name in expected.values()}, self.bench_key)
        for one in board.images:
            self.image(one, images[one.image], tested[one.tested])
        for name in board.shipped:
            if holds_key(_flat(listed.read(name), name), self.bench_key):
                raise IntegrityError(
                    "holds the key of the tested images, which no device in the field may trust", link=name
                )
        self.bootloader(listed, board, key)
        places = {data.name: data.address for data in signing.data}
        start = check_factory_image(
            listed.read(board.factory_image),
            listed.read(board.bootloader),
            listed.read(board.application.image),
            board.factory_image,
            {one.name: (places[one.name], listed.read(one.image)) for one in board.data},
        )
        same("address of the image", start, self.tested_start(signing), board.factory_image, signing.factory_image)
        self.held(board.factory_image, "is bootloader, image and data images where the tested ones lie, nothing else")
        self.starts(listed, board, key)

    def image(self, one: ProductionImage, image: SignedImage, tested: SignedImage) -> None:
        same(f"SHA-256 of {one.tested}", one.tested_sha256, tested.sha256, ATTESTATION, "the bundle")
        for what, told, here, there in (
            ("payload digest", one.payload_digest, image.payload_digest, tested.payload_digest),
            ("image digest", one.image_digest, image.image_digest, tested.image_digest),
            ("version", one.image_version, image.version, tested.version),
            ("security counter", one.security_counter, image.security_counter, tested.security_counter),
        ):
            same(what, here, there, one.image, one.tested)
            same(f"{what} of {one.image}", told, here, ATTESTATION, "the image")
        self.held(
            one.image, f"imgtool verifies it under {PRODUCTION_KEY}; its payload is that of the tested {one.tested}"
        )

    def bootloader(self, listed: ListedBundle, board: ProductionBoard, key: PublicKey) -> None:
        built = self.bundle.predicate(Provenance, board.board)
        name = artifact(built.devicepipe, "bootloader", "hex", ATTESTATION)
        told = board.tested_bootloader_sha256
        same(f"SHA-256 of {name}", told, self.bundle.sha256(name), ATTESTATION, "the bundle")
        try:
            places = check_other_key(
                self.bundle.read(name), listed.read(board.bootloader), self.bench_key, key, board.bootloader
            )
        except UsageError as error:
            raise IntegrityError(error.message, link=board.bootloader) from error
        same("addresses of the key", board.key_at, places, ATTESTATION, board.bootloader)
        before = dict(built.build_definition.internal_parameters.get("environment", {}))
        changed = {"DEVICEPIPE_IMAGE_KEY": f"sha256:{key.keyid}", "DEVICEPIPE_KEY_KIND": key_kind(key)}
        same("build environment", board.environment, before | changed, ATTESTATION, "the bundle, but for the key")
        compilers = {tool.sha256 for tool in board.compilers} - {tool.sha256 for tool in built.devicepipe.compilers}
        if compilers or not board.compilers:
            raise IntegrityError("was built with other compilers than the tested one", link=board.bootloader)
        self.held(board.bootloader, f"is {name} with the production key in the place of the bench's, and no other byte")

    def tested_start(self, signing: ImageSigning) -> int:
        built = self.bundle.predicate(Provenance, signing.board).devicepipe
        return check_factory_image(
            self.bundle.read(signing.factory_image),
            self.bundle.read(artifact(built, "bootloader", "hex", signing.factory_image)),
            self.bundle.read(signing.image),
            signing.factory_image,
            {data.name: (data.address, self.bundle.read(data.image)) for data in signing.data},
        )

    def starts(self, listed: ListedBundle, board: ProductionBoard, key: PublicKey) -> None:
        """The device started what ships, before and after it refused what the bench signed."""
        log = listed.read(board.serial_log)[:_MAXIMUM_LOG]
        if [one.image for one in board.starts] != ["production", "bench", "production"]:
            raise IntegrityError("does not tell of the three starts that it takes", link=ATTESTATION)
        ends = [0, *(place for one in board.starts for place in (one.log_start, one.log_end)), len(log)]
        if ends != sorted(ends):
            raise IntegrityError("tells of starts that are not in the serial log in their order", link=board.serial_log)
        for one in board.starts:
            lines = log[one.log_start : one.log_end].decode("ascii", "backslashreplace").splitlines()
            if one.line not in lines:
                raise IntegrityError(f"does not hold {one.line!r}, where that start should be", link=board.serial_log)
            if one.image == "production":
                self.identity(one, board, key)
            elif not one.line.startswith("boot: refused ") or any(line.startswith("app: ") for line in lines):
                raise IntegrityError("does not tell that an image of the bench key was refused", link=board.serial_log)
        self.held(board.serial_log, "the device started the production image, and refused that of the bench key")

    def identity(self, start: Start, board: ProductionBoard, key: PublicKey) -> None:
        words = [word.partition("=") for word in start.line.split()[2:]]
        said = {name: value for name, _, value in words}
        if not start.line.startswith("OK id ") or len(said) != len(words):
            raise IntegrityError(f"{start.line!r} is no identity", link=board.serial_log)
        expected = {
            "board": board.board,
            "version": board.application.image_version,
            "commit": self.source.commit,
            "digest": board.application.image_digest,
        } | ({"key": key_kind(key)} if "key" in said else {})
        for name, value in expected.items():
            same(f"device's {name}", said.get(name), value, board.serial_log, "the image")


NAME_A_KEY = (
    "name the public half of the production key in devicepipe.toml (keys.production-public), commit both, and release that commit "
    "as a new version: who approves a release approves the key that it ships under"
)
"""What is to be done about a release without a production key."""


def named_production_key(bundle: Bundle) -> tuple[str, str] | str:
    """The file of the production key that the released devicepipe.toml names, and its SHA-256 in the released commit.

    Returns:
        Both; or, where it names none that is a file of the commit, what is wrong, in words.

    Raises:
        IntegrityError: It cannot be read.
    """
    try:
        named = tomllib.loads(bundle.read(SOURCE_CONFIG).decode("utf-8")).get("keys", {}).get("production-public")
    except (ValueError, AttributeError) as error:
        raise IntegrityError("cannot be read", link=SOURCE_CONFIG) from error
    if named is None:
        return "no production key was configured in the devicepipe.toml that was released"
    digest = source_files(bundle).get(Path(named).as_posix()) if isinstance(named, str) else None
    if digest is None:
        return f"the production key of the devicepipe.toml that was released, {named!r}, is no file of its commit"
    return str(named), digest


def unshippable(bundle: Bundle) -> str:
    """Why a release cannot ship, though people may approve it, in words; "" where it names its production key.

    Raises:
        IntegrityError: As `named_production_key`.
    """
    found = named_production_key(bundle)
    return f"{found}: it can be approved, but not shipped" if isinstance(found, str) else ""


def released_production_key(bundle: VerifiedBundle) -> tuple[str, str]:
    """The production key that was released, as `named_production_key` gives it.

    Raises:
        IntegrityError: There is none.
    """
    found = named_production_key(bundle)
    if isinstance(found, str):
        raise IntegrityError(found, link=SOURCE_CONFIG, remedy=NAME_A_KEY)
    return found


def _flat(data: bytes, name: str) -> bytes:
    """A file's content; of Intel HEX the bytes that it puts into the flash, one after the other."""
    if not name.endswith(".hex"):
        return data
    content = read_hex(data, name)
    return bytes(content[address] for address in sorted(content))
