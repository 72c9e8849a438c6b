"""What signs a document may add nothing but the signature, by a certificate for that: else it shows what nobody approved."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, keys
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec
from pyhanko.sign.timestamps import DummyTimeStamper
from pypdf import PdfReader

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.signing.pdf import PdfSigner
from devicepipe.signing.pdf_check import check_pdf
from devicepipe.signing.pdf_revision import check_revision
from devicepipe.signing.time_stamps import TimeStampAuthority
from tests.documents.test_pdfa import record_copy
from tests.signing.issuers import Holder, holder
from tests.signing.tsa import tsa

Writer = IncrementalPdfFileWriter


@pytest.fixture(scope="module")
def document() -> bytes:
    return record_copy()


@pytest.fixture(scope="module")
def authority() -> Holder:
    return holder("Authority of Example", authority=True)


@pytest.fixture(scope="module")
def signer(authority: Holder) -> Holder:
    return holder("Quality of Example", authority)


def refused(data: bytes, document: bytes) -> str:
    with pytest.raises(IntegrityError) as caught:
        check_revision(data, document, "report.pdf")
    assert caught.value.link == "report.pdf"
    return caught.value.message


def stamper(by: Holder, at: datetime) -> DummyTimeStamper:
    """A time-stamping authority that tells the time it is told."""
    secret = by.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    own = asn1.Certificate.load(by.certificate.public_bytes(Encoding.DER))
    return DummyTimeStamper(own, keys.PrivateKeyInfo.load(secret), fixed_dt=at)


def untrusted(data: bytes, *trusted: x509.Certificate, by: tuple[x509.Certificate, ...] = ()) -> str:
    with pytest.raises(IntegrityError) as caught:
        check_pdf(data, trusted, by, "report.pdf")
    return caught.value.message


def test_what_sign_documents_makes_is_the_document_and_its_signature(
    tmp_path: Path, document: bytes, authority: Holder, signer: Holder
) -> None:
    own = PdfSigner.load(*signer.write(tmp_path, "own"))
    with tsa(tmp_path / "tsa") as running:
        by = TimeStampAuthority.load(running.url, running.root)
        for stamped in (None, by):
            signed = own.sign(document, reason="Ge\u00e4ndert \u2014 (in) order", link="report.pdf", authority=stamped)
            check_revision(signed, document, "report.pdf")
            check_pdf(signed, [authority.certificate], [], "report.pdf")


def shadow(writer: Writer) -> None:
    """Page 1 shows another text."""
    page, _ = writer.find_page_for_modification(0)
    font = {"/Type": pdf_name("/Font"), "/Subtype": pdf_name("/Type1"), "/BaseFont": pdf_name("/Helvetica")}
    added = writer.add_object(generic.DictionaryObject({pdf_name(key): value for key, value in font.items()}))
    shown = b"BT /Fx 14 Tf 60 760 Td (APPROVED, 0 failed of 195 tests) Tj ET"
    fonts = generic.DictionaryObject({pdf_name("/Fx"): added})
    page.get_object()["/Contents"] = writer.add_object(generic.StreamObject(stream_data=shown))
    page.get_object()["/Resources"] = generic.DictionaryObject({pdf_name("/Font"): fonts})
    writer.mark_update(page)


def other_page(writer: Writer) -> None:
    """Page 1 shows page 2: no object is added."""
    first, second = (writer.find_page_for_modification(number)[0].get_object() for number in (0, 1))
    first["/Contents"] = second.raw_get("/Contents")
    writer.update_container(first)


def stream(writer: Writer) -> None:
    """What page 1 refers to is replaced where it is."""
    page, _ = writer.find_page_for_modification(0)
    contents = page.get_object().raw_get("/Contents")
    writer.objects[(contents.generation, contents.idnum)] = generic.StreamObject(stream_data=b"BT ET")


def annotation(writer: Writer) -> None:
    """A free text lies over page 1."""
    page, _ = writer.find_page_for_modification(0)
    of = {"/Type": pdf_name("/Annot"), "/Subtype": pdf_name("/FreeText"), "/Contents": pdf_string("APPROVED")}
    note = generic.DictionaryObject({pdf_name(key): value for key, value in of.items()})
    note["/Rect"] = generic.ArrayObject([generic.NumberObject(number) for number in (0, 0, 500, 800)])
    page.get_object()["/Annots"].append(writer.add_object(note))
    writer.mark_update(page)


def action(writer: Writer) -> None:
    """Opening the file opens another."""
    of = {"/S": pdf_name("/URI"), "/URI": pdf_string("https://example.com/other.pdf")}
    writer.root["/OpenAction"] = generic.DictionaryObject({pdf_name(key): value for key, value in of.items()})
    writer.update_root()


def title(writer: Writer) -> None:
    """The window of the reader is called otherwise, by XMP and the document's properties."""
    writer._meta.title = "Software Verification Report, APPROVED"


