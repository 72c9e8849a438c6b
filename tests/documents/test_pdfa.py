"""PDF/A: both copies conform, by two validators that know nothing of each other; must-fail samples prove both of them on.

`pikepdf.pdfa` approves a file only if it knows each of its constructs to conform (rules of the veraPDF profiles); `page` is
checked by its makers against veraPDF's corpus. veraPDF itself is not among the packages that the set-up can install.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import page
import pikepdf
import pikepdf.pdfa
import pypdf
import pytest
from PIL import ImageCms

from devicepipe.documents.icc import CONDITION, srgb_profile
from devicepipe.documents.model import Cell, Column, Document, Heading, Paragraph, Running, Table
from devicepipe.documents.pdf import render_pdf
from devicepipe.documents.pdfa import Attachment, Level, Metadata, Relationship, copies, to_pdfa
from devicepipe.documents.release import render_documents
from devicepipe.documents.report import verification_report
from tests.documents import release_records as records

SAMPLE = Attachment(
    "é traceability.json", "application/json", b'{"items": []}\n', "The trace, as JSON", Relationship.SOURCE
)


def findings(pdf: bytes, level: Level) -> list[str]:
    """What either validator has against it."""
    ours = pikepdf.pdfa.validate_written(io.BytesIO(pdf), level.value)
    theirs = page.validate_pdf_bytes(pdf, profile=level.value)
    assert theirs.rules.total > 100
    found = [f"pikepdf {finding}" for finding in ours.findings]
    found += [f"page {failure.rule_id} {failure.message}" for failure in theirs.failures]
    assert ours.passed or found
    assert theirs.is_compliant or found
    return found


@cache
def pages() -> tuple[Document, bytes]:
    document = verification_report(records.untested(records.dirty(records.green(4))))
    return document, render_pdf(document)


def submission() -> bytes:
    document, pdf = pages()
    return to_pdfa(pdf, Level.SUBMISSION, Metadata.of(document))


def record_copy() -> bytes:
    document, pdf = pages()
    return to_pdfa(pdf, Level.RECORD, Metadata.of(document), [SAMPLE])


@pytest.mark.parametrize(
    "record", [records.green(4), records.untested(records.dirty(records.green(4))), records.bare()]
)
def test_every_pdf_of_a_release_conforms(record: Any) -> None:
    checked = 0
    for name, data in render_documents(record).items():
        if name.endswith(".pdf"):
            level = Level.RECORD if name.startswith("record/") else Level.SUBMISSION
            assert findings(data, level) == [], name
            checked += 1
    assert checked >= 2


def test_texts_that_no_font_has_conform() -> None:
    text = "µl ≤ °C Žluťoučký кириллица 漢字 עברית \u202e \x00 \ud800 \U0001f600 <&>]]>"
    blocks = (Heading(1, text), Paragraph.plain(text), Table(text, (Column(text, 1),), ((Cell(text, text),),)))
    running = Running(text, text, text, text)
    document = Document(text, text, text, text, "2026-03-01T12:00:05+02:00", "A4", running, blocks)
    submission_copy, kept = copies(render_pdf(document), document, [SAMPLE])
    assert findings(submission_copy, Level.SUBMISSION) == []
    assert findings(kept, Level.RECORD) == []


def test_empty_metadata_conform() -> None:
    document = Document("", "t", "", "", "2026-03-01T12:00:05Z", "A4", Running("", "", ""), (Paragraph.plain("x"),))
    assert findings(copies(render_pdf(document), document)[0], Level.SUBMISSION) == []


# --- must-fail samples: each breaks one clause, and at least one validator says so


def change(data: bytes, how: Callable[[pikepdf.Pdf], None]) -> bytes:
    out = io.BytesIO()
    with pikepdf.Pdf.open(io.BytesIO(data)) as file:
        how(file)
        file.save(out, compress_streams=False, fix_metadata_version=False)
    return out.getvalue()


def transition(file: pikepdf.Pdf) -> None:
    file.pages[0].obj.Trans = pikepdf.Dictionary()


def javascript(file: pikepdf.Pdf) -> None:
    file.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")


def no_intent(file: pikepdf.Pdf) -> None:
    del file.Root.OutputIntents


def hidden_link(file: pikepdf.Pdf) -> None:
    for one in file.pages:
        for annotation in one.obj.get("/Annots", []):
            annotation.F = 2


def helvetica(file: pikepdf.Pdf) -> None:
    font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    fonts = file.pages[0].obj.Resources.Font
    fonts["/F9"] = file.make_indirect(font)
    file.pages[0].contents_add(b"BT /F9 8 Tf 20 20 Td (not embedded) Tj ET")


def no_metadata(file: pikepdf.Pdf) -> None:
    file.Root.Metadata = file.make_stream(b"<x/>", Type=pikepdf.Name.Metadata, Subtype=pikepdf.Name.XML)


def unrelated(file: pikepdf.Pdf) -> None:
    del file.Root.AF[0].AFRelationship


@pytest.mark.parametrize(
    "defect",
    [transition, javascript, no_intent, hidden_link, helvetica, no_metadata],
    ids=lambda defect: defect.__name__,
)
def test_a_defect_is_found(defect: Callable[[pikepdf.Pdf], None]) -> None:
    assert findings(change(submission(), lambda _file: None), Level.SUBMISSION) == []
    assert findings(change(submission(), defect), Level.SUBMISSION)


def test_an_attachment_without_relationship_is_found() -> None:
    assert findings(change(record_copy(), lambda _file: None), Level.RECORD) == []
    assert findings(change(record_copy(), unrelated), Level.RECORD)


def test_a_record_copy_is_no_submission_copy_and_raw_pages_are_neither() -> None:
    assert findings(record_copy(), Level.SUBMISSION)
    for level in Level:
        assert findings(pages()[1], level)


# --- what an agency refuses


def keys(value: Any, seen: set[tuple[int, int]]) -> set[str]:
    """All names of dictionary entries that can be reached."""
    if isinstance(value, pikepdf.Object) and value.is_indirect:
        if value.objgen in seen:
            return set()
        seen.add(value.objgen)
    if isinstance(value, pikepdf.Array):
        return set().union(*(keys(part, seen) for part in value))
    if isinstance(value, pikepdf.Dictionary | pikepdf.Stream):
        names = [*value.keys()]
        return set(names).union(*(keys(value[name], seen) for name in names))
    return set()


def test_submission_copy_has_links_and_bookmarks_but_no_other_annotation_attachment_script_or_form() -> None:
    with pikepdf.Pdf.open(io.BytesIO(submission())) as file:
        assert file.pdf_version == "1.7"
        assert file.is_linearized
        assert not file.is_encrypted
        annotations = [annotation for one in file.pages for annotation in one.obj.get("/Annots", [])]
        assert annotations
        assert {str(annotation.Subtype) for annotation in annotations} == {"/Link"}
        assert file.Root.PageMode == "/UseOutlines"
        assert len(file.open_outline().root) > 5
        reached = keys(file.Root, set())
        assert not reached & {
            "/EmbeddedFiles",
            "/AF",
            "/JS",
            "/JavaScript",
            "/AA",
            "/AcroForm",
            "/Trans",
            "/OpenAction",
        }
    with pytest.raises(ValueError, match="no attachments"):
        to_pdfa(pages()[1], Level.SUBMISSION, Metadata.of(pages()[0]), [SAMPLE])


def test_record_copy_gives_the_attached_bytes_back() -> None:
    reader = pypdf.PdfReader(io.BytesIO(record_copy()))
    assert {name: list(data) for name, data in reader.attachments.items()} == {SAMPLE.name: [SAMPLE.data]}
    with pytest.raises(ValueError, match="one name"):
        to_pdfa(pages()[1], Level.RECORD, Metadata.of(pages()[0]), [SAMPLE, SAMPLE])


def test_record_copies_have_trace_matrix_and_every_boards_sbom() -> None:
    record = replace(records.green(4), boms={"microbit": {"bomFormat": "CycloneDX"}})
    made = render_documents(record)
    attached = {
        name: {file: data[0] for file, data in pypdf.PdfReader(io.BytesIO(data)).attachments.items()}
        for name, data in made.items()
        if name.endswith(".pdf")
    }
    trace, boms = {"traceability.json", "traceability-matrix.csv"}, {"sbom-microbit.cdx.json"}
    assert {name: set(files) for name, files in attached.items() if files} == {
        "record/software-verification-report.pdf": trace | boms,
        "record/traceability-matrix.pdf": trace,
        "record/soup-and-vulnerability-report.pdf": boms,
    }
    report = attached["record/software-verification-report.pdf"]
    assert report["traceability-matrix.csv"] == made["traceability-matrix.csv"]
    assert report["sbom-microbit.cdx.json"] == b'{"bomFormat":"CycloneDX"}'


# --- the same bytes, the same pages


def test_copies_are_made_again_byte_for_byte_and_have_ids_of_their_own() -> None:
    assert submission() == submission()
    assert record_copy() == record_copy()
    ids = [pypdf.PdfReader(io.BytesIO(data)).trailer["/ID"] for data in (submission(), record_copy())]
    assert ids[0] != ids[1]


def test_no_stream_is_compressed() -> None:
    """Deflate's bytes are not the same everywhere, and these must be."""
    for data in (submission(), record_copy()):
        with pikepdf.Pdf.open(io.BytesIO(data)) as file:
            streams = [thing for thing in file.objects if isinstance(thing, pikepdf.Stream)]
            assert len(streams) > 20
            assert not [stream for stream in streams if "/Filter" in stream]
        assert b"/FlateDecode" not in data


