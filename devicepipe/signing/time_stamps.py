"""Time-stamps of a time-stamping authority (RFC 3161), asked for over HTTP and believed only after they were verified.

What always holds of a reply that is handed on: it answers this very request (digest and nonce), its signature is that of a
certificate for time-stamping which leads to one that the caller trusts, in force at the time that it tells. rfc3161-client
verifies; nothing of ASN.1 is written here.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.peers import in_one_line, in_time

if TYPE_CHECKING:
    from pyhanko.sign.timestamps import TimeStamper

REPLY: Final = "application/timestamp-reply"
QUERY: Final = "application/timestamp-query"
_SECONDS: Final = 30
_MAXIMUM_REPLY: Final = 1024 * 1024
_REMEDY: Final = "check the authority's address, or sign without it; what it would have stamped is not written"


@dataclass(frozen=True, slots=True)
class TimeStampAuthority:
    """Somebody who says when something was there. Made by `load`.

    Attributes:
        url: Where requests are sent to (RFC 3161, section 3.4).
        trusted: The certificates that its own must lead to.
    """

    url: str
    trusted: tuple[x509.Certificate, ...]

    @classmethod
    def load(cls, url: str, certificates: Path) -> TimeStampAuthority:
        """An authority at an address, and the file of the certificates that it is trusted by, in PEM.

        Raises:
            UsageError: The address is no http(s) address, or the file holds no certificate.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"'{url}' is no address of a time-stamping authority", remedy="write it as https://tsa.example.com/"
            )
        try:
            trusted = x509.load_pem_x509_certificates(certificates.read_bytes())
        except OSError as error:
            raise UsageError(
                f"certificates of the time-stamping authority cannot be read: {error.strerror}", file=certificates
            ) from error
        except ValueError as error:
            raise UsageError("holds no certificate in PEM", file=certificates) from error
        return cls(url, tuple(trusted))

    def answer(self, request: bytes) -> bytes:
        """The reply to a request (both in DER), verified.

        Raises:
            BenchError: The authority cannot be reached, or refuses.
            IntegrityError: What it replies is no time-stamp of this request by the authority that is trusted.
        """
        reply = self._ask(request)
        self._verify(request, reply)
        return reply

    def for_pdf(self) -> TimeStamper:
        """What pyHanko asks for time-stamps; each is verified before pyHanko has it."""
        from asn1crypto import tsp
        from pyhanko.sign.timestamps import TimeStamper

        answer = self.answer

        class Verified(TimeStamper):
            async def async_request_tsa_response(self, req: Any) -> Any:
                return tsp.TimeStampResp.load(answer(req.dump()))

        return Verified()  # type: ignore[no-untyped-call]

    def _ask(self, request: bytes) -> bytes:
        asked = urllib.request.Request(  # noqa: S310 - `load` takes http and https alone
            self.url, request, {"Content-Type": QUERY, "Accept": REPLY}
        )

        def ask() -> tuple[str, bytes]:
            try:
                with urllib.request.urlopen(asked, timeout=_SECONDS) as response:  # noqa: S310 - see above
                    return response.headers.get_content_type(), response.read(_MAXIMUM_REPLY + 1)
            except urllib.error.HTTPError as error:
                error.close()
                raise

        try:
            kind, data = in_time(ask, f"the time-stamping authority {self.url}", _REMEDY)
        except (OSError, HTTPException, ValueError) as error:  # ValueError: an address or a length that is none
            why = in_one_line(error.reason if isinstance(error, urllib.error.URLError) else error)
            raise BenchError(f"the time-stamping authority {self.url} failed: {why}", remedy=_REMEDY) from error
        if kind != REPLY or len(data) > _MAXIMUM_REPLY:
            told = f"{in_one_line(kind)} instead of {REPLY}" if kind != REPLY else f"more than {_MAXIMUM_REPLY} bytes"
            raise BenchError(f"{self.url} is no time-stamping authority: it sends {told}", remedy=_REMEDY)
        return data

    def _verify(self, request: bytes, reply: bytes) -> None:
        from asn1crypto import tsp
        from rfc3161_client import PKIStatus, VerificationError, VerifierBuilder, decode_timestamp_response

        asked = tsp.TimeStampReq.load(request)
        try:
            response = decode_timestamp_response(reply)
        except ValueError as error:
            raise IntegrityError("is no reply of a time-stamping authority", link=self.url) from error
        if PKIStatus(response.status) != PKIStatus.GRANTED:
            said = in_one_line(" ".join(response.status_string)) or f"status {response.status}"
            raise BenchError(f"the time-stamping authority {self.url} refuses: {said}", remedy=_REMEDY)
        builder = VerifierBuilder(nonce=asked["nonce"].native)
        for certificate in self.trusted:
            builder = builder.add_root_certificate(certificate)
        try:
            builder.build().verify(response, asked["message_imprint"]["hashed_message"].native)
        except (VerificationError, ValueError) as error:
            raise IntegrityError(
                f"its time-stamp does not hold: {error}",
                link=self.url,
                remedy="name the certificate that the authority's leads to (tsa-certificates); if it is, do not trust it",
            ) from error
