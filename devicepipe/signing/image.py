"""MCUboot images: signed and verified by MCUboot's own imgtool, for every kind of signer in the same way.

What always holds of a `SignedImage`: imgtool verified it with the public key, its file ends exactly where its TLV areas end, and
its TLVs are those of an Ed25519 image and no others. It is a program, or data (MCUboot's flag NON_BOOTABLE): `bootable` says
which. There is no other way to get one than `sign_image` and `verify_image`, so a function that takes a `SignedImage` cannot be
handed an unsigned one.

Facts (imgtool 2.5): `imgtool verify` without `-k` accepts unsigned images, `--fix-sig` accepts any signature, and junk after the
TLVs passes even with `-k`. The application binary is linked at slot + header size and does not hold the header: imgtool puts
`header_size` bytes before it (`--pad-header`). TLVs are only read here, never written.

Source: MCUboot documentation, design.md ("Image format") and imgtool.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from securesystemslib.signer import Signer

from devicepipe.errors import BenchError, IntegrityError, ProductError, UsageError
from devicepipe.signing.keys import ED25519, PublicKey, sign

_MAXIMUM_IMAGE = 64 * 1024 * 1024
_TIMEOUT = 120  # seconds; a call takes half of one

_HEADER = struct.Struct("<IIHHIIBBHII")  # magic, load address, header, protected TLVs, payload, flags, version, padding
_TLV_INFO = struct.Struct("<HH")
_TLV = struct.Struct("<HH")
_HEADER_MAGIC = 0x96F3B83D
_PROTECTED_MAGIC = 0x6908
_UNPROTECTED_MAGIC = 0x6907
_DEPENDENCY = struct.Struct("<B3xBBHI")  # image number, padding, version
_KEYHASH, _SHA256, _ED25519, _DEPENDS_ON, _SECURITY_COUNTER = 0x01, 0x10, 0x24, 0x40, 0x50
_NON_BOOTABLE = 0x10

_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(?:\+([0-9A-Za-z.-]+))?")
_VERSION_REMEDY = "use major and minor up to 255, revision up to 65535, and at most a build number, e.g. 1.2.3+45"

# Several imgtool commands in one interpreter: its start costs more than its work. Found by import, not by PATH.
_RUN_IMGTOOL = """
import json, sys, click
from imgtool.main import imgtool
for command in json.loads(sys.argv[1]):
    try:
        imgtool.main(command, "imgtool", standalone_mode=False)
    except click.ClickException as error:
        sys.exit(error.format_message())
    sys.stdout.flush()
