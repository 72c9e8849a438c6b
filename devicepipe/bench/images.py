"""The files under test, as a test sees them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devicepipe.bench.spec import SessionSpec


@dataclass(frozen=True)
class Images:
    """The files under test, and what they are.

    Attributes:
        factory: Intel HEX of all that a new device's flash holds.
        signed: The MCUboot image in it.
        public_key: PEM public key that the bootloader trusts.
        digest: The image's MCUboot digest (SHA-256, hexadecimal).
        payload_digest: SHA-256 of the signed application binary.
        elf: The ELF file of the application, or None where the session was given none; likewise the next two.
        bootloader_elf: The ELF file of the bootloader.
        update: A second signed image of the same payload, with the next build number.
    """

    factory: Path
    signed: Path
    public_key: Path
    digest: str
    payload_digest: str
    elf: Path | None = None
    bootloader_elf: Path | None = None
    update: Path | None = None


def images_of(spec: SessionSpec) -> Images:
    """Those of a session."""
    return Images(
        factory=spec.factory,
        signed=spec.signed_image,
        public_key=spec.public_key,
        digest=spec.expected.digest,
        payload_digest=spec.payload_digest,
        elf=spec.elf,
        bootloader_elf=spec.bootloader_elf,
        update=spec.update,
    )
