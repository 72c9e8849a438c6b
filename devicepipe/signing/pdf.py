"""PAdES signatures in finished PDF files: added last, as an incremental update, so that the bytes before it stay as they were.

What always holds: a file that is signed already, or that is no PDF, is refused; the key is RSA, because a signature of another kind
makes pyHanko raise the file's version above what PDF/A-2 and -3 allow; the certificate is the key's, in force and for documents.
Those of its issuers go along in the signature.
The signature is PAdES (ETSI EN 319 142-1): of baseline B-T, with a verified time-stamp, where an authority for those is given; else
B-B, whose time is that of this machine's clock. pyHanko makes it; nothing of CMS or PDF is written here.
"""

from __future__ import annotations

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devicepipe.errors import UsageError
from devicepipe.signing.keys import read_private
from devicepipe.signing.pdf_certificates import read_certificates, unfit_for_documents
from devicepipe.signing.time_stamps import TimeStampAuthority

if TYPE_CHECKING:
    from pyhanko.sign import signers
    from securesystemslib.signer import SecretsHandler

FIELD: Final = "devicepipe"
"""The name of the signature's field."""
_LEAST_BITS = 3072


@dataclass(frozen=True)
class PdfSigner:
    """A key with its certificate, for PDF files. Made by `load`.

    Attributes:
        certificate: The signer's certificate.
    """

    certificate: x509.Certificate
    _signer: signers.Signer

    @classmethod
    def load(cls, key: Path, certificate: Path, secrets: SecretsHandler | None = None) -> PdfSigner:
        """Read a key and a certificate.

        Args:
            key: The private key, PKCS #8 in PEM.
            certificate: The certificate in PEM, and after it those of who issued it.
            secrets: Called for the passphrase of an encrypted key instead of `secret_sources`.

        Raises:
            UsageError: A file cannot be read or is not what it should be, the key is not RSA of at least 3072 bits, or the
                first certificate is not the key's, not in force or not for documents.
        """
        from asn1crypto.keys import PrivateKeyInfo
        from asn1crypto.x509 import Certificate
        from pyhanko.sign import signers
        from pyhanko_certvalidator.registry import SimpleCertificateStore

        private = _private(key, secrets)
        own, *issuers = read_certificates(certificate)
        if own.public_key() != private.public_key():
            raise UsageError(
                "is not the certificate of the key",
                file=certificate,
                remedy="name the two that belong together; where the file holds several, the key's comes first",
            )
        if (why := unfit_for_documents(own, datetime.now(UTC))) is not None:
            raise UsageError(
                f"is {why}", file=certificate, remedy="name a certificate that is in force and for documents"
            )
        mine, *others = (Certificate.load(one.public_bytes(Encoding.DER)) for one in (own, *issuers))
        chain = SimpleCertificateStore()
        chain.register_multiple(others)
        secret = PrivateKeyInfo.load(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        return cls(own, signers.SimpleSigner(mine, secret, chain))

    @property
    def subject(self) -> str:
        """Whose certificate it is."""
        return self.certificate.subject.rfc4514_string()

    def sign(self, data: bytes, *, reason: str, link: str, authority: TimeStampAuthority | None = None) -> bytes:
        """A PDF file, signed.

        Args:
            data: The file.
            reason: Why it is signed, as readers show it.
            link: What the file is called in errors.
            authority: Who says when it was signed; None for nobody.

        Raises:
            UsageError: It is no PDF, or signed already.
            BenchError, IntegrityError: As `TimeStampAuthority.answer`.
        """
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.pdf_utils.misc import PdfError
        from pyhanko.sign import PdfSignatureMetadata, fields, signers

        logging.getLogger("pyhanko").setLevel(logging.ERROR)
        try:
            writer = IncrementalPdfFileWriter(io.BytesIO(data))
            if writer.prev.embedded_signatures:
                raise UsageError(f"{link} is signed already")
            about = PdfSignatureMetadata(
                field_name=FIELD, md_algorithm="sha256", reason=reason, subfilter=fields.SigSeedSubFilter.PADES
            )
            signing = signers.PdfSigner(about, self._signer, timestamper=authority.for_pdf() if authority else None)
            # pyHanko runs an event loop, which a thread that runs one already (a notebook's) cannot.
            with ThreadPoolExecutor(1) as apart:
                signed: io.BytesIO = apart.submit(signing.sign_pdf, writer).result()
        except PdfError as error:
            raise UsageError(
                f"{link} cannot be signed: {error}", remedy="render it anew with `devicepipe report`"
            ) from error
        return signed.getvalue()


def _private(path: Path, secrets: SecretsHandler | None) -> RSAPrivateKey:
    private = read_private(path, secrets)
    if not isinstance(private, RSAPrivateKey) or private.key_size < _LEAST_BITS:
        raise UsageError(
            f"is not an RSA key of at least {_LEAST_BITS} bits",
            file=path,
            remedy="other keys make files that are not PDF/A",
        )
    return private
