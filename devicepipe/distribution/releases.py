"""Releases in a repository: which files a release has there, and its state, both in the signed targets metadata. Pure.

A release's state (`PublishedState`) is the `custom` of one of its targets, the release statement of its bundle, so that whoever
verifies the metadata has it signed. To withdraw a release takes its files out of the targets, all but the evidence, and the state
is another one; the files themselves, and the metadata that named them, are never removed from the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import ValidationError
from tuf.api.metadata import TargetFile, Targets

from devicepipe.distribution.layout import release_folder, target_path
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.files import shown
from devicepipe.evidence.layout import RELEASE_ENVELOPE, RELEASE_STATEMENT, SOURCE_CONFIG, kind_named
from devicepipe.evidence.ledger.disk import MAXIMUM_READ
from devicepipe.evidence.ledger.entry import Said
from devicepipe.evidence.model import Model, Sha256, Time
from devicepipe.evidence.statement import MAXIMUM_BYTES
from devicepipe.signing.image import check_release_version

EVIDENCE: Final = "release/"
"""The bundle's own evidence: release statement, its signature, and what says what a release takes to be approved."""
EVIDENCE_FILES: Final = (RELEASE_STATEMENT, RELEASE_ENVELOPE, SOURCE_CONFIG, kind_named("source").path_for())
"""Its files, and no others: what it takes to tell where the release stands, with nothing but the release key."""
STATEMENT: Final = f"{EVIDENCE}{RELEASE_STATEMENT}"
SIGNATURES: Final = "release.signatures/"
"""What people signed."""
LARGEST_FILE: Final = MAXIMUM_READ - 1
LARGEST_EVIDENCE: Final = MAXIMUM_BYTES
LARGEST_RELEASE: Final = 1024 * 1024 * 1024
"""What a release may have, in bytes: a file of it, its evidence and signatures together, all of it. More is neither published nor
fetched."""
_KEPT: Final = (EVIDENCE, SIGNATURES)
_CUSTOM: Final = "devicepipe"


class PublishedState(Model):
    """What the repository says of a release.

    Attributes:
        product: Whose it is.
        version: Which.
        release: SHA-256 of its release statement.
        state: Whether it may be used.
        on: When it came to be in that state, UTC: the time of the signature.
        signature: SHA-256 of the signature by which a person released or withdrew it.
        meaning: What that signature means, in its words (`in_one_line`).
    """

    product: Said
    version: Said
    release: Sha256
    state: Literal["released", "withdrawn"]
    on: Time
    signature: Sha256
    meaning: Said

    @property
    def title(self) -> str:
        """Product and version."""
        return f"{self.product} {self.version}"


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is published of a release: its state, and its files by their names in it."""

    state: PublishedState
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Published:
    """A release as the targets metadata have it: its state, and its targets by the names of the files in it."""

    state: PublishedState
    targets: Mapping[str, TargetFile] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Product and version."""
        return self.state.title


def releases_of(targets: Targets) -> tuple[Published, ...]:
    """All releases, withdrawn ones too, in the order of their paths.

    Raises:
        IntegrityError: A target belongs to no release, or the state of one cannot be read.
    """
    states: dict[str, PublishedState] = {}
    for path, target in sorted(targets.targets.items()):
        if path.endswith(f"/{STATEMENT}"):
            state = _state(target, path)
            folder = release_folder(state.product, state.version)
            if path != f"{folder}/{STATEMENT}" or target.hashes.get("sha256") != state.release:
                raise IntegrityError("has the state of another release", link=path)
            states[folder] = state
    files: dict[str, dict[str, TargetFile]] = {folder: {} for folder in states}
    for path, target in sorted(targets.targets.items()):
        folder, name = "/".join(path.split("/")[:2]), "/".join(path.split("/")[2:])
        if folder not in states:
            raise IntegrityError("belongs to no release", link=path)
        files[folder][name] = target
    return tuple(Published(states[folder], files[folder]) for folder in states)


def find_release(targets: Targets, product: str, version: str) -> Published | None:
    """The release of that version. Raises IntegrityError as `releases_of`."""
    wanted = (one for one in releases_of(targets) if (one.state.product, one.state.version) == (product, version))
    return next(wanted, None)


