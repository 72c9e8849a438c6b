"""The cross link of the history: it is that of the released commit, and its versions and commits are in order."""

from __future__ import annotations

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation
from devicepipe.evidence.checks import Link, same
from devicepipe.evidence.history import History
from devicepipe.evidence.layout import SOURCE_FILES
from devicepipe.evidence.predicates import SourceInfo


def check_history(attestation: Attestation, source: SourceInfo) -> Link:
    """Check the history.

    Raises:
        IntegrityError: It is of another commit or product, something stands in it twice, or its commits are not those since the
            last version.
    """
    history, link = attestation.read(History), attestation.path
    same("commit", history.commit, source.commit, link, "the source attestation")
    if attestation.statement.digest_of(SOURCE_FILES) is None:
        raise IntegrityError(f"is not about {SOURCE_FILES}, which it should be", link=link)
    for what, names in (
        ("version", [version.name for version in history.versions]),
        ("commit", [change.commit for change in history.changes]),
        ("earlier release", [one.statement for one in history.earlier]),
    ):
        if len(set(names)) != len(names):
            raise IntegrityError(f"has a {what} twice", link=link)
    newest = history.versions[0].name if history.versions else ""
    if history.since != newest:
        raise IntegrityError(
            f"lists the changes since {history.since!r}, but its newest version is {newest!r}", link=link
        )
    for one in history.earlier:
        same("product", one.product, source.product, link, "the source attestation")
        if one.started_on >= source.started_on:
            raise IntegrityError(f"calls release {one.version} earlier, but it was started later", link=link)
    told = f"{len(history.versions)} versions, {len(history.changes)} commits, {len(history.earlier)} earlier releases"
    return Link(link, f"of the released commit: {told}")
