"""PDF/A: the rendered pages as the two copies that are kept.

- The **submission copy** is PDF/A-2b (ISO 19005-2:2011): what an agency takes. No attachment, no script, no form, no annotation but
  links (FDA, Portable Document Format Specifications: attachments, JavaScript and annotations are refused, hyperlinks and bookmarks
  are asked for).
- The **record copy** is PDF/A-3b (ISO 19005-3:2012): the same pages with the data behind them attached (the trace as JSON, the
  SBOM, the matrix as CSV), each as an associated file that says what it is to the document.

Either is the same bytes for the same pages and metadata: no clock, no random number, streams as they were written (not
compressed), and a file id made of the content. A signature is to be added to the finished bytes as an incremental update,
last: then the bytes before it are still those that a later rendering gives.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from devicepipe.documents.icc import CONDITION, srgb_profile
from devicepipe.documents.model import Document
from devicepipe.documents.visible import visible

if TYPE_CHECKING:
    import pikepdf

_PRINT: Final = 4  # the flag of an annotation that is printed (ISO 32000-1, table 165)
_CREATOR: Final = "devicepipe"


class Level(StrEnum):
    """Part and conformance of ISO 19005."""

    SUBMISSION = "2b"
    RECORD = "3b"


class Relationship(StrEnum):
    """What an attached file is to the document (ISO 19005-3, annex E)."""

    SOURCE = "Source"
    """The document was made of it."""
    DATA = "Data"
    """Its numbers are those of a table or figure."""
    ALTERNATIVE = "Alternative"
    """It says the same in another form."""
    SUPPLEMENT = "Supplement"
    """It says more than the document."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach to a record copy.

    Attributes:
        name: Its file name, unique in the document.
        media_type: Its MIME type.
        data: Its bytes.
        description: What it is, in a few words.
        relationship: What it is to the document.
    """

    name: str
    media_type: str
    data: bytes
    description: str
    relationship: Relationship = Relationship.DATA


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a PDF says about itself, twice: to readers (document information) and to archives (XMP)."""

    identifier: str
    title: str
    subject: str
    author: str
    created: str
    language: str = "en"

    @classmethod
    def of(cls, document: Document) -> Metadata:
        """The metadata of a document."""
        return cls(
            identifier=document.identifier,
            title=document.title,
            subject=document.subject,
            author=document.author,
            created=document.created,
            language=document.language,
        )


def to_pdfa(pdf: bytes, level: Level, metadata: Metadata, attachments: Sequence[Attachment] = ()) -> bytes:
    """The rendered pages (`render_pdf`) as PDF/A.

    Raises:
        ValueError: Attachments for a submission copy, or two of one name.
    """
    import pikepdf

    if attachments and level is Level.SUBMISSION:
        raise ValueError("a submission copy has no attachments")
    if len({attachment.name for attachment in attachments}) != len(attachments):
        raise ValueError("two attachments have one name")
    with pikepdf.Pdf.open(io.BytesIO(pdf)) as file:
        _output_intent(file)
        _print_links(file)
        _attach(file, attachments, metadata)
        _metadata(file, level, metadata, f"urn:sha256:{hashlib.sha256(pdf).hexdigest()}")
        out = io.BytesIO()
        file.save(
            out,
            force_version="1.7",
            compress_streams=False,
            object_stream_mode=pikepdf.ObjectStreamMode.disable,
            stream_decode_level=pikepdf.StreamDecodeLevel.none,
            deterministic_id=True,
            linearize=level is Level.SUBMISSION,  # an agency asks for "fast web view"
            fix_metadata_version=False,
        )
    return out.getvalue()


def copies(pdf: bytes, document: Document, attachments: Sequence[Attachment] = ()) -> tuple[bytes, bytes]:
    """The submission copy and the record copy of a rendered document."""
    metadata = Metadata.of(document)
    return to_pdfa(pdf, Level.SUBMISSION, metadata), to_pdfa(pdf, Level.RECORD, metadata, attachments)


def _output_intent(file: pikepdf.Pdf) -> None:
    """Colours without a profile of their own (DeviceRGB) mean sRGB (6.2.3, 6.2.4.3)."""
    from pikepdf import Array, Dictionary, Name

    profile = file.make_stream(srgb_profile(), N=3, Alternate=Name.DeviceRGB)
    file.Root.OutputIntents = Array(
        [
            file.make_indirect(
                Dictionary(
                    Type=Name.OutputIntent,
                    S=Name.GTS_PDFA1,
                    OutputConditionIdentifier=CONDITION,
                    RegistryName="http://www.color.org",
                    Info=CONDITION,
                    DestOutputProfile=profile,
                )
            )
        ]
    )