"""

_PROOF = object()

# What imgtool accepted in this process: (SHA-256 of the file, key id) -> image digest. Verifying is a pure function of both, and a
# release asks several times for the same image.
_accepted: dict[tuple[str, str], str] = {}


@dataclass(frozen=True, slots=True)
class SignedImage:
    """A MCUboot image that imgtool has verified.

    Attributes:
        path: The image's file.
        sha256: SHA-256 of the whole file.
        image_digest: MCUboot's SHA-256 over header, payload and protected TLVs: what a device reports of what it runs.
        payload_digest: SHA-256 of the application binary inside.
        version: MCUboot's version, `major.minor.revision+build`.
        security_counter: The downgrade-protection counter.
        header_size: Bytes before the payload.
        keyid: The key that verified it.
        bootable: Whether it is a program; data otherwise.
        dependencies: The images it needs, as "(image number, least version)".
    """

    path: Path
    sha256: str
    image_digest: str
    payload_digest: str
    version: str
    security_counter: int
    header_size: int
    keyid: str
    proof: object = field(repr=False)
    bootable: bool = True
    dependencies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.proof is not _PROOF:
            raise TypeError("a SignedImage comes from sign_image or verify_image only")


def imgtool_version() -> str:
    """The version of imgtool that images are signed with."""
    return metadata.version("imgtool")


def image_version(version: str) -> str:
    """The MCUboot version `major.minor.revision+build` of a semantic version.

    MCUboot's header has 8 bits for major and minor, 16 for the revision and 32 for a build number, and nothing for a pre-release:
    dropping it would give 1.2.3-rc.1 and 1.2.3 the same name on the device. So it is refused, like whatever else does not fit.
    Build metadata must be one decimal number without leading zeros; left out, it is 0.

    Raises:
        UsageError: The version is no semantic version, or does not fit.
    """
    match = _VERSION.fullmatch(version)
    if not match:
        raise UsageError(f"'{version}' is not a version such as 1.2.3 or 1.2.3+45", remedy=_VERSION_REMEDY)
    major, minor, revision = (int(match[part]) for part in (1, 2, 3))
    if match[4]:
        raise UsageError(
            f"version '{version}': a MCUboot image cannot hold the pre-release '{match[4][1:]}'", remedy=_VERSION_REMEDY
        )
    build = match[5] or "0"
    if not re.fullmatch(r"0|[1-9][0-9]{0,9}", build):
        raise UsageError(f"version '{version}': '{build}' is not a build number", remedy=_VERSION_REMEDY)
    for name, value, bits in (
        ("major", major, 8),
        ("minor", minor, 8),
        ("revision", revision, 16),
        ("build", int(build), 32),
    ):
        if value >= 1 << bits:
            raise UsageError(f"version '{version}': {name} does not fit into {bits} bits", remedy=_VERSION_REMEDY)
    return f"{major}.{minor}.{revision}+{int(build)}"


def check_release_version(version: str) -> None:
    """Check that a version is spelled in the one way that a release has: a build number of 0 is left out.

    To a device 1.2.3 and 1.2.3+0 are one version; published as two, one of them could be withdrawn and the other not.

    Raises:
        UsageError: It is not; as `image_version`.
    """
    spelled = image_version(version).removesuffix("+0")
    if version != spelled:
        raise UsageError(f"version '{version}' is the version {spelled} of a device", remedy=f"say {spelled}")


def next_build(version: str) -> str:
    """The MCUboot version with the next build number: the least version that is an update of it.

    Raises:
        UsageError: As `image_version`, or there is no next build number.
    """
    numbers, _, build = image_version(version).partition("+")
    return image_version(f"{numbers}+{int(build) + 1}")


def canonical_dependency(text: str) -> str:
    """A dependency "(image number, version)" in the one spelling that evidence has.

    Raises:
        UsageError: It is none, or does not fit.
    """
    found = re.fullmatch(r"\( *([0-9]{1,3}) *, *(\S+) *\)", text)
    if not found or int(found[1]) >= 1 << 8:
        raise UsageError(f"'{text}' is not a dependency such as '(1, 1.0.0+0)'")
    return f"({int(found[1])}, {image_version(found[2])})"


def sign_image(
    binary: Path,
    out: Path,
    *,
    signer: Signer,
    public_key: PublicKey,
    version: str,
    security_counter: int,
    header_size: int,
    slot_size: int,
    align: int,
    bootable: bool = True,
    dependencies: Sequence[str] = (),
) -> SignedImage:
    """Make a signed MCUboot image: imgtool gives the digest, the signer signs it, imgtool puts it in and verifies the result.

    Args:
        binary: The application, linked at slot + `header_size`; or data.
        out: The file to write; it appears whole and verified, or not at all.
        signer: The private key, of any kind that `keys.load_signer` gives.
        public_key: Its public half.
        version: Semantic version; see `image_version`.
        security_counter: 0 to 2^32 - 1.
        header_size: Bytes before the payload.
        slot_size: Bytes of the slot; payload and TLVs must fit, and with a program MCUboot's trailer of a swap.
        align: Write alignment of the flash in bytes.
        bootable: Whether it is a program; data gets MCUboot's flag NON_BOOTABLE.
        dependencies: The images it needs, as "(image number, least version)".

    Raises:
        UsageError: The key is not Ed25519, or the version or the counter does not fit.
        ProductError: The binary is empty or does not fit into the slot.
        IntegrityError: What imgtool made does not verify.
        BenchError: imgtool or the signer cannot be used.
    """
    _check_key(public_key)
    if not 0 <= security_counter < 1 << 32:
        raise UsageError(f"security counter {security_counter} does not fit into 32 bits")
    mcuboot_version = image_version(version)
    needed = [canonical_dependency(dependency) for dependency in dependencies]
    payload = _read_binary(binary)
    with tempfile.TemporaryDirectory(prefix="devicepipe-image-") as folder:
        work = Path(folder)
        # imgtool takes a file for Intel HEX by its extension, so it gets names of ours.
        source, digest, signature, key, image = (
            work / name for name in ("payload.bin", "digest.bin", "signature.b64", "key.pem", "image.bin")
        )
        source.write_bytes(payload)
        key.write_bytes(public_key.pem)
        options = [
            *("--version", mcuboot_version, "--security-counter", str(security_counter)),
            *("--pad-header", "--header-size", str(header_size), "--slot-size", str(slot_size), "--align", str(align)),
            # A data image is never swapped: nothing but a few bytes is to be kept free behind it.
            *(() if bootable else ("--non-bootable", "--overwrite-only")),
            *(("--dependencies", "".join(needed)) if needed else ()),
        ]
        _imgtool_sign([["sign", *options, "--vector-to-sign", "digest", str(source), str(digest)]], binary)
        signature.write_bytes(base64.b64encode(sign(signer, public_key, digest.read_bytes())))
        fix = ["--fix-sig", str(signature), "--fix-sig-pubkey", str(key)]
        verified = _imgtool_sign(
            [["sign", *options, *fix, str(source), str(image)], ["verify", "-k", str(key), str(image)]], binary
        )
        data = image.read_bytes()
    if len(verified) != 1:
        raise IntegrityError("imgtool did not verify what it made", link=str(out))
    _accept(data, public_key, verified[0])
    made = _signed_image(data, out, str(out), public_key)
    expected = (hashlib.sha256(payload).hexdigest(), mcuboot_version, security_counter, header_size)
    further = (bootable, tuple(needed))
    if (made.payload_digest, made.version, made.security_counter, made.header_size) != expected or further != (
        made.bootable,
        made.dependencies,
    ):
        raise IntegrityError("imgtool made another image than it was asked for", link=str(out))
    _write_whole(out, data)
    return made


def verify_image(path: Path, public_key: PublicKey) -> SignedImage:
    """Verify one MCUboot image file.

    Raises:
        IntegrityError: It is not an image signed by the key, or not exactly one; names the file.
        UsageError: The key is not Ed25519.
        BenchError: imgtool cannot be run.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAXIMUM_IMAGE + 1)
    except OSError as error:
        raise IntegrityError(f"cannot be read: {error.strerror}", link=str(path)) from error
    return verify_images({str(path): data}, public_key)[str(path)]