def check_version(targets: Targets, product: str, version: str, release: str) -> Published | None:
    """The release of that version, which is the one of this release statement (SHA-256), or None.

    Raises:
        UsageError: The version is published of another bundle, or is spelled as none is.
        IntegrityError: As `releases_of`.
    """
    check_release_version(version)
    before = find_release(targets, product, version)
    if before is not None and before.state.release != release:
        raise UsageError(
            f"{before.title} is published, of another bundle", remedy="a version is published once: make a new one"
        )
    return before


def targets_with(targets: Targets, parcel: Parcel, *, gone: bool = False) -> dict[str, TargetFile]:
    """The targets with a release in its state: that of `parcel`, which has all of its files if it is released.

    Args:
        targets: The targets.
        parcel: The release.
        gone: It was published, even if the targets have none of it: whoever withdraws it then says so.

    Raises:
        UsageError: Another release of that version is published, or with other files, or it was withdrawn.
        IntegrityError: As `releases_of`.
    """
    state = parcel.state
    before = check_version(targets, state.product, state.version, state.release)
    title = state.title
    if before is not None and before.state.state == "withdrawn" and state.state == "released":
        raise UsageError(f"{title} was withdrawn on {before.state.on}", remedy="that is for good: make a new version")
    if before is None and state.state == "withdrawn" and not gone:
        raise UsageError(f"{title} was withdrawn on {state.on}, and is not published in this repository")
    if before is not None and state.state == "released":
        _check_same(before, parcel)
    if large := too_large({name: len(data) for name, data in parcel.files.items()}):
        raise UsageError(f"{large[0]} cannot be published: {large[1]}")
    folder = f"{release_folder(state.product, state.version)}/"
    kept = {path: target for path, target in targets.targets.items() if not path.startswith(folder)}
    for name, data in sorted(parcel.files.items()):
        if state.state == "withdrawn" and not name.startswith(_KEPT):
            continue
        path = target_path(state.product, state.version, name)
        custom = {_CUSTOM: state.to_json()} if name == STATEMENT else None
        kept[path] = TargetFile(len(data), {"sha256": sha256(data)}, path, {"custom": custom} if custom else None)
    if f"{folder}{STATEMENT}" not in kept:
        raise UsageError(f"{title} has no release statement to be published with")
    if kept[f"{folder}{STATEMENT}"].hashes["sha256"] != state.release:
        raise IntegrityError("is not the release statement of the state", link=STATEMENT)
    return dict(sorted(kept.items()))


def _check_same(before: Published, parcel: Parcel) -> None:
    """See that what ships of a release that is published is what is published. Raises UsageError where it is not."""
    there = {name: one.hashes["sha256"] for name, one in before.targets.items() if not name.startswith(_KEPT)}
    given = {name: sha256(data) for name, data in parcel.files.items() if not name.startswith(_KEPT)}
    if changed := sorted(name for name in there.keys() | given.keys() if there.get(name) != given.get(name)):
        raise UsageError(
            f"{before.title} is published, and its {changed[0]} is another one",
            remedy="a version is published once: restore what was made for it (its folder .production) from a copy",
        )


def too_large(lengths: Mapping[str, int]) -> tuple[str, str] | None:
    """The first file of a release that is too large, by itself or with those before it, and why; None where none is.

    Args:
        lengths: The lengths of its files, in bytes, by name.
    """
    total = evidence = 0
    for name, length in sorted(lengths.items()):
        total, evidence = total + length, evidence + (length if name.startswith(_KEPT) else 0)
        for what, size, most in (
            ("it has", length, LARGEST_FILE),
            ("evidence and signatures have", evidence, LARGEST_EVIDENCE),
            ("the release has", total, LARGEST_RELEASE),
        ):
            if size > most:
                return name, f"{what} {size} bytes, {most} at most"
    return None


def in_one_line(text: str) -> str:
    """A text as a state has it: white space is one space, and what cannot be printed is escaped."""
    return shown(" ".join(text.split()))


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _state(target: TargetFile, path: str) -> PublishedState:
    custom: Any = target.custom
    try:
        state = PublishedState.from_json(custom[_CUSTOM])
        check_release_version(state.version)
    except UsageError as error:
        raise IntegrityError(error.message, link=path) from error
    except (TypeError, KeyError, ValidationError) as error:
        raise IntegrityError("says nothing of the release that can be understood", link=path) from error
    return state