def attachment(writer: Writer) -> None:
    """Another file is attached."""
    files = writer.root["/Names"]["/EmbeddedFiles"]
    files["/Names"].extend([pdf_string("approval.json"), files["/Names"].raw_get(1)])
    writer.update_container(files)


def orphan(writer: Writer) -> None:
    """An object that nothing refers to."""
    writer.add_object(generic.StreamObject(stream_data=b"kept for later"))


CHANGES: dict[str, tuple[Callable[[Writer], None], str]] = {
    "another text on page 1": (shadow, "changes the first page"),
    "page 2 on page 1": (other_page, "changes the first page"),
    "other drawing instructions": (stream, "none of a signature"),
    "an annotation": (annotation, "changes the first page"),
    "an action": (action, "changes the catalog"),
    "another title": (title, "changes the document's properties"),
    "an attachment": (attachment, "none of a signature"),
    "an object that is not used": (orphan, "none of a signature"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_revision_of_the_signature_changed_what_the_document_shows(
    name: str, document: bytes, authority: Holder, signer: Holder
) -> None:
    change, why = CHANGES[name]
    signed = signer.sign(document, change)
    assert signed.startswith(document)
    # The signature itself holds, over all of the file.
    check_pdf(signed, [authority.certificate], [], "report.pdf")
    said = refused(signed, document)
    assert why in said
    if name == "another text on page 1":
        assert "0 failed of 195" in PdfReader(io.BytesIO(signed)).pages[0].extract_text()


def test_a_visible_signature_could_cover_a_page(document: bytes, signer: Holder) -> None:
    field = SigFieldSpec("devicepipe", box=(0, 0, 500, 800))
    assert "changes the field of the signature" in refused(signer.sign(document, field=field), document)


def test_metadata_said_something_else_than_the_document(
    document: bytes, signer: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = signer.sign(document)
    xmp = PdfFileReader(io.BytesIO(document)).root["/Metadata"].data

    other = replaced_metadata(xmp, b"Software Verification Report", b"Software Verification Report, OK")
    check_revision(signed, document, "report.pdf")
    monkeypatch.setattr(Writer, "_update_meta", lambda _: None)  # which would write it anew
    assert "changes the metadata" in refused(signer.sign(document, other), document)


def replaced_metadata(xmp: bytes, was: bytes, becomes: bytes) -> Callable[[Writer], None]:
    def other(writer: Writer) -> None:
        ref = writer.root.raw_get("/Metadata").reference
        said = xmp.replace(was, becomes, 1)
        assert said != xmp
        new = generic.StreamObject(stream_data=said)
        new[pdf_name("/Type")], new[pdf_name("/Subtype")] = pdf_name("/Metadata"), pdf_name("/XML")
        writer.objects[(ref.generation, ref.idnum)] = new

    return other


@pytest.mark.parametrize(
    ("was", "becomes"),
    [(b"<rdf:RDF", b"<q>%s</q><rdf:RDF"), (b"</rdf:RDF>", b"<q>%s</q></rdf:RDF>"), (b"</rdf:RDF>", b"</rdf:RDF>%s")],
)
def test_metadata_had_a_second_title_where_other_readers_look(
    document: bytes, signer: Holder, monkeypatch: pytest.MonkeyPatch, was: bytes, becomes: bytes
) -> None:
    xmp = PdfFileReader(io.BytesIO(document)).root["/Metadata"].data
    title = (
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        b'<rdf:Description rdf:about=""><dc:title><rdf:Alt><rdf:li xml:lang="x-default">APPROVED</rdf:li></rdf:Alt>'
        b"</dc:title></rdf:Description></rdf:RDF>"
    )
    monkeypatch.setattr(Writer, "_update_meta", lambda _: None)
    signed = signer.sign(document, replaced_metadata(xmp, was, becomes % title))
    if was == b"<rdf:RDF":
        seen = PdfReader(io.BytesIO(signed)).xmp_metadata
        assert seen is not None
        assert seen.dc_title == {"x-default": "APPROVED"}
    assert "changes the metadata" in refused(signed, document)


def test_a_revision_lay_between_the_document_and_that_of_its_signature(document: bytes, signer: Holder) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    shadow(writer)
    between = io.BytesIO()
    writer.write(between)
    assert "is not the only one" in refused(signer.sign(between.getvalue()), document)
    # One that hides itself: only the last `startxref` is left, which the count of them did not see.
    hidden = between.getvalue()
    last = hidden.rindex(b"startxref")
    blank = hidden[:last] + b"%" + hidden[last:].replace(b"startxref", b"Startxref")
    assert hidden[:last].startswith(document)
    assert "cannot be read" in refused(blank, document)


def test_a_revision_held_an_object_that_it_did_not_list(document: bytes, signer: Holder) -> None:
    signed = signer.sign(document, reason="14 0 obj << /Type /Page >> endobj")
    assert "does not list" in refused(signed, document)
    assert "cannot be read" in refused(document + b"[" * 100_000, document)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"startxref\n", b"startxref 183\n"),
        (b"startxref\n", b"startxref\n183\n"),
        (b" n \n", b" n;\n"),
        (b"%%EOF\n", b"%%EOF\n%\n"),
        (b"trailer\n", b"14 1\n0000000015 00000 n \ntrailer\n"),
    ],
)
def test_readers_differed_in_where_the_objects_of_a_revision_are(
    document: bytes, signer: Holder, was: bytes, becomes: bytes
) -> None:
    signed = signer.sign(document)
    place = signed.rindex(was)
    said = refused(signed[:place] + becomes + signed[place + len(was) :], document)
    assert "table of objects" in said or "cannot be read" in said