def verify_images(images: Mapping[str, bytes], public_key: PublicKey) -> dict[str, SignedImage]:
    """Verify MCUboot images in one run of imgtool.

    Args:
        images: The bytes of each image file, by its name (used in errors and as `SignedImage.path`).
        public_key: The key that must have signed them.

    Raises:
        IntegrityError: Names the first image, in the mapping's order, that does not verify.
        UsageError, BenchError: As `verify_image`.
    """
    _check_key(public_key)
    asked: dict[str, bytes] = {}
    try:
        for link, data in images.items():
            _parse(data, link)  # before imgtool, which reads headers without looking where they end
            if _acceptance(data, public_key) is None:
                asked[link] = data
    finally:
        _imgtool_verify(asked, public_key)  # also what stands before an image that is none: the first bad one is named
    return {link: _signed_image(data, Path(link), link, public_key) for link, data in images.items()}


# --- imgtool --------------------------------------------------------------------------------------------------------


def _imgtool_sign(commands: list[list[str]], binary: Path) -> list[str]:
    """Run signing commands; the digests of the images that a `verify` among them accepted."""
    result = _run_imgtool(commands)
    if result.returncode != 0:
        reason = _last_line(result)
        if "exceeds requested size" in reason:
            raise ProductError(
                f"{binary}: the image does not fit into its slot: {reason}",
                remedy="make it smaller, or the slot larger",
            )
        raise BenchError(f"imgtool failed: {reason}", remedy="check the image settings of the board manifest")
    return _verified_digests(result.stdout)


