"""Signers of services (AWS KMS, Vault and others), held to a time, a length and one address.

What always holds: no service keeps anybody waiting for longer than a minute (`in_time`); what comes from AWS KMS and Vault is
read to `LARGEST` bytes; Vault's token goes to the address that was named, and no redirect takes it elsewhere; and what a service
says is told in one printable line, without that token.
"""

from __future__ import annotations

import logging
from functools import partial
from io import BytesIO
from typing import Any, Final

from securesystemslib.signer import SecretsHandler, Signature, Signer

from devicepipe.errors import BenchError
from devicepipe.peers import in_one_line, in_time

SERVICES: Final = frozenset({"awskms", "azurekms", "gcpkms", "hv"})
"""The schemes of services; their signers are securesystemslib's."""
LARGEST: Final = 1024 * 1024
"""How many bytes an answer may have: a signature has some hundred."""

_WHO = "the signing service"
_REMEDY = "check the signing device or service"
_NOT_UNDERSTOOD = "its answer is none that can be understood"

# It prints errors as the service put them, besides raising them.
logging.getLogger("securesystemslib.signer").setLevel(logging.CRITICAL)


class ServiceSigner(Signer):
    """A service's signer. Made by `from_priv_key_uri`."""

    def __init__(self, signer: Any) -> None:
        self._signer = signer

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Any, secrets_handler: SecretsHandler | None = None
    ) -> ServiceSigner:
        """The signer of a URI of one of `SERVICES`. Raises whatever securesystemslib's does, and BenchError: it takes too long."""
        signer: Any = in_time(
            lambda: Signer.from_priv_key_uri(priv_key_uri, public_key, secrets_handler), _WHO, _REMEDY
        )
        scheme = priv_key_uri.partition(":")[0]
        if scheme == "hv":
            session = signer._client.session  # noqa: SLF001 - the signer has no other way in
            session.hooks["response"].append(_from_vault)
            session.headers["Accept-Encoding"] = "identity"
        elif scheme == "awskms":
            session = signer.client._endpoint.http_session  # noqa: SLF001 - nor has boto3's client
            signer.client.meta.events.register("before-send.kms", partial(_send_to_aws, session))
        return cls(signer)

    @property
    def public_key(self) -> Any:
        """The public half."""
        return self._signer.public_key

    def sign(self, payload: bytes) -> Signature:
        """Have the service sign.

        Raises:
            BenchError: It fails, takes too long, or answers what is no answer.
        """
        try:
            made: Signature = in_time(lambda: self._signer.sign(payload), _WHO, _REMEDY)
        except BenchError:
            raise
        except Exception as error:  # the clients of services may raise errors that they do not document
            raise BenchError(f"the signer failed: {self._told(error)}", remedy=_REMEDY) from error
        return made

    def _told(self, error: Exception) -> str:
        text = str(error)
        if type(error).__module__ in ("builtins", "binascii", "json.decoder") and not isinstance(error, OSError):
            text = _NOT_UNDERSTOOD  # Python's own words, of what it looked for in the answer
        if token := getattr(getattr(self._signer, "_client", None), "token", None):
            text = text.replace(str(token), "…")  # a server, or a proxy before it, may send back what it was asked
        return in_one_line(text) or type(error).__name__


def _from_vault(response: Any, **_: object) -> None:
    """A hook of requests: is given an answer before it is read, and before a redirect is followed."""
    if response.is_redirect:
        response.close()
        raise BenchError(
            f"the signing service sends elsewhere, to {response.headers['location']!a}",
            remedy="if that is yours, name it as VAULT_ADDR: the token is given to no other address",
        )
    response.raw = BytesIO(_bounded(response.raw))


def _send_to_aws(session: Any, request: Any, **_: object) -> Any:
    """A handler of botocore's event `before-send`: sends the request, and reads what comes, in the place of botocore."""
    request.stream_output = True
    response = session.send(request)
    response._content = _bounded(response.raw)  # noqa: SLF001 - where botocore would read it to
    return response


def _bounded(raw: Any) -> bytes:
    # As it comes: some versions of urllib3 unpack all that was read, whatever that comes to.
    data: bytes = raw.read(LARGEST + 1, decode_content=False)
    if len(data) > LARGEST:
        raw.close()
        raise BenchError(f"the signing service answers with more than {LARGEST} bytes", remedy=_REMEDY)
    return data
