from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope

from devicepipe.errors import IntegrityError
from devicepipe.evidence.dsse import PAYLOAD_TYPE, open_envelope, payload_unverified, sign_envelope
from devicepipe.signing.keys import PublicKey
from tests.evidence.synthetic_bundle import Pair, development_keys, ecdsa_pair

PAYLOAD = b'{"hello":"world"}'


@pytest.fixture
def pair() -> Pair:
    return development_keys().release


def compact(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()


# --- the protocol's published test vector (dsse/protocol.md, "Test Vectors") ---

VECTOR_X = 46950820868899156662930047687818585632848591499744589407958293238635476079160
VECTOR_Y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
VECTOR_TYPE = "http://example.com/HelloWorld"
VECTOR_PAE = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
VECTOR_SIGNATURE = "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="


def test_published_vector() -> None:
    assert Envelope(b"hello world", VECTOR_TYPE, {}).pae() == VECTOR_PAE
    numbers = ec.EllipticCurvePublicNumbers(VECTOR_X, VECTOR_Y, ec.SECP256R1())
    key = PublicKey.from_pem(numbers.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    raw = base64.b64decode(VECTOR_SIGNATURE)  # r and s side by side; ours are DER
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    assert key.verifies(signature, VECTOR_PAE)
    assert not key.verifies(signature, VECTOR_PAE + b"!")


# --- round trips ---


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_round_trip(payload: bytes) -> None:
    for pair in (development_keys().release, ecdsa_pair()):
        data = sign_envelope(payload, pair.signer, pair.public)
        assert open_envelope(data, pair.public, "x") == payload
        assert payload_unverified(data, "x") == payload


def test_another_implementation_reads_it(pair: Pair) -> None:
    data = json.loads(sign_envelope(PAYLOAD, pair.signer, pair.public))
    assert data["payloadType"] == PAYLOAD_TYPE == "application/vnd.in-toto+json"
    envelope = Envelope.from_dict(data)
    assert envelope.verify([pair.public.to_securesystemslib()], 1)
    assert envelope.payload == PAYLOAD


# --- one spelling only ---


def test_every_flipped_bit_is_refused(pair: Pair) -> None:
    data = sign_envelope(PAYLOAD, pair.signer, pair.public)
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            with pytest.raises(IntegrityError):
                open_envelope(bytes(flipped), pair.public, "x")


def test_every_dropped_or_doubled_byte_is_refused(pair: Pair) -> None:
    data = sign_envelope(PAYLOAD, pair.signer, pair.public)
    for place in range(len(data)):
        for changed in (data[:place] + data[place + 1 :], data[: place + 1] + data[place:]):
            if changed != data:
                with pytest.raises(IntegrityError):
                    open_envelope(changed, pair.public, "x")


def _entry(envelope: dict[str, Any], **changes: object) -> bytes:
    return compact({**envelope, "signatures": [{**envelope["signatures"][0], **changes}]})


def _loose_bits(text: str) -> str:
    """Another base64 text of the same bytes: the last digit before the padding has bits that decoders ignore."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    other = body[:-1] + digits[digits.index(body[-1]) + 1] + "=" * (len(text) - len(body))
    assert other != text
    assert base64.b64decode(other) == base64.b64decode(text)
    return other


OTHER_SPELLINGS: dict[str, Callable[[bytes, dict[str, Any]], bytes]] = {
    "newline at the end": lambda data, _: data + b"\n",
    "white space": lambda _, e: json.dumps(e, sort_keys=True).encode(),
    "pretty": lambda _, e: json.dumps(e, indent=2, sort_keys=True).encode(),
    "other order": lambda _, e: json.dumps(dict(reversed(e.items())), separators=(",", ":")).encode(),
    "byte order mark": lambda data, _: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data, _: data.decode().encode("utf-16"),
    "escaped slash": lambda data, _: data.replace(b"application/vnd", b"application\\/vnd"),
    "escaped letter": lambda data, _: data.replace(b'"payload"', b'"p\\u0061yload"'),
    "duplicate payload": lambda data, _: data.replace(b'{"payload"', b'{"payload":"eA==","payload"', 1),
    "duplicate keyid": lambda data, _: data.replace(b'{"keyid"', b'{"keyid":"x","keyid"', 1),
    "duplicate signatures": lambda data, _: data[:-1] + b',"signatures":[]}',
    "further key": lambda _, e: compact({**e, "comment": "x"}),
    "further key in the signature": lambda _, e: _entry(e, cert="x"),
    "URL-safe base64": lambda _, e: _entry(e, sig=e["signatures"][0]["sig"].replace("+", "-").replace("/", "_")),
    "no padding": lambda _, e: _entry(e, sig=e["signatures"][0]["sig"].rstrip("=")),
    "more padding": lambda _, e: _entry(e, sig=e["signatures"][0]["sig"] + "===="),
    "loose bits in the signature": lambda _, e: _entry(e, sig=_loose_bits(e["signatures"][0]["sig"])),
    "loose bits in the payload": lambda _, e: compact({**e, "payload": _loose_bits(e["payload"])}),
    "line break in the payload": lambda _, e: compact({**e, "payload": e["payload"] + "\n"}),
    "payload as URL-safe base64": lambda _, e: compact({**e, "payload": e["payload"].replace("+", "-") + "-"}),
    "hexadecimal signature": lambda _, e: _entry(e, sig=base64.b64decode(e["signatures"][0]["sig"]).hex()),
    "upper-case keyid": lambda _, e: _entry(e, keyid=e["signatures"][0]["keyid"].upper()),
    "empty keyid": lambda _, e: _entry(e, keyid=""),
    "no keyid": lambda _, e: compact({**e, "signatures": [{"sig": e["signatures"][0]["sig"]}]}),
    "number as keyid": lambda _, e: _entry(e, keyid=5),
    "null as keyid": lambda _, e: _entry(e, keyid=None),
    "no signature": lambda _, e: compact({**e, "signatures": []}),
    "the signature twice": lambda _, e: compact({**e, "signatures": e["signatures"] * 2}),
    "a second signature": lambda _, e: compact({**e, "signatures": [*e["signatures"], {"keyid": "a", "sig": "eA=="}]}),
    "signatures as an object": lambda _, e: compact({**e, "signatures": e["signatures"][0]}),
    "another payload type": lambda _, e: compact({**e, "payloadType": "application/json"}),
    "payload type in upper case": lambda _, e: compact({**e, "payloadType": e["payloadType"].upper()}),
    "no payload type": lambda _, e: compact({key: e[key] for key in ("payload", "signatures")}),
    "no payload": lambda _, e: compact({key: e[key] for key in ("payloadType", "signatures")}),
    "null payload": lambda _, e: compact({**e, "payload": None}),
    "another payload": lambda _, e: compact({**e, "payload": base64.b64encode(b"other").decode()}),
    "empty": lambda _, __: b"",
    "null": lambda _, __: b"null",
    "list": lambda _, e: compact([e]),
    "text": lambda _, __: b'"text"',
    "two documents": lambda data, _: data + data,
    "deep": lambda _, __: b'{"a":' * 200_000,
    "empty signature": lambda _, e: _entry(e, sig=""),
}


@pytest.mark.parametrize("spell", OTHER_SPELLINGS.values(), ids=OTHER_SPELLINGS.keys())
def test_other_spellings(pair: Pair, spell: Callable[[bytes, dict[str, Any]], bytes]) -> None:
    number = 0
    while True:  # a signature with digits that the URL-safe alphabet spells otherwise
        data = sign_envelope(b'{"a":%d}' % number, pair.signer, pair.public)
        if {"+", "/"} <= set(json.loads(data)["signatures"][0]["sig"]):
            break
        number += 1
    changed = spell(data, json.loads(data))
    assert changed != data
    with pytest.raises(IntegrityError) as caught:
        open_envelope(changed, pair.public, "the/link")
    assert caught.value.link == "the/link"


def test_another_key(pair: Pair) -> None:
    other = development_keys(1).release
    data = sign_envelope(PAYLOAD, other.signer, other.public)
    with pytest.raises(IntegrityError, match="is signed by the key"):
        open_envelope(data, pair.public, "x")


def test_another_key_under_our_keyid(pair: Pair) -> None:
    other = development_keys(1).release
    data = sign_envelope(PAYLOAD, other.signer, other.public)
    forged = data.replace(other.public.keyid.encode(), pair.public.keyid.encode())
    with pytest.raises(IntegrityError, match="does not verify"):
        open_envelope(forged, pair.public, "x")


def test_signature_over_the_bare_payload(pair: Pair) -> None:
    """What is signed is the pre-authentication encoding: a signature made elsewhere over the same bytes is none."""
    data = json.loads(sign_envelope(PAYLOAD, pair.signer, pair.public))
    bare = bytes.fromhex(pair.signer.sign(PAYLOAD).signature)
    data["signatures"][0]["sig"] = base64.b64encode(bare).decode()
    with pytest.raises(IntegrityError, match="does not verify"):
        open_envelope(compact(data), pair.public, "x")


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100).map(str.encode)))
def test_any_bytes_are_an_integrity_error(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        open_envelope(data, development_keys().release.public, "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {
            "payload": JSON,
            "payloadType": st.just(PAYLOAD_TYPE) | JSON,
            "signatures": st.lists(st.fixed_dictionaries({"keyid": JSON, "sig": JSON}), max_size=2) | JSON,
        }
    )
)
def test_any_envelope_like_json_is_an_integrity_error(data: Any) -> None:
    with pytest.raises(IntegrityError):
        open_envelope(compact(data), development_keys().release.public, "x")
