"""Searching files for private keys and tokens: the project's own keys by their bytes, and what others look like.

The project's own keys are also found where their bytes are written one by one: as an array of a program, as pairs of hexadecimal
digits with something between them, as escapes of a string.

What always holds: every search first proves itself on planted secrets, made for this run, one for each rule and one for keys
(`unproven`); a finding never holds the secret. Intel HEX files are searched as the bytes they stand for, too.

Limits: archives and compressed streams are not unpacked; passwords that look like any word are not found.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devicepipe.evidence.secrets import OWN_KEY
from devicepipe.signing.intel_hex import parse_hex
from devicepipe.signing.private_forms import private_forms

NAME = "devicepipe-secrets"

_RULES: Mapping[str, re.Pattern[bytes]] = {
    "pem-private-key": re.compile(
        rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\r?\n|\\n)(?:[A-Za-z0-9+/=]|\r?\n|\\n|[A-Za-z-]+: [^\n]*\n){40}"
    ),
    "pkcs8-ed25519": re.compile(
        rb"\x30.\x02\x01[\x00\x01]\x30\x05\x06\x03\x2b\x65[\x6e\x70]\x04\x22\x04\x20", re.DOTALL
    ),
    "pkcs8-ec": re.compile(rb"\x02\x01\x00\x30[\x0c-\x20]\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06", re.DOTALL),
    "pkcs8-rsa": re.compile(rb"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x04\x82"),
    "pkcs1-rsa": re.compile(rb"\x30\x82..\x02\x01\x00\x02\x82[\x00-\x08].\x00[\x80-\xff]", re.DOTALL),
    "sec1-ec": re.compile(rb"\x02\x01\x01\x04(?:\x20.{32}|\x30.{48}|\x42.{66})\xa0[\x07-\x0c]\x06", re.DOTALL),
    "pkcs12-key-store": re.compile(
        rb"\x02\x01\x03\x30(?:[\x20-\x80]|\x81.|\x82..)\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01", re.DOTALL
    ),
    "jwk-private-key": re.compile(
        rb'"kty"[^{}]{1,4000}"d"\s*:\s*"[A-Za-z0-9_-]{42}|"d"\s*:\s*"[A-Za-z0-9_-]{42,4000}"[^{}]{1,4000}"kty"'
    ),
    "ssh-private-key": re.compile(rb"openssh-key-v1\x00|b3BlbnNzaC1r[Z]XktdjEA"),
    "putty-private-key": re.compile(rb"PuTTY-User-Key-File-[23]: "),
    "aws-key": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "github-token": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50})"),
    "gitlab-token": re.compile(rb"\bglpat-[A-Za-z0-9_-]{20}"),
    "slack-token": re.compile(rb"\bxox[abprs]-[A-Za-z0-9-]{20}"),
    "google-api-key": re.compile(rb"\bAIza[0-9A-Za-z_-]{35}"),
    "stripe-key": re.compile(rb"\b[sr]k_live_[0-9A-Za-z]{20}"),
    "npm-token": re.compile(rb"\bnpm_[A-Za-z0-9]{36}\b"),
    "pypi-token": re.compile(rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50}"),
}

_NUMBER = rb"(?:0[xX][0-9a-fA-F]{1,2}|[0-9]{1,3})[uU]?"
_WRITTEN = (
    re.compile(rb"%s(?:[ \t]*,\s*%s){15,}" % (_NUMBER, _NUMBER)),
    re.compile(rb"[0-9a-fA-F]{2}(?:(?:[: -]|:?\s{1,9})[0-9a-fA-F]{2}){15,}"),
    re.compile(rb"(?:\\x[0-9a-fA-F]{2}){16,}"),
)
_DIGITS = re.compile(rb"(?:0[xX]|\\x)([0-9a-fA-F]{1,2})|([0-9a-fA-F]+)")


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """A secret: file, line (0 in files that are no text), rule."""

    file: str
    line: int
    rule: str


class Search:
    """A search for secrets; `keys` are the forms of the project's own private keys."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys = tuple(dict.fromkeys(keys))

    def file(self, name: str, data: bytes) -> list[Hit]:
        """What a file holds."""
        found = set(self._hits(name, data))
        if name.endswith(".hex"):
            found |= {Hit(name, 0, hit.rule) for part in _parts(data) for hit in self._hits(name, part)}
        return sorted(found)

    def _hits(self, name: str, data: bytes) -> Iterator[Hit]:
        text = b"\x00" not in data[:8192]
        for form in self._keys:
            at = data.find(form)
            if at >= 0:
                yield Hit(name, _line(data, at) if text else 0, OWN_KEY)
        if text and self._keys:
            for at, written in _written(data):
                if any(form in written for form in self._keys):
                    yield Hit(name, _line(data, at), OWN_KEY)
        for rule, pattern in _RULES.items():
            for match in pattern.finditer(data):
                yield Hit(name, _line(data, match.start()) if text else 0, rule)