def test_bytes_after_the_signature_value_could_be_altered(document: bytes, authority: Holder, signer: Holder) -> None:
    signed = signer.sign(document)
    end = signed.index(b">", signed.rindex(b"/Contents <"))
    for place in (end - 1, end - 200):
        altered = signed[:place] + b"A" + signed[place + 1 :]
        assert "followed by zeros alone" in untrusted(altered, authority.certificate)
    start = signed.rindex(b"/Contents <") + len(b"/Contents <")
    lower = signed[:start] + signed[start:end].lower() + signed[end:]
    assert "does not cover all of it" in untrusted(lower, authority.certificate)


def test_a_trusted_certificate_of_no_authority_issued_others(
    document: bytes, authority: Holder, signer: Holder
) -> None:
    issued = holder("Anybody", signer).sign(document)
    for trusted in ([signer.certificate], [signer.certificate, authority.certificate]):
        assert "leads to none that is trusted" in untrusted(issued, *trusted)
    # It is its own signer's all the same.
    check_pdf(signer.sign(document), [signer.certificate], [], "report.pdf")


@pytest.mark.parametrize("given", ["its authority", "itself"])
def test_a_certificate_for_other_uses_signed_documents(
    tmp_path: Path, document: bytes, authority: Holder, given: str
) -> None:
    def check(signer: Holder) -> str:
        anchor = authority if given == "its authority" else signer
        with pytest.raises(UsageError) as caught:
            PdfSigner.load(*signer.write(tmp_path, "other"))
        said = untrusted(signer.sign(document), anchor.certificate)
        assert caught.value.message.removeprefix("is ") in said
        return said

    server = holder("www.example.com", authority, purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
    assert "not for documents" in check(server)
    code = holder("Code", authority, purposes=[ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH])
    assert "not for documents" in check(code)
    assert "not for signatures that commit" in check(holder("Login", authority, commits=False))


@pytest.mark.parametrize(
    "purpose", [ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, "1.3.6.1.5.5.7.3.36"]
)
def test_a_certificate_for_documents_signs_them(
    tmp_path: Path, document: bytes, authority: Holder, purpose: x509.ObjectIdentifier | str
) -> None:
    oid = x509.ObjectIdentifier(purpose) if isinstance(purpose, str) else purpose
    signer = holder("Quality", authority, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH, oid])
    signed = PdfSigner.load(*signer.write(tmp_path, "own")).sign(document, reason="Approved", link="report.pdf")
    assert check_pdf(signed, [authority.certificate], [], "report.pdf").signer == "Common Name: Quality"


