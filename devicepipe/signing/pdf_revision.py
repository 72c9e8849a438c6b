"""The revision of a PDF file that carries its signature, and that it holds nothing else.

A signature is added as a revision after the document, and covers that revision too: whoever signs could replace there what the
document shows. So every object of it is compared with what it must be, given the document: an invisible field with its value, the
form that lists it, the first page's list of annotations and the catalog that name them, and when and with what it was changed.
pyHanko reads the objects; its own rules of what a revision may change let a signature be seen, anywhere, and metadata be anything.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devicepipe.errors import IntegrityError
from devicepipe.signing.pdf import FIELD

if TYPE_CHECKING:
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.reader import PdfFileReader

UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, RuntimeError)
"""What pyHanko raises on files that are malformed, besides its own errors."""

_SIZE, _PREVIOUS, _ID = "/Size", "/Prev", "/ID"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_MODIFIED = {("http://ns.adobe.com/xap/1.0/", "ModifyDate"), ("http://ns.adobe.com/pdf/1.3/", "Producer")}
_OBJECT, _LISTED, _END = re.compile(rb"\d\s+\d+\s+obj"), re.compile(rb"\d{10} \d{5} n \n"), b"startxref"
_TABLE = re.compile(
    rb"(xref\n(?:\d+ \d+\n(?:\d{10} \d{5} [nf] \n)+)+)trailer\n<<.*>>\nstartxref\n(\d+)\n%%EOF\n", re.DOTALL
)

Ref = tuple[int, int]
"""Number and generation of an object."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an object must be.

    Attributes:
        what: What it is, in words.
        entries: Its entries, as written.
        texts: Those that are texts of which nothing is demanded, and may be left out.
        any: Those of which nothing is demanded here.
    """

    what: str
    entries: Mapping[str, bytes]
    texts: frozenset[str] = frozenset()
    any: frozenset[str] = frozenset()


def check_revision(data: bytes, document: bytes, link: str) -> None:
    """Check that a signed PDF file is a document and, after it, the one revision that a signature takes.

    The signature itself is not checked, see `pdf_check`.

    Args:
        data: The file, which begins with the document.
        document: What was signed.
        link: What the file is called in errors.

    Raises:
        IntegrityError: There is more than that.
    """
    from pyhanko.pdf_utils.misc import PdfError

    try:
        found = next(_differences(data, document), None)
    except (PdfError, *UNREADABLE) as error:
        raise IntegrityError(f"the revision of its signature cannot be read: {error}", link=link) from error
    if found is not None:
        raise IntegrityError(
            f"was changed by who signed it: the revision of the signature {found}",
            link=link,
            remedy="trust nothing that it shows; have the release's own copy signed with `devicepipe sign-documents`",
        )


def _differences(data: bytes, document: bytes) -> Iterator[str]:
    from pyhanko.pdf_utils.reader import PdfFileReader

    old, new = PdfFileReader(io.BytesIO(document)), PdfFileReader(io.BytesIO(data))
    last = new.total_revisions - 1
    before = new.xrefs.get_startxref_for_revision(last - 1)
    if last != old.total_revisions or before != old.last_startxref:
        yield "is not the only one after the document"
    if _trailer(new) != _trailer(old):
        yield "has another trailer"
    revision = new.get_historical_resolver(last)
    changed = {(ref.idnum, ref.generation): ref for ref in revision.explicit_refs_in_revision()}
    if revision.refs_freed_in_revision():
        yield "deletes objects"
    # Readers differ in what they make of a table that is written otherwise, or lists an object twice; and those that do not find
    # it look for objects, wherever they stand.
    added, place = data[len(document) :], new.last_startxref or 0
    table = _TABLE.fullmatch(data, place)
    if table is None or int(table[2]) != place or len(_LISTED.findall(table[1])) != len(changed):
        yield "has no table of objects as it should be"
    if len(_OBJECT.findall(added)) != len(changed) or added.count(_END) != 1:
        yield "holds objects that it does not list"
    wanted = _wanted(old, new)
    for key, ref in sorted(changed.items()):
        if key not in wanted:
            yield f"holds object {key[0]}, which is none of a signature"
            continue
        at, found = new.xrefs[ref], new.get_object(ref)
        if not isinstance(at, int) or at < len(document) or not _is(found, wanted[key]):
            yield f"changes {wanted[key].what} (object {key[0]})"
    if not _is_plain(new.root["/Metadata"].data) or _metadata(old) != _metadata(new):
        yield "changes the metadata"


def _wanted(old: PdfFileReader, new: PdfFileReader) -> dict[Ref, _Wanted]:
    """Every object that a signature takes."""
    from pyhanko.pdf_utils import generic

    name = generic.pdf_name
    form = _new(new.root.raw_get("/AcroForm"), old)
    field = _new(new.root["/AcroForm"]["/Fields"].raw_get(0), old)
    value = _new(field.get_object().raw_get("/V"), old)
    page, _ = old.find_page_for_modification(0)
    shown = page.get_object()
    annotations = [*shown["/Annots"]] if "/Annots" in shown else []
    info = old.trailer.raw_get("/Info")
    found = {
        old.root_ref: _Wanted(
            "the catalog",
            {**_entries(old.root), "/AcroForm": _written(form), "/Extensions": _written(_extensions())},
        ),
        info: _Wanted("the document's properties", _entries(info.get_object()), frozenset({"/ModDate", "/Producer"})),
        old.root.raw_get("/Metadata"): _Wanted(
            "the metadata", _entries(old.root["/Metadata"]), any=frozenset({"/Length"})
        ),
        page: _Wanted(
            "the first page",
            {**_entries(shown), "/Annots": _written(generic.ArrayObject([*annotations, field]))},
        ),
        form: _Wanted(
            "the form",
            {"/Fields": _written(generic.ArrayObject([field])), "/SigFlags": _written(generic.NumberObject(3))},
        ),
        field: _Wanted(
            "the field of the signature",
            {
                "/FT": _written(name("/Sig")),
                "/T": _written(generic.pdf_string(FIELD)),
                "/Type": _written(name("/Annot")),
                "/Subtype": _written(name("/Widget")),
                "/F": _written(generic.NumberObject(132)),  # printed and locked: what PDF/A asks of an annotation
                "/Rect": _written(generic.ArrayObject([generic.NumberObject(0)] * 4)),  # and seen nowhere
                "/P": _written(generic.IndirectObject(page.idnum, page.generation, new)),
                "/V": _written(value),
            },
        ),
        value: _Wanted(
            "the value of the signature",
            {
                "/Type": _written(name("/Sig")),
                "/Filter": _written(name("/Adobe.PPKLite")),
                "/SubFilter": _written(name("/ETSI.CAdES.detached")),
            },
            frozenset({"/M", "/Reason"}),
            frozenset({"/Contents", "/ByteRange"}),
        ),
    }
    return {(ref.idnum, ref.generation): wanted for ref, wanted in found.items()}


def _extensions() -> generic.DictionaryObject:
    """That the file has a PAdES signature, as ETSI has it told."""
    from pyhanko.pdf_utils.generic import DictionaryObject, NumberObject, pdf_name

    esic = DictionaryObject(
        {
            pdf_name("/Type"): pdf_name("/DeveloperExtensions"),
            pdf_name("/BaseVersion"): pdf_name("/1.7"),
            pdf_name("/ExtensionLevel"): NumberObject(1),
        }
    )
    return DictionaryObject({pdf_name("/ESIC"): esic})


def _new(found: generic.PdfObject, old: PdfFileReader) -> generic.IndirectObject:
    """A reference to an object that was not in the document."""
    from pyhanko.pdf_utils.generic import IndirectObject

    if not isinstance(found, IndirectObject) or found.idnum < old.trailer[_SIZE]:
        raise ValueError("a part of it is no object of its own")
    return found


def _is(found: generic.PdfObject, wanted: _Wanted) -> bool:
    from pyhanko.pdf_utils.generic import ByteStringObject, DictionaryObject, TextStringObject

    if not isinstance(found, DictionaryObject):
        return False
    free = wanted.texts | wanted.any
    if any(
        not isinstance(found.raw_get(key), TextStringObject | ByteStringObject) for key in wanted.texts & found.keys()
    ):
        return False
    entries, must = _entries(found), wanted.entries
    return {key: entries[key] for key in entries.keys() - free} == {key: must[key] for key in must.keys() - free}


def _entries(of: generic.DictionaryObject) -> dict[str, bytes]:
    return {key: _written(of.raw_get(key)) for key in of}


def _written(value: generic.PdfObject) -> bytes:
    stream = io.BytesIO()
    value.write_to_stream(stream)
    return stream.getvalue()


def _trailer(reader: PdfFileReader) -> dict[str, bytes]:
    """What a revision must not change of the trailer: all but its place, and the second half of the file's identifier."""
    entries = reader.trailer.flatten()
    kept = {key: _written(entries.raw_get(key)) for key in entries if key not in (_SIZE, _PREVIOUS, _ID)}
    return {**kept, _ID: reader.document_id[0]}


def _metadata(reader: PdfFileReader) -> list[dict[tuple[str, str], object]]:
    """What the file says of itself in XMP, but for when and with what it was changed."""
    from pyhanko.pdf_utils.metadata.xmp_xml import parse_xmp

    packet = reader.root["/Metadata"].data
    return [
        {(name.ns, name.local_name): value for name, value in one if (name.ns, name.local_name) not in _MODIFIED}
        for one in parse_xmp(io.BytesIO(packet))
    ]


def _is_plain(packet: bytes) -> bool:
    """Whether an XMP packet holds its one list of descriptions and nothing else, which pyHanko passes over and others read."""
    from lxml import etree

    try:
        packet.decode()
        root = etree.fromstring(packet, etree.XMLParser(resolve_entities=False, no_network=True))
    except (ValueError, etree.XMLSyntaxError):
        return False
    return (
        not root.getroottree().docinfo.doctype
        and [one.tag for one in root] == [_RDF + "RDF"]
        and all(one.tag == _RDF + "Description" for one in root[0])
        and next(root.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None) is None
    )
