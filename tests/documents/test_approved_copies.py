"""The approval block of a document: NOT APPROVED in what is sealed, every signature of a person in the copies made after."""

from __future__ import annotations

import io
from dataclasses import replace

from pypdf import PdfReader

from devicepipe.documents.html_page import render_html
from devicepipe.documents.pdfa import Attachment, Level, Relationship
from devicepipe.documents.record import SignedBy, SignedLine
from devicepipe.documents.release import compose_document, record_copies
from tests.documents import release_records as records
from tests.documents.test_pdfa import findings

APPROVED = SignedLine(
    role="qa",
    meaning="I have reviewed the verification report and approve the release",
    done="approved",
    counts=True,
    name="Quinn Quality",
    account="quinn",
    on="2026-03-02T09:30:05.123456Z",
    file="0003.dsse.json",
    sha256="ab" * 32,
)
VOID = replace(APPROVED, name="Ron Reviewer", account="ron", role="reviewer", counts=False, file="0002.dsse.json")
SIGNED = SignedBy("approved", "cd" * 32, (VOID, APPROVED))


def words(data: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages).split())


def test_an_approved_copy_shows_name_time_and_meaning_of_each_signature_and_what_was_signed() -> None:
    record = replace(records.green(1), people=SIGNED)
    page = render_html(compose_document(record, "software-verification-report")).decode()
    for told in (APPROVED.name, "2026-03-02 09:30:05 UTC", APPROVED.meaning, "account quinn", "ab" * 32, "cd" * 32):
        assert told in page
    assert "NOT APPROVED" not in page
    assert "Approved by electronic signatures" in page
    assert "APPROVED" in page


def test_an_approval_that_no_longer_counts_is_shown_as_that() -> None:
    page = render_html(
        compose_document(replace(records.green(1), people=SIGNED), "software-verification-report")
    ).decode()
    assert page.count("no longer counts") == 1


def test_every_approved_copy_conforms_to_pdf_a_with_the_signatures_attached() -> None:
    signature = Attachment("signature-0003.dsse.json", "application/json", b"{}", "approve", Relationship.SUPPLEMENT)
    made = record_copies(replace(records.green(1), people=SIGNED), [signature])
    assert len(made) >= 10
    for name in ("software-verification-report", "release-notes"):
        assert findings(made[name], Level.RECORD) == []
        assert "signature-0003.dsse.json" in PdfReader(io.BytesIO(made[name])).attachments
    assert "Quinn Quality" in words(made["software-verification-report"])


def test_what_is_sealed_says_that_nobody_approved_it() -> None:
    assert "NOT APPROVED" in render_html(compose_document(records.green(1), "software-verification-report")).decode()
