"""Approved copies: the record copies of a release's documents, with the signatures of its people shown in them.

The bundle stays as it is. What always holds: but for the approval block, the status and the attached signatures, a copy is the
document that is sealed in the bundle, which is made anew and compared byte for byte first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from devicepipe.approval.lifecycle import Action, Standing
from devicepipe.approval.record import standing_of
from devicepipe.documents.pdfa import Attachment, Relationship
from devicepipe.documents.record import SignedBy, SignedLine
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.layout import RELEASE_STATEMENT
from devicepipe.evidence.signatures import Given, SignedRecord, record_folder
from devicepipe.evidence.verify import VerifiedBundle
from devicepipe.stages.document import Documents
from devicepipe.stages.standing import authors_of, counts, signed_standing

RECORD = "documents/record/"
"""Where the record copies lie in a bundle."""
_PDF = ".pdf"
_DONE: Mapping[str, str] = {
    Action.SUBMIT: "submitted",
    Action.APPROVE: "approved",
    Action.REJECT: "rejected",
    Action.RETRACT: "taken back",
    Action.RELEASE: "released",
    Action.WITHDRAW: "withdrawn",
}


def sealed_copies(bundle: VerifiedBundle) -> dict[str, bytes]:
    """The record copies as they are sealed in a bundle, by document.

    Raises:
        UsageError: It has none.
    """
    names = [name for name in bundle.names() if name.startswith(RECORD) and name.endswith(_PDF)]
    if not names:
        raise UsageError("has no record copies of documents", file=bundle.folder, remedy="make the release anew")
    return {name.removeprefix(RECORD).removesuffix(_PDF): bundle.read(name) for name in names}


def approved_copies(bundle: VerifiedBundle, record: SignedRecord, standing: Standing) -> dict[str, bytes]:
    """The record copies with the signatures shown and attached, by document.

    Args:
        bundle: The release.
        record: Its signatures, verified.
        standing: Where it stands by them.

    Raises:
        UsageError: The bundle has no record copies, or was made by a devicepipe whose documents this one does not make.
        IntegrityError: Evidence is malformed.
    """
    documents = Documents(bundle)
    _check_sealed(bundle, documents)
    return documents.record_copies(signed_by(bundle, record, standing), _attachments(bundle, record))


def possible_copies(bundle: VerifiedBundle) -> Iterator[tuple[str, dict[str, bytes]]]:
    """All that `sign-documents` may have signed of a bundle, each with where the release stood: "" as it was sealed.

    First as it is sealed, then with all signatures of people that there are, then with those before the last, and so on.

    Raises:
        UsageError, IntegrityError: As `approved_copies`, and where a signature of people does not hold.
    """
    yield "", sealed_copies(bundle)
    record, policy, _ = signed_standing(bundle)
    documents = Documents(bundle)
    for count in range(len(record.signatures), 0, -1):
        if count == len(record.signatures):
            _check_sealed(bundle, documents)
        part = replace(record, signatures=record.signatures[:count])
        standing = standing_of(part, policy, authors_of(bundle), releasable=bundle.release.releasable)
        copies = documents.record_copies(signed_by(bundle, part, standing), _attachments(bundle, part))
        yield str(standing.state), copies


def _check_sealed(bundle: VerifiedBundle, documents: Documents) -> None:
    """The documents that are made of the evidence now must be the sealed ones."""
    sealed = sealed_copies(bundle)
    anew = documents.record_copies()
    if changed := sorted(name for name in {*sealed, *anew} if sealed.get(name) != anew.get(name)):
        raise UsageError(
            "is not what this devicepipe makes of the evidence, so that no copy of it can show signatures",
            file=bundle.folder / f"{RECORD}{changed[0]}{_PDF}",
            remedy=f"use devicepipe {bundle.release.generator.version}, which made the bundle",
        )


def signed_by(bundle: VerifiedBundle, record: SignedRecord, standing: Standing) -> SignedBy:
    """The signatures of a release, as its documents show them."""
    return SignedBy(
        state=standing.state,
        release=bundle.sha256(RELEASE_STATEMENT),
        lines=tuple(_line(given, counts=counts(given, record, standing)) for given in record.signatures),
    )


def _line(given: Given, *, counts: bool) -> SignedLine:
    signature = given.signature
    return SignedLine(
        role=signature.role,
        meaning=signature.meaning,
        done=_DONE[signature.action],
        counts=counts,
        name=signature.name,
        account=signature.account,
        on=signature.on,
        file=given.file,
        sha256=given.sha256,
    )


def _attachments(bundle: VerifiedBundle, record: SignedRecord) -> list[Attachment]:
    """The signatures themselves, whose digests the block shows."""
    folder = record_folder(bundle.folder)
    found: list[Attachment] = []
    for given in record.signatures:
        data = record.files[given.file]
        told = f"{given.signature.action} by {given.signature.account}: in-toto statement in a DSSE envelope"
        found.append(Attachment(f"signature-{given.file}", "application/json", data, told, Relationship.SUPPLEMENT))
    if not found:
        raise IntegrityError("has no signature", link=folder.name)
    return found
