"""What the checks of a bundle's cross links share: a link that held, and a comparison that must."""

from __future__ import annotations

from dataclasses import dataclass

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.files import size_of
from devicepipe.evidence.names import address
from devicepipe.evidence.predicates import BuildResult, SourceInfo


@dataclass(frozen=True, slots=True)
class Link:
    """A check that held: the file it is about and what was checked, for a human."""

    link: str
    check: str


def same(what: str, here: object, there: object, link: str, other: str) -> None:
    """Two accounts of one thing must agree.

    Raises:
        IntegrityError: They do not; names `link`.
    """
    if here != there:
        raise IntegrityError(f"its {what} is {here!r}, but {there!r} by {other}", link=link)


def about(attestation: Attestation, *names: str) -> None:
    """The attestation must have these files among its subjects. Raises IntegrityError where it has not; names the attestation."""
    for name in names:
        if attestation.statement.digest_of(name) is None:
            raise IntegrityError(f"is not about {name}, which it should be", link=attestation.path)


def file_is(bundle: Bundle, name: str, digest: str, link: str) -> None:
    """What `link` says of a file must be true of the bundle's file. Raises IntegrityError where it is not; names `link`."""
    if not bundle.exists(name):
        raise IntegrityError(f"names {name}, which is not in this bundle", link=link)
    if bundle.sha256(name) != digest:
        raise IntegrityError(f"gives another SHA-256 of {name} than the bundle's file has", link=link)


def read_small(bundle: Bundle, name: str, maximum: int) -> bytes:
    """The bytes of a file of the bundle. Raises IntegrityError where there are more than `maximum`; names the file."""
    if size_of(bundle.folder, name) > maximum:
        raise IntegrityError(f"is larger than {maximum} bytes", link=name)
    return bundle.read(name)


def authors_of(source: SourceInfo, link: str) -> frozenset[str]:
    """The e-mail addresses of who wrote what is released, each as `address` has it.

    Raises:
        IntegrityError: It names nobody, so that nobody would be kept from approving the own change.
    """
    found = frozenset(map(address, source.authors or ())) - {""}
    if not found:
        raise IntegrityError("names no author of the change: a commit has one", link=link)
    return found


def artifact(build: BuildResult, firmware: str, role: str, link: str) -> str:
    """The file of a build's output.

    Raises:
        IntegrityError: The build has none, which `link` needs.
    """
    try:
        return build.firmware(firmware).artifact(role).path
    except KeyError as error:
        raise IntegrityError(f"the build has no {role} of the {firmware}", link=link) from error
