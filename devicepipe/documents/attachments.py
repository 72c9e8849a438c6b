"""What is attached to a record copy: the evidence behind a document's tables, as a machine reads it."""

from __future__ import annotations

from devicepipe.documents.matrix import matrix_csv
from devicepipe.documents.pdfa import Attachment, Relationship
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.statement import canonical


def trace_attachments(record: ReleaseRecord) -> tuple[Attachment, ...]:
    """Items, links and verdicts as JSON (the predicate of the traceability attestation), and the matrix as CSV."""
    trace = canonical(record.traceability.to_json())
    return (
        Attachment(
            "traceability.json",
            "application/json",
            trace,
            "Items, matrix and findings: predicate of the traceability attestation",
            Relationship.SOURCE,
        ),
        Attachment(
            "traceability-matrix.csv", "text/csv", matrix_csv(record), "Traceability matrix", Relationship.ALTERNATIVE
        ),
    )


def sbom_attachments(record: ReleaseRecord) -> tuple[Attachment, ...]:
    """The software bill of materials of each board as CycloneDX JSON (the predicate of its attestation)."""
    return tuple(
        Attachment(
            f"sbom-{board}.cdx.json",
            "application/vnd.cyclonedx+json",
            canonical(dict(bom)),
            f"Software bill of materials of {board}, CycloneDX",
        )
        for board, bom in record.boms.items()
    )
