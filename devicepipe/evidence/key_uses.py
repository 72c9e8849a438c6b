"""What the log says of keys that sign: an entry of kind `key-use` for each thing that one signed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.ledger.entry import Entry, make_entry
from devicepipe.evidence.predicates import ImageSigning

_PROGRAM = "devicepipe"

Purpose = Literal["image", "production image", "release statement", "repository metadata", "roster"]
"""What is signed."""


def use_of_key(
    keyid: str, purpose: Purpose, subject: str, digest: str, *, at: str, by: str = _PROGRAM, release: str | None = None
) -> Entry:
    """The entry about one use of a key.

    Args:
        keyid: The key.
        purpose: What is signed.
        subject: Its name.
        digest: Its SHA-256.
        at: When.
        by: Who or what signed with it.
        release: The release that it belongs to, if any.
    """
    details = {"keyid": keyid, "purpose": purpose} | ({"release": release} if release is not None else {})
    return make_entry("key-use", at=at, by=by, subject=subject, digest=digest, details=details)


def uses_of_image_key(bundle: Bundle, boards: Iterable[str], release: str, at: str) -> list[Entry]:
    """The entries about all images of a bundle, by boards and in the order of each board's signing attestation."""
    signed = [bundle.predicate(ImageSigning, board) for board in boards]
    return [
        use_of_key(one.key.keyid, "image", name, bundle.sha256(name), at=at, release=release)
        for one in signed
        for name in one.images
    ]
