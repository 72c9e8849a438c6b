"""The documents of a release: one call from the record to the files' bytes."""

from __future__ import annotations

from typing import Final

from devicepipe.documents.attachments import sbom_attachments, trace_attachments
from devicepipe.documents.html_page import render_html
from devicepipe.documents.matrix import matrix_csv, matrix_document
from devicepipe.documents.measurements import measurements_csv
from devicepipe.documents.pdf import render_pdf
from devicepipe.documents.pdfa import copies
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.report import verification_report

REPORT_PDF: Final = "software-verification-report.pdf"
REPORT_RECORD_PDF: Final = "record/software-verification-report.pdf"
REPORT_HTML: Final = "software-verification-report.html"
MATRIX_HTML: Final = "traceability-matrix.html"
MATRIX_CSV: Final = "traceability-matrix.csv"
MEASUREMENTS_CSV: Final = "measurements.csv"


def render_documents(record: ReleaseRecord) -> dict[str, bytes]:
    """All documents of a release, by file name. The HTML report is the accessible twin of the PDF (which is not tagged)."""
    report = verification_report(record)
    attachments = (*trace_attachments(record), *sbom_attachments(record))
    submission, kept = copies(render_pdf(report), report, attachments)
    return {
        REPORT_PDF: submission,
        REPORT_RECORD_PDF: kept,
        REPORT_HTML: render_html(report),
        MATRIX_HTML: render_html(matrix_document(record)),
        MATRIX_CSV: matrix_csv(record),
        MEASUREMENTS_CSV: measurements_csv(record),
    }
