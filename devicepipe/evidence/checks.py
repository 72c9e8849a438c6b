"""What the checks of a bundle's cross links share: a link that held, and a comparison that must."""

from __future__ import annotations

from dataclasses import dataclass

from devicepipe.errors import IntegrityError
from devicepipe.evidence.predicates import BuildResult


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


def artifact(build: BuildResult, firmware: str, role: str, link: str) -> str:
    """The file of a build's output.

    Raises:
        IntegrityError: The build has none, which `link` needs.
    """
    try:
        return build.firmware(firmware).artifact(role).path
    except KeyError as error:
        raise IntegrityError(f"the build has no {role} of the {firmware}", link=link) from error