def _print_links(file: pikepdf.Pdf) -> None:
    """Annotations must be printed and never hidden (6.3.2)."""
    for page in file.pages:
        for annotation in page.obj.get("/Annots", []):
            annotation.F = _PRINT


def _attach(file: pikepdf.Pdf, attachments: Sequence[Attachment], metadata: Metadata) -> None:
    """Files embedded as associated files of the whole document (ISO 19005-3, 6.8)."""
    from pikepdf import Array, Dictionary, Name, String

    if not attachments:
        return
    time = _pdf_time(metadata.created)
    names: list[Any] = []
    specifications: list[Any] = []
    # A name tree is sorted by the bytes of its keys; the order in which the files are listed is the caller's.
    for attachment in attachments:
        stream = file.make_stream(
            attachment.data,
            Type=Name.EmbeddedFile,
            Subtype=Name("/" + attachment.media_type),
            Params=Dictionary(
                Size=len(attachment.data),
                ModDate=time,
                CheckSum=String(hashlib.md5(attachment.data, usedforsecurity=False).digest()),
            ),
        )
        specification = file.make_indirect(
            Dictionary(
                Type=Name.Filespec,
                F=attachment.name,
                UF=attachment.name,
                Desc=attachment.description,
                AFRelationship=Name("/" + attachment.relationship.value),
                EF=Dictionary(F=stream, UF=stream),
            )
        )
        names.append((attachment.name, specification))
        specifications.append(specification)
    tree = [
        part
        for name, specification in sorted(names, key=lambda pair: pair[0].encode())
        for part in (String(name), specification)
    ]
    if "/Names" not in file.Root:
        file.Root.Names = Dictionary()
    file.Root.Names.EmbeddedFiles = file.make_indirect(Dictionary(Names=Array(tree)))
    file.Root.AF = Array(specifications)


def _pdf_time(time: str) -> str:
    return f"D:{datetime.fromisoformat(time).astimezone(UTC):%Y%m%d%H%M%S}+00'00'"


def _metadata(file: pikepdf.Pdf, level: Level, metadata: Metadata, pages: str) -> None:
    """The document information, and the same in XMP (6.6)."""
    from pikepdf import Dictionary, Name

    time = _pdf_time(metadata.created)
    texts = {
        "Title": metadata.title,
        "Author": metadata.author,
        "Subject": metadata.subject,
        "Keywords": metadata.identifier,
        "Creator": _CREATOR,
        "Producer": _CREATOR,
    }
    shown = {name: _one_line(text) for name, text in texts.items()}
    file.trailer.Info = file.make_indirect(Dictionary({f"/{name}": text for name, text in shown.items() if text}))
    file.trailer.Info.CreationDate = time
    file.trailer.Info.ModDate = time
    packet = _xmp(level, metadata, shown, uuid.uuid5(uuid.NAMESPACE_URL, pages)).encode()
    file.Root.Metadata = file.make_stream(packet, Type=Name.Metadata, Subtype=Name.XML)


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())


_XMP: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
{properties}
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def _xmp(level: Level, metadata: Metadata, shown: dict[str, str], document: uuid.UUID) -> str:
    """The XMP packet: the properties in a fixed order, read-only."""
    moment = f"{datetime.fromisoformat(metadata.created).astimezone(UTC):%Y-%m-%dT%H:%M:%S}+00:00"

    def alternative(text: str) -> str:
        return f'<rdf:Alt><rdf:li xml:lang="x-default">{escape(text)}</rdf:li></rdf:Alt>'

    properties = {
        "dc:format": "application/pdf",
        "dc:identifier": escape(_one_line(metadata.identifier)),
        "dc:language": f"<rdf:Bag><rdf:li>{escape(_one_line(metadata.language))}</rdf:li></rdf:Bag>",
        "dc:title": alternative(shown["Title"]),
        "dc:description": alternative(shown["Subject"]),
        "dc:creator": f"<rdf:Seq><rdf:li>{escape(shown['Author'])}</rdf:li></rdf:Seq>",
        "xmp:CreateDate": moment,
        "xmp:ModifyDate": moment,
        "xmp:MetadataDate": moment,
        "xmp:CreatorTool": _CREATOR,
        "xmpMM:DocumentID": f"uuid:{document}",
        "pdf:Keywords": escape(shown["Keywords"]),
        "pdf:Producer": _CREATOR,
        "pdfaid:part": level.value[0],
        "pdfaid:conformance": level.value[1].upper(),
    }
    empty = {"dc:title": "Title", "dc:description": "Subject", "dc:creator": "Author", "pdf:Keywords": "Keywords"}
    lines = [
        f"<{name}>{value}</{name}>" for name, value in properties.items() if name not in empty or shown[empty[name]]
    ]
    return _XMP.format(properties="\n".join(lines))
