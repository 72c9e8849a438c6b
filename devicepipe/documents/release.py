"""The documents of a release: one call from the record to the files' bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from devicepipe.documents.attachments import sbom_attachments, trace_attachments
from devicepipe.documents.compose import Made, compose
from devicepipe.documents.definition import DocumentSet
from devicepipe.documents.html_page import render_html
from devicepipe.documents.linking import with_links
from devicepipe.documents.matrix import matrix_csv
from devicepipe.documents.measurements import measurements_csv
from devicepipe.documents.model import Document
from devicepipe.documents.pdf import render_pdf
from devicepipe.documents.pdfa import Attachment, copies
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.sources import load_sources
from devicepipe.documents.tables import render_tables

REPORT: Final = "software-verification-report"
MATRIX: Final = "traceability-matrix"
SOUP: Final = "soup-and-vulnerability-report"
MATRIX_CSV: Final = "traceability-matrix.csv"
MEASUREMENTS_CSV: Final = "measurements.csv"


@cache
def shipped_set() -> DocumentSet:
    """The documents that devicepipe makes where a project defines none."""
    return load_sources(None).documents()


def document_set(record: ReleaseRecord) -> DocumentSet:
    """The definitions of a release's documents."""
    return record.documents or shipped_set()


def compose_documents(record: ReleaseRecord, names: tuple[str, ...] = ()) -> tuple[Document, ...]:
    """The documents of those names (all, where there is none) as blocks, leading to each other.

    Raises:
        UsageError: A definition names something that there is not.
    """
    wanted, made = document_set(record), Made()
    documents = tuple(compose(definition, record, wanted, made) for definition in wanted.documents)
    linked = with_links(documents, last=REPORT)
    return tuple(document for document in linked if not names or document.name in names)


def compose_document(record: ReleaseRecord, name: str) -> Document:
    """One document, which leads to no other."""
    documents = document_set(record)
    return compose(documents.named(name), record, documents)


def record_copies(record: ReleaseRecord, extra: Sequence[Attachment] = ()) -> dict[str, bytes]:
    """The record copies of a release's documents, by document; `extra` is attached to each as well."""
    attached = _attached(record)
    return {
        document.name: copies(render_pdf(document), document, (*attached.get(document.name, ()), *extra))[1]
        for document in compose_documents(record)
    }


def _attached(record: ReleaseRecord) -> dict[str, tuple[Attachment, ...]]:
    """What is attached to the record copies of documents."""
    trace, boms = trace_attachments(record), sbom_attachments(record)
    return {REPORT: (*trace, *boms), MATRIX: trace, SOUP: boms}


def render_documents(record: ReleaseRecord, names: tuple[str, ...] = ()) -> dict[str, bytes]:
    """The documents of a release, by file name. The HTML page is the accessible twin of the PDF (which is not tagged)."""
    rendered: dict[str, bytes] = {}
    attached = _attached(record)
    for document in compose_documents(record, names):
        submission, kept = copies(render_pdf(document), document, attached.get(document.name, ()))
        rendered[f"{document.name}.pdf"] = submission
        rendered[f"record/{document.name}.pdf"] = kept
        rendered[f"{document.name}.html"] = render_html(document)
        rendered |= render_tables(document, document.name)
    if not names:
        rendered[MATRIX_CSV] = matrix_csv(record)
        rendered[MEASUREMENTS_CSV] = measurements_csv(record)
    return rendered
