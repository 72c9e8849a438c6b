"""Checking the PAdES signature of a PDF file, with nothing but certificates that the caller trusts.

What always holds of a `PdfSignature`: the file has one signature, which covers all of it; its certificate leads to a trusted one,
was in force when it was made (at the time of its time-stamp where that is by a trusted authority, else now), and is for documents.
A trusted certificate that is no authority's is taken as its own signer's alone. pyHanko validates.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from devicepipe.errors import IntegrityError
from devicepipe.signing.pdf_certificates import anchors, unfit_for_documents, unfit_for_time_stamps
from devicepipe.signing.pdf_revision import UNREADABLE


@dataclass(frozen=True, slots=True)
class PdfSignature:
    """A signature that holds.

    Attributes:
        signer: Whose certificate it is by.
        stamped_on: When it was there, by the time-stamping authority; None where it has no time-stamp.
    """

    signer: str
    stamped_on: datetime | None


def check_pdf(
    data: bytes, trusted: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], link: str
) -> PdfSignature:
    """Check a signed PDF file.

    Args:
        data: The file.
        trusted: The certificates that the signer's must lead to: of authorities, or the signer's own.
        authorities: Those that a time-stamping authority's must lead to; where there are some, there must be a time-stamp.
        link: What the file is called in errors.

    Raises:
        IntegrityError: It is not signed once, has several time-stamps, or the signature or time-stamp does not hold.
    """
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
    # In a thread of its own: pyHanko runs an event loop, which a thread that runs one already cannot.
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(_check, data, trusted, authorities, link).result()


def _check(
    data: bytes, trusted: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], link: str
) -> PdfSignature:
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.general import SigningError
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko.sign.validation.errors import SignatureValidationError
    from pyhanko.sign.validation.settings import KeyUsageConstraints

    try:
        found = PdfFileReader(io.BytesIO(data)).embedded_signatures
        if len(found) != 1:
            raise IntegrityError(f"has {len(found)} signatures, expected one", link=link)
        _check_covered(found[0], data, link)
        stamp = _stamp(found[0], link)
        if authorities and stamp is None:
            raise IntegrityError("has no time-stamp", link=link)
        own, by = _certificate(found[0].signed_data), _certificate(stamp) if stamp is not None else None
        moment = _time(stamp) if authorities and stamp is not None else None
        status = validate_pdf_signature(
            found[0],
            signer_validation_context=_context(anchors(trusted, own), moment),
            ts_validation_context=_context(anchors(authorities, by), moment)
            if authorities and by is not None
            else None,
            key_usage_settings=KeyUsageConstraints(key_usage=()),  # `unfit_for_documents` tells that, and what is wrong
        )
    except (PdfError, SigningError, SignatureValidationError, *UNREADABLE) as error:
        raise IntegrityError(f"its signature cannot be read: {error}", link=link) from error
    if not (status.intact and status.valid):
        raise IntegrityError("is not what was signed", link=link)
    if not status.trusted:
        raise IntegrityError("is signed by a certificate that leads to none that is trusted", link=link)
    time = status.timestamp_validity
    if authorities and not (time is not None and time.intact and time.valid and time.trusted):
        raise IntegrityError("has a time-stamp that does not hold, or of an authority that is not trusted", link=link)
    if (why := unfit_for_documents(own, moment or datetime.now(UTC))) is not None:
        raise IntegrityError(f"is signed by a certificate that is {why}", link=link)
    if moment is not None and by is not None and (why := unfit_for_time_stamps(by, moment)) is not None:
        raise IntegrityError(f"has a time-stamp by a certificate that is {why}", link=link)
    return PdfSignature(status.signing_cert.subject.human_friendly, moment)


def _check_covered(signature: Any, data: bytes, link: str) -> None:
    """All but the signature's own value is signed, and that is written in one way only: nothing can be altered unseen."""
    from asn1crypto.parser import peek

    contents: bytes = signature.pkcs7_content
    first, before, after, rest = signature.byte_range
    written = b"<%b>" % contents.hex().upper().encode()
    if first != 0 or after + rest != len(data) or data[before:after] != written:
        raise IntegrityError("was changed after it was signed: the signature does not cover all of it", link=link)
    if any(contents[peek(contents) :]):
        raise IntegrityError("was changed after it was signed: its signature is not followed by zeros alone", link=link)


def _stamp(signature: Any, link: str) -> Any:
    """The time-stamp, of which nothing is checked yet; None where there is none."""
    from pyhanko.sign.validation.generic_cms import extract_tst_data_iter

    # Of several pyHanko validates until one is trusted, which need not be the one whose time is told here.
    stamps = [*extract_tst_data_iter(signature.signer_info, signed=False)]
    if len(stamps) > 1:
        raise IntegrityError(f"has {len(stamps)} time-stamps, expected one at the most", link=link)
    return stamps[0] if stamps else None


def _time(stamp: Any) -> datetime:
    said: datetime = stamp["encap_content_info"]["content"].parsed["gen_time"].native
    return said


def _certificate(signed: Any) -> x509.Certificate:
    """Whose signature it says to be."""
    from pyhanko.sign.validation.generic_cms import extract_certs_for_validation

    return x509.load_der_x509_certificate(extract_certs_for_validation(signed).signer_cert.dump())


def _context(trusted: Sequence[x509.Certificate], moment: datetime | None) -> Any:
    from asn1crypto import x509 as asn1
    from pyhanko_certvalidator import ValidationContext

    roots = [asn1.Certificate.load(one.public_bytes(Encoding.DER)) for one in trusted]
    # A moment is taken only together with no look-up of revocations, which are of today.
    return ValidationContext(trust_roots=roots, moment=moment, allow_fetching=False)