def test_a_certificate_that_is_trusted_itself_was_taken_after_its_end(document: bytes, authority: Holder) -> None:
    old = holder("Quality of then", authority, since=50, days=10)
    assert "in force from" in untrusted(old.sign(document), old.certificate)


def test_a_time_stamp_by_a_trusted_certificate_that_is_for_none(
    document: bytes, authority: Holder, signer: Holder
) -> None:
    """Whoever had a certificate of that authority stamped in the name of the time-stamping one, at any time."""
    now = datetime.now(UTC)
    time = holder("Time", authority, purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    signed = signer.sign(document, stamper=stamper(time, now))
    for trusted in (authority, time):
        check_pdf(signed, [authority.certificate], [trusted.certificate], "report.pdf")
    issued = holder("Other time", time, purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    forged = signer.sign(document, stamper=stamper(issued, now))
    assert "not trusted" in untrusted(forged, authority.certificate, by=(time.certificate,))
    plain = signer.sign(document, stamper=stamper(signer, now))
    assert "not for time-stamping" in untrusted(plain, authority.certificate, by=(signer.certificate,))
    early = signer.sign(document, stamper=stamper(time, now - timedelta(days=2)))
    assert "in force" in untrusted(early, signer.certificate, by=(time.certificate,))


def test_a_file_of_a_certificate_and_its_issuers_signs(tmp_path: Path, document: bytes, authority: Holder) -> None:
    """The root alone is trusted: the certificate between goes along in the signature."""
    middle = holder("Authority between", authority, authority=True)
    signer = holder("Quality", middle)
    key, chain = signer.write(tmp_path, "own", middle.certificate, authority.certificate)
    signed = PdfSigner.load(key, chain).sign(document, reason="Approved", link="report.pdf")
    assert check_pdf(signed, [authority.certificate], [], "report.pdf").signer == "Common Name: Quality"
    alone = PdfSigner.load(*signer.write(tmp_path, "alone")).sign(document, reason="Approved", link="report.pdf")
    assert "leads to none that is trusted" in untrusted(alone, authority.certificate)
    _, turned = middle.write(tmp_path, "turned", signer.certificate)
    with pytest.raises(UsageError, match="not the certificate of the key") as caught:
        PdfSigner.load(key, turned)
    assert caught.value.remedy is not None
    assert "comes first" in caught.value.remedy


def test_a_second_time_stamp_by_anybody_told_when_a_certificate_was_in_force(
    document: bytes,
) -> None:
    """The trusted one held, and the other one, by whoever had a certificate that is over, gave the time."""
    now, then = datetime.now(UTC), datetime.now(UTC) - timedelta(days=45)
    root = holder("Authority of then", authority=True, since=100)
    signer = holder("Quality of then", root, since=50, days=10)
    time = holder("Time", root, purposes=[ExtendedKeyUsageOID.TIME_STAMPING], since=90)
    own = holder("My time", purposes=[ExtendedKeyUsageOID.TIME_STAMPING], since=90)
    signed = signer.sign(document, stamper=stamper(time, now), room=32768)
    untrusted(signed, root.certificate, by=(root.certificate,))
    untrusted(restamped(signed, [stamper(own, then)]), root.certificate, by=(root.certificate,))
    for stamps in ([stamper(own, then), stamper(time, now)], [stamper(time, now), stamper(own, then)]):
        assert "2 time-stamps" in untrusted(restamped(signed, stamps), root.certificate, by=(root.certificate,))
    check_pdf(restamped(signed, [stamper(time, then)]), [root.certificate], [root.certificate], "report.pdf")


def restamped(signed: bytes, stampers: list[DummyTimeStamper]) -> bytes:
    """A signed document with other time-stamps, which its signature does not cover."""
    start = signed.rindex(b"/Contents <") + len(b"/Contents <")
    end = signed.index(b">", start)
    content = cms.ContentInfo.load(bytes.fromhex(signed[start:end].decode()), strict=False)
    (signer,) = content["content"]["signer_infos"]
    digest = hashlib.sha256(signer["signature"].native).digest()
    stamps = [asyncio.run(one.async_timestamp(digest, "sha256")) for one in stampers]
    signer["unsigned_attrs"] = [{"type": "signature_time_stamp_token", "values": [one]} for one in stamps]
    made: bytes = content.dump(force=True).hex().upper().encode()
    assert len(made) <= end - start
    return signed[:start] + made.ljust(end - start, b"0") + signed[end:]