def _imgtool_verify(images: Mapping[str, bytes], public_key: PublicKey) -> None:
    if not images:
        return
    with tempfile.TemporaryDirectory(prefix="devicepipe-image-") as folder:
        key = Path(folder) / "key.pem"
        key.write_bytes(public_key.pem)
        commands: list[list[str]] = []
        for index, data in enumerate(images.values()):
            file = Path(folder) / f"{index}.bin"
            file.write_bytes(data)
            commands.append(["verify", "-k", str(key), str(file)])
        result = _run_imgtool(commands)
    digests = _verified_digests(result.stdout)
    for data, digest in zip(images.values(), digests, strict=False):
        _accept(data, public_key, digest)
    if result.returncode != 0 or len(digests) != len(images):
        failed = list(images)[min(len(digests), len(images) - 1)]
        raise IntegrityError(
            f"does not verify under the image key {public_key.keyid}: {_last_line(result)}", link=failed
        )


def _accept(data: bytes, public_key: PublicKey, digest: str) -> None:
    _accepted[hashlib.sha256(data).hexdigest(), public_key.keyid] = digest


def _acceptance(data: bytes, public_key: PublicKey) -> str | None:
    return _accepted.get((hashlib.sha256(data).hexdigest(), public_key.keyid))


def _run_imgtool(commands: list[list[str]]) -> subprocess.CompletedProcess[str]:
    # -P: a file of the current folder must never stand in for a module.
    arguments = [sys.executable, "-P", "-c", _RUN_IMGTOOL, json.dumps(commands)]
    try:
        return subprocess.run(
            arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"imgtool cannot be run: {error}", remedy="run the set-up again") from error


def _verified_digests(output: str) -> list[str]:
    return re.findall(
        r"^Image was correctly validated\nImage version: [0-9.+]+\nImage digest: ([0-9a-f]{64})$", output, re.MULTILINE
    )