def test_both_copies_have_the_pages_as_rendered() -> None:
    with pikepdf.Pdf.open(io.BytesIO(pages()[1])) as rendered:
        wanted = [one.obj.Contents.read_raw_bytes() for one in rendered.pages]
    for data in (submission(), record_copy()):
        with pikepdf.Pdf.open(io.BytesIO(data)) as file:
            assert [one.obj.Contents.read_raw_bytes() for one in file.pages] == wanted


def test_metadata_say_the_same_to_readers_and_to_archives() -> None:
    document = pages()[0]
    reader = pypdf.PdfReader(io.BytesIO(submission()))
    info, xmp = reader.metadata, reader.xmp_metadata
    assert info is not None
    assert xmp is not None
    assert {"x-default": info.title} == xmp.dc_title == {"x-default": document.title}
    assert [info.author] == xmp.dc_creator == [document.author]
    assert {"x-default": info.subject} == xmp.dc_description == {"x-default": document.subject}
    assert info.keywords == xmp.pdf_keywords == document.identifier
    assert info.creation_date == info.modification_date
    assert str(xmp.xmp_create_date) == "2026-03-01 12:00:05"


# --- the colour profile


def test_colour_profile_means_srgb() -> None:
    """The same colours, to the last bit but one, as the profile of a colour management system."""
    ours = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    theirs = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    assert ImageCms.getProfileDescription(ours).strip() == CONDITION
    from PIL import Image

    image = Image.new("RGB", (16, 256))
    image.putdata([(x * 17, y, 255 - y) for y in range(256) for x in range(16)])
    for intent in ImageCms.Intent.PERCEPTUAL, ImageCms.Intent.RELATIVE_COLORIMETRIC:
        moved = ImageCms.profileToProfile(image, ours, theirs, renderingIntent=intent)
        assert moved is not None
        differences = [abs(a - b) for a, b in zip(image.tobytes(), moved.tobytes(), strict=True)]
        assert max(differences) <= 1
