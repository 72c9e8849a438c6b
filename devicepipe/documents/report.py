"""The two documents that are wanted alone: the Software Verification Report and the Traceability Matrix."""

from __future__ import annotations

from devicepipe.documents.model import Document
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.release import MATRIX, REPORT, compose_document


def verification_report(record: ReleaseRecord) -> Document:
    """The Software Verification Report, to be rendered as PDF or HTML."""
    return compose_document(record, REPORT)


def matrix_document(record: ReleaseRecord) -> Document:
    """The Traceability Matrix, to be rendered as PDF or HTML."""
    return compose_document(record, MATRIX)