def _last_line(result: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    return lines[-1] if lines else f"imgtool ended with {result.returncode} and said nothing"


# --- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parts of an image lie, and the TLVs by type."""

    header_size: int
    payload_end: int
    hashed_end: int
    version: str
    bootable: bool
    dependencies: tuple[str, ...]
    protected: dict[int, list[bytes]]
    unprotected: dict[int, list[bytes]]


def _parse(data: bytes, link: str) -> _Layout:
    """Read header and TLV sizes; every byte of the file must be accounted for."""
    if len(data) > _MAXIMUM_IMAGE:
        raise IntegrityError(f"is larger than {_MAXIMUM_IMAGE} bytes", link=link)
    if len(data) < _HEADER.size:
        raise IntegrityError("is too short for a MCUboot image", link=link)
    magic, load, header, protected_size, payload, flags, major, minor, revision, build, pad = _HEADER.unpack_from(data)
    if magic != _HEADER_MAGIC:
        raise IntegrityError("is not a MCUboot image", link=link)
    if load or flags not in (0, _NON_BOOTABLE) or pad or header < _HEADER.size:
        raise IntegrityError("has header fields that devicepipe never sets", link=link)
    payload_end = header + payload
    protected, hashed_end = _tlv_area(data, payload_end, _PROTECTED_MAGIC, link)
    unprotected, end = _tlv_area(data, hashed_end, _UNPROTECTED_MAGIC, link)
    if hashed_end - payload_end != protected_size:
        raise IntegrityError("its header gives another size of the protected TLVs", link=link)
    if end != len(data):
        raise IntegrityError(f"has {len(data) - end} bytes after its TLVs", link=link)
    needed = protected.pop(_DEPENDS_ON, [])
    sizes = ({tag: [*map(len, values)] for tag, values in area.items()} for area in (protected, unprotected))
    if tuple(sizes) != ({_SECURITY_COUNTER: [4]}, {_SHA256: [32], _KEYHASH: [32], _ED25519: [64]}) or any(
        len(value) != _DEPENDENCY.size for value in needed
    ):
        raise IntegrityError(
            "its TLVs are not exactly security counter, dependencies if any, SHA-256, key hash and Ed25519 signature",
            link=link,
        )
    return _Layout(
        header_size=header,
        payload_end=payload_end,
        hashed_end=hashed_end,
        version=f"{major}.{minor}.{revision}+{build}",
        bootable=not flags,
        dependencies=tuple(_dependency(value) for value in needed),
        protected=protected,
        unprotected=unprotected,
    )


def _dependency(value: bytes) -> str:
    number, major, minor, revision, build = _DEPENDENCY.unpack(value)
    return f"({number}, {major}.{minor}.{revision}+{build})"


def _tlv_area(data: bytes, start: int, magic: int, link: str) -> tuple[dict[int, list[bytes]], int]:
    if start + _TLV_INFO.size > len(data):
        raise IntegrityError("ends before its TLVs", link=link)
    found, size = _TLV_INFO.unpack_from(data, start)
    end = start + size
    if found != magic or size < _TLV_INFO.size or end > len(data):
        raise IntegrityError("has no whole TLV area where its header says so", link=link)
    entries: dict[int, list[bytes]] = {}
    position = start + _TLV_INFO.size
    while position < end:
        if position + _TLV.size > end:
            raise IntegrityError("has a TLV that runs over the end of its area", link=link)
        tag, length = _TLV.unpack_from(data, position)
        position += _TLV.size
        if position + length > end:
            raise IntegrityError("has a TLV that runs over the end of its area", link=link)
        entries.setdefault(tag, []).append(data[position : position + length])
        position += length
    return entries, end


def _signed_image(data: bytes, path: Path, link: str, public_key: PublicKey) -> SignedImage:
    """The typed value of an image that imgtool has accepted."""
    layout = _parse(data, link)
    digest = hashlib.sha256(data[: layout.hashed_end]).hexdigest()
    if _acceptance(data, public_key) != digest or layout.unprotected[_SHA256][0].hex() != digest:
        raise IntegrityError("imgtool did not verify it with this digest", link=link)
    if layout.unprotected[_KEYHASH][0].hex() != public_key.keyid:
        raise IntegrityError("names another key in its key hash", link=link)
    return SignedImage(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        image_digest=digest,
        payload_digest=hashlib.sha256(data[layout.header_size : layout.payload_end]).hexdigest(),
        version=layout.version,
        security_counter=int.from_bytes(layout.protected[_SECURITY_COUNTER][0], "little"),
        header_size=layout.header_size,
        keyid=public_key.keyid,
        proof=_PROOF,
        bootable=layout.bootable,
        dependencies=layout.dependencies,
    )


# --- small parts ----------------------------------------------------------------------------------------------------


def _check_key(public_key: PublicKey) -> None:
    if public_key.scheme != ED25519:
        raise UsageError(
            f"images are signed with Ed25519, but the image key is {public_key.scheme}",
            key="keys.image-public",
            remedy="configure an Ed25519 image key: it is what the bootloader checks",
        )


def _read_binary(binary: Path) -> bytes:
    try:
        payload = binary.read_bytes()
    except OSError as error:
        raise UsageError(f"application binary cannot be read: {error.strerror}", file=binary) from error
    if not payload:
        raise ProductError(f"{binary}: the application binary is empty")
    return payload


def _write_whole(out: Path, data: bytes) -> None:
    temporary = out.with_name(f".{out.name}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(out)
    except OSError as error:
        raise UsageError(f"image cannot be written: {error.strerror}", file=out) from error
