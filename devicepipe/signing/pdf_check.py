"""Checking the PAdES signature of a PDF file, with nothing but certificates that the caller trusts.

What always holds of a `PdfSignature`: the file has one signature, which covers all of it; its certificate leads to a trusted one,
and was in force when it was made: at the time of its time-stamp where that is by a trusted authority, else now. pyHanko validates.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from devicepipe.errors import IntegrityError


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
        trusted: The certificates that the signer's must lead to.
        authorities: Those that a time-stamping authority's must lead to; where there are some, there must be a time-stamp.
        link: What the file is called in errors.

    Raises:
        IntegrityError: It is not signed once, or the signature or time-stamp does not hold.
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
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    try:
        found = PdfFileReader(io.BytesIO(data)).embedded_signatures
        if len(found) != 1:
            raise IntegrityError(f"has {len(found)} signatures, expected one", link=link)
        stamped = _time(found[0])
        if authorities and stamped is None:
            raise IntegrityError("has no time-stamp", link=link)
        status = validate_pdf_signature(
            found[0],
            signer_validation_context=_context(trusted, stamped if authorities else None),
            ts_validation_context=_context(authorities, stamped) if authorities else None,
        )
    except (PdfError, SigningError, SignatureValidationError, ValueError, KeyError, TypeError, IndexError) as error:
        raise IntegrityError(f"its signature cannot be read: {error}", link=link) from error
    if status.coverage != SignatureCoverageLevel.ENTIRE_FILE:
        raise IntegrityError("was changed after it was signed: the signature does not cover all of it", link=link)
    if not (status.intact and status.valid):
        raise IntegrityError("is not what was signed", link=link)
    if not status.trusted:
        raise IntegrityError("is signed by a certificate that leads to none that is trusted", link=link)
    time = status.timestamp_validity
    if authorities and not (time is not None and time.intact and time.valid and time.trusted):
        raise IntegrityError("has a time-stamp that does not hold, or of an authority that is not trusted", link=link)
    return PdfSignature(status.signing_cert.subject.human_friendly, stamped if authorities else None)


def _time(signature: Any) -> datetime | None:
    """What the time-stamp says; nothing is checked of it yet."""
    from pyhanko.sign.validation.generic_cms import extract_tst_data_iter

    token = next(iter(extract_tst_data_iter(signature.signer_info, signed=False)), None)
    if token is None:
        return None
    said: datetime = token["encap_content_info"]["content"].parsed["gen_time"].native
    return said


def _context(trusted: Sequence[x509.Certificate], moment: datetime | None) -> Any:
    from asn1crypto import x509 as asn1
    from pyhanko_certvalidator import ValidationContext

    roots = [asn1.Certificate.load(one.public_bytes(Encoding.DER)) for one in trusted]
    # A moment is taken only together with no look-up of revocations, which are of today.
    return ValidationContext(trust_roots=roots, moment=moment, allow_fetching=False)
