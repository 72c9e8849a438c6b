"""Certificates as authorities issue them to signers, and files signed by whatever certificate, without devicepipe's checks."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from asn1crypto import keys
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, fields, signers
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore


@dataclass(frozen=True)
class Holder:
    """Somebody with a key and a certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def write(self, folder: Path, name: str, *more: x509.Certificate) -> tuple[Path, Path]:
        """The key and the certificate as files, with more certificates after it."""
        key, certificate = folder / f"{name}.key.pem", folder / f"{name}.pem"
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        certificate.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (self.certificate, *more)))
        return key, certificate

    def sign(
        self,
        document: bytes,
        change: Callable[[IncrementalPdfFileWriter], object] = lambda _: None,
        *,
        stamper: TimeStamper | None = None,
        field: fields.SigFieldSpec | None = None,
        reason: str = "Approved",
        room: int | None = None,
    ) -> bytes:
        """A document with a signature (in room of so many bytes) and, in the same revision, a change."""
        writer = IncrementalPdfFileWriter(io.BytesIO(document))
        change(writer)
        secret = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        own = asn1.Certificate.load(self.certificate.public_bytes(Encoding.DER))
        by = signers.SimpleSigner(own, keys.PrivateKeyInfo.load(secret), SimpleCertificateStore())
        about = PdfSignatureMetadata(
            field_name="devicepipe", md_algorithm="sha256", reason=reason, subfilter=fields.SigSeedSubFilter.PADES
        )
        signing = signers.PdfSigner(about, by, timestamper=stamper, new_field_spec=field)
        signed: io.BytesIO = signing.sign_pdf(writer, bytes_reserved=room)
        return signed.getvalue()


@cache
def _key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def holder(
    name: str,
    by: Holder | None = None,
    *,
    authority: bool = False,
    commits: bool = True,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    since: int = 1,
    days: int = 300,
) -> Holder:
    """Somebody with a certificate by somebody else, or by themselves, in force since so many days for so many.

    The key is that of the name.
    """
    key, subject = _key(name), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC) - timedelta(days=since)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=commits and not authority, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return Holder(key, builder.sign(by.key if by else key, SHA256()))
