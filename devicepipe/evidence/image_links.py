"""The cross links of images: what was built, under the key that devices trust; and the factory image is made of them, no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.checks import Link, about, artifact, read_small, same
from devicepipe.evidence.layout import IMAGE_KEY
from devicepipe.evidence.predicates import BuildResult, ImageSigning, SourceInfo
from devicepipe.signing.factory import check_factory_image, read_hex
from devicepipe.signing.image import SignedImage, image_version, next_build, verify_images
from devicepipe.signing.keys import PublicKey

_MAXIMUM_HEX: Final = 16 * 1024 * 1024  # about 6 MiB of flash


def check_images(
    bundle: Bundle, attestations: Sequence[Attestation], image_key: PublicKey
) -> tuple[dict[str, SignedImage], list[Link]]:
    """Check the signed images of all boards; returns them by name, and what held.

    Args:
        bundle: The bundle; its reads must be checked ones.
        attestations: The signing attestation of each board.
        image_key: The key that the devices trust.

    Raises:
        IntegrityError: One does not verify, is a program that should be data, or the other way round.
        BenchError: imgtool cannot be run.
    """
    programs: dict[str, bool] = {}
    for attestation in attestations:
        signing = attestation.read(ImageSigning)
        if len(set(signing.images)) != len(signing.images):
            raise IntegrityError("names one file as two images", link=attestation.path)
        about(attestation, *signing.images)
        programs |= dict.fromkeys(signing.images, True) | {data.image: False for data in signing.data}
    try:
        verified = verify_images({name: bundle.read(name) for name in programs}, image_key)
    except UsageError as error:
        raise IntegrityError(error.message, link=IMAGE_KEY) from error
    for name, program in programs.items():
        if verified[name].bootable != program:
            raise IntegrityError(f"is signed as {'data' if program else 'a program'}, which it is not", link=name)
    held = f"imgtool verifies it under {IMAGE_KEY}, and it ends where its TLVs end"
    return verified, [Link(name, held) for name in programs]


def check_signing(
    bundle: Bundle,
    attestation: Attestation,
    source: SourceInfo,
    build: BuildResult,
    images: Mapping[str, SignedImage],
) -> list[Link]:
    """Check a board's signing.

    Args:
        bundle: The bundle; its reads must be checked ones.
        attestation: The signing's.
        source: The released commit.
        build: The board's build.
        images: What `check_images` verified.

    Raises:
        IntegrityError: An image is not what the attestation says or not what was built, or the factory image holds anything else.
    """
    signing, link = attestation.read(ImageSigning), attestation.path
    image = images[signing.image]
    same("board", signing.board, attestation.board, link, "its name")
    same("key", signing.key, source.image_key, link, "the source")
    for what, here, there in (
        ("image digest", signing.image_digest, image.image_digest),
        ("payload digest", signing.payload_digest, image.payload_digest),
        ("version", signing.image_version, image.version),
        ("security counter", signing.security_counter, image.security_counter),
        ("dependencies", tuple(signing.dependencies), image.dependencies),
    ):
        same(what, here, there, link, signing.image)
    binary = artifact(build, "application", "bin", link)
    same("payload digest", signing.payload_digest, bundle.sha256(binary), link, binary)
    try:
        same("version", signing.image_version, image_version(source.version), link, "the source")
    except UsageError as error:
        raise IntegrityError(error.message, link=link) from error
    about(attestation, signing.factory_image)
    return [
        Link(link, f"the signed payload is {binary}"),
        *_check_update(signing, images, link),
        *_check_data(bundle, signing, build, images, link),
        _check_factory(bundle, signing.factory_image, signing, build, image),
    ]


def _check_update(signing: ImageSigning, images: Mapping[str, SignedImage], link: str) -> list[Link]:
    """The update-test image is the released program under the next build number, and nothing else."""
    if signing.update is None:
        return []
    image, released, name = images[signing.update.image], images[signing.image], signing.update.image
    same("update's image digest", signing.update.image_digest, image.image_digest, link, name)
    same("update's version", signing.update.image_version, image.version, link, name)
    same("payload digest", image.payload_digest, released.payload_digest, name, signing.image)
    same("security counter", image.security_counter, released.security_counter, name, signing.image)
    same("dependencies", image.dependencies, released.dependencies, name, signing.image)
    try:
        same("version", image.version, next_build(released.version), name, signing.image)
    except UsageError as error:
        raise IntegrityError(error.message, link=link) from error
    return [Link(name, f"has the payload of {signing.image} and the next build number: for tests only")]


def _check_data(
    bundle: Bundle, signing: ImageSigning, build: BuildResult, images: Mapping[str, SignedImage], link: str
) -> list[Link]:
    """Each data image holds its file of the build, and there is one for each."""
    made = {name: one.path for name, one in build.firmware("application").data.items()}
    same("data images", {data.name: data.artifact for data in signing.data}, made, link, "the build")
    numbers = [data.number for data in signing.data]
    if len(set(numbers)) != len(numbers) or 0 in numbers:
        raise IntegrityError("gives two images one number", link=link)
    for data in signing.data:
        image = images[data.image]
        for what, here, there in (
            ("image digest", data.image_digest, image.image_digest),
            ("payload digest", data.payload_digest, image.payload_digest),
            ("version", data.image_version, image.version),
            ("security counter", data.security_counter, image.security_counter),
        ):
            same(f"{data.name}'s {what}", here, there, link, data.image)
        same("payload digest", data.payload_digest, bundle.sha256(data.artifact), link, data.artifact)
    return [Link(data.image, f"is the data image of {data.artifact}") for data in signing.data]


def _check_factory(bundle: Bundle, name: str, signing: ImageSigning, build: BuildResult, image: SignedImage) -> Link:
    """The factory image `name` is the bootloader, the image at the address that it is linked for, and the data images."""
    start = check_factory_image(
        read_small(bundle, name, _MAXIMUM_HEX),
        read_small(bundle, artifact(build, "bootloader", "hex", name), _MAXIMUM_HEX),
        bundle.read(signing.image),
        name,
        {data.name: (data.address, bundle.read(data.image)) for data in signing.data},
    )
    application = artifact(build, "application", "hex", name)
    linked = min(read_hex(read_small(bundle, application, _MAXIMUM_HEX), application), default=None)
    same("address of the application", start + image.header_size, linked, name, application)
    further = f", {len(signing.data)} data images" if signing.data else ""
    return Link(name, f"is the bootloader, the signed image at the address it is linked for{further}, nothing else")