def planted() -> dict[str, bytes]:
    """By rule, a secret that was made for this run: a search that misses it was not on."""
    run = "Zq7Xw2Kd9Lm4Pn8Rt3Vb6Yc1Hs5Jf0Ga" * 3
    ed25519 = Ed25519PrivateKey.generate()
    curve = generate_private_key(SECP256R1())
    der: dict[str, Ed25519PrivateKey | EllipticCurvePrivateKey] = {"pkcs8-ed25519": ed25519, "pkcs8-ec": curve}
    made = {rule: key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for rule, key in der.items()}
    made["sec1-ec"] = curve.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    made["pkcs1-rsa"] = bytes.fromhex("308204a30201000282010100c5")
    made["pkcs12-key-store"] = bytes.fromhex("308203420201033082030806092a864886f70d010701")
    made["pkcs8-rsa"] = bytes.fromhex("308204bd020100300d06092a864886f70d0101010500048204a7")
    made["pem-private-key"] = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made["ssh-private-key"] = ed25519.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    tokens = {
        "jwk-private-key": ('{"kty":"OKP","crv":"Ed25519",', f'"d":"{run[:43]}"}}'),
        "putty-private-key": ("PuTTY-User-Key-", "File-3: ssh-ed25519"),
        "aws-key": ("AK", "IA" + run.upper()[:16]),
        "github-token": ("gh", "p_" + run[:36]),
        "gitlab-token": ("gl", "pat-" + run[:20]),
        "slack-token": ("xo", "xb-" + run[:24]),
        "google-api-key": ("AI", "za" + run[:35]),
        "stripe-key": ("sk", "_live_" + run[:24]),
        "npm-token": ("np", "m_" + run[:36]),
        "pypi-token": ("py", "pi-AgEIcHlwaS5vcmc" + run[:60]),
    }
    # In two parts, or this very file would be found.
    return made | {rule: "".join(parts).encode() for rule, parts in tokens.items()}


def unproven() -> list[str]:
    """The rules that do not report what was planted for them, and `own-key` if a key is not found in each of its forms."""
    search = Search(())
    missed = [
        rule
        for rule, data in planted().items()
        if rule not in {hit.rule for hit in search.file("x", b"a\n" + data + b"\n")}
    ]
    missed += [rule for rule in _RULES if rule not in planted()]
    for key in (Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        own = Search(private_forms(pem))
        array = ", ".join(f"0x{byte:02x}" for byte in der).encode()
        shifted = (base64.b64encode(bytes(shift) + der) for shift in range(3))
        for data in (der, pem, der.hex().encode(), array, der.hex(":").encode(), *shifted):
            if OWN_KEY not in {hit.rule for hit in own.file("x", b"before\n" + data + b"\nafter")}:
                missed.append(OWN_KEY)
    return sorted(set(missed))


def _written(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Bytes that a text writes one by one, and where that begins."""
    for form, pattern in enumerate(_WRITTEN):
        for match in pattern.finditer(data):
            # Without 0x, a number of an array is decimal and one of a dump hexadecimal.
            found = (
                int(hexadecimal, 16) if hexadecimal else int(other, 16 if form else 10)
                for hexadecimal, other in _DIGITS.findall(match[0])
            )
            yield match.start(), bytes(value & 0xFF for value in found)


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _parts(data: bytes) -> list[bytes]:
    """The bytes of an Intel HEX file, a part for each unbroken range."""
    try:
        image = parse_hex(data)
    except ValueError:
        return []
    return [bytes(image.tobinarray(start=start, end=end - 1)) for start, end in image.segments()]
