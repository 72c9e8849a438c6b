"""DSSE envelopes: one payload, one signature, one spelling.

What always holds: an envelope's file is RFC 8785 canonical JSON with exactly `payload`, `payloadType` and one signature by the
expected key; any other bytes (another base64 spelling, white space, further keys, a second signature, an ECDSA twin) are
refused. So the bytes of an envelope file cannot be altered without the signer.

Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md v1.0.
"""

from __future__ import annotations

import base64
import re

from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signature, Signer

from devicepipe.errors import IntegrityError
from devicepipe.evidence.statement import canonical
from devicepipe.signing.keys import PublicKey, sign

PAYLOAD_TYPE = "application/vnd.in-toto+json"

# An envelope is taken apart before its signature is known to be good, so by nothing more than this.
_ENVELOPE = re.compile(
    rb'\{"payload":"(?P<payload>[A-Za-z0-9+/=]*)","payloadType":"%b",'
    rb'"signatures":\[\{"keyid":"(?P<keyid>[0-9a-f]{64})","sig":"(?P<sig>[A-Za-z0-9+/=]*)"\}\]\}'
    % re.escape(PAYLOAD_TYPE.encode())
)

_KEY = (
    "make sure that this is the key of the product's releases; if that was changed since this was signed, name the history of the "
    "product's keys, too (--history); if it was not, do not trust the file"
)


def sign_envelope(payload: bytes, signer: Signer, public_key: PublicKey) -> bytes:
    """The bytes of an envelope file over `payload`, signed.

    Raises:
        UsageError, BenchError: As `keys.sign`.
    """
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    signature = sign(signer, public_key, envelope.pae())
    envelope.signatures[public_key.keyid] = Signature(public_key.keyid, signature.hex())
    return canonical(envelope.to_dict())


def open_envelope(data: bytes, public_key: PublicKey, link: str) -> bytes:
    """The payload of an envelope file, its signature verified.

    Args:
        data: The bytes of the file.
        public_key: The only key whose signature is accepted.
        link: What the envelope is called in errors.

    Raises:
        IntegrityError: The bytes are not exactly one valid envelope signed by the key.
    """
    envelope, keyid, signature = _parse(data, link)
    if keyid != public_key.keyid:
        raise IntegrityError(f"is signed by the key {keyid[:64]}, expected {public_key.keyid}", link=link, remedy=_KEY)
    if not public_key.verifies(signature, envelope.pae()):
        raise IntegrityError(f"its signature does not verify under the key {public_key.keyid}", link=link, remedy=_KEY)
    return bytes(envelope.payload)


def payload_unverified(data: bytes, link: str) -> bytes:
    """The payload of an envelope file *without checking the signature*: for reading a bundle that is still being made.

    Raises:
        IntegrityError: The bytes are not exactly one envelope.
    """
    return bytes(_parse(data, link)[0].payload)


def keyid_unverified(data: bytes, link: str) -> str:
    """The id of the key that an envelope file says it is signed by, *without checking the signature*: to choose the key to open it.

    Raises:
        IntegrityError: The bytes are not exactly one envelope.
    """
    return _parse(data, link)[1]


def _parse(data: bytes, link: str) -> tuple[Envelope, str, bytes]:
    match = _ENVELOPE.fullmatch(data)
    if match is None:
        raise IntegrityError(
            f"is not a canonical DSSE envelope of type {PAYLOAD_TYPE} with one signature and nothing else", link=link
        )
    try:
        payload, signature = (base64.b64decode(match[part], validate=True) for part in ("payload", "sig"))
    except ValueError as error:
        raise IntegrityError("is not a DSSE envelope: wrong base64", link=link) from error
    keyid = match["keyid"].decode()
    envelope = Envelope(payload, PAYLOAD_TYPE, {keyid: Signature(keyid, signature.hex())})
    if canonical(envelope.to_dict()) != data:  # base64 has several spellings of some bytes
        raise IntegrityError("is not in canonical form: its bytes are not what its content is written as", link=link)
    return envelope, keyid, signature
