"""Certificates of signers of PDF files: read from PEM, and what each may be used for (RFC 5280)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from devicepipe.errors import UsageError

_FOR_DOCUMENTS: Final = {
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"),  # id-kp-documentSigning (RFC 9336)
    x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.12"),  # what Microsoft's authorities wrote before there was that
    x509.ObjectIdentifier("1.2.840.113583.1.1.5"),  # and Adobe's
}

_T = TypeVar("_T", bound=x509.ExtensionType)


def read_certificates(path: Path) -> list[x509.Certificate]:
    """The certificates of a file, in PEM, in their order.

    Raises:
        UsageError: It cannot be read or holds none.
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise UsageError(f"certificate cannot be read: {error.strerror}", file=path) from error
    except ValueError as error:
        raise UsageError("holds no certificate in PEM", file=path) from error


def anchors(trusted: Iterable[x509.Certificate], own: x509.Certificate) -> list[x509.Certificate]:
    """Those of the trusted certificates that `own` may lead to: of authorities, and itself.

    Any other would be taken for an authority by who only looks for a path, and could issue certificates in any name.
    """
    return [one for one in trusted if one == own or _is_authority(one)]


def unfit_for_documents(certificate: x509.Certificate, moment: datetime) -> str | None:
    """Why nobody may sign documents with a certificate at a moment, in words that follow "is"; None where one may.

    A key usage must be for what commits its signer (content commitment, which was non-repudiation), an extended one for
    documents, e-mail or anything. Where a certificate says nothing of these, it is for anything.
    """
    usage = _value(certificate, x509.KeyUsage)
    if usage is not None and not usage.content_commitment:
        return "not for signatures that commit their signer (key usage: content commitment)"
    purposes = _value(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and not _FOR_DOCUMENTS & set(purposes):
        return "not for documents (extended key usage: document signing, e-mail protection or any)"
    return _not_in_force(certificate, moment)


def unfit_for_time_stamps(certificate: x509.Certificate, moment: datetime) -> str | None:
    """The same of time-stamps (RFC 3161, section 2.3)."""
    purposes = _value(certificate, x509.ExtendedKeyUsage)
    if purposes is None or ExtendedKeyUsageOID.TIME_STAMPING not in purposes:
        return "not for time-stamping (extended key usage)"
    return _not_in_force(certificate, moment)


def _not_in_force(certificate: x509.Certificate, moment: datetime) -> str | None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if start <= moment <= end:
        return None
    return f"in force from {start:%Y-%m-%d} to {end:%Y-%m-%d}, not on {moment:%Y-%m-%d}"


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _value(certificate, x509.BasicConstraints)
    usage = _value(certificate, x509.KeyUsage)
    return constraints is not None and constraints.ca and (usage is None or usage.key_cert_sign)


def _value(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
