"""Signed notes: text with signatures below it, and the keys that make and check them.

What always holds of a `Note`: its bytes are what its text and signatures are written as, and nothing else; UTF-8 without control
characters. Of a `NoteKey`: its id is the one that the name and the public key give. Signatures are `signing.keys`' work.

Of the signature types, three are known: Ed25519, ECDSA over P-256, and a witness's cosignature with Ed25519 (cosignature/v1).
Sources: C2SP signed-note, tlog-cosignature (https://c2sp.org).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from securesystemslib.signer import Signer

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.signing.keys import ED25519, PublicKey, sign

TYPE_ED25519: Final = 1
TYPE_ECDSA: Final = 2
TYPE_COSIGNATURE: Final = 4

MAXIMUM_NOTE: Final = 1024 * 1024
"""The longest note that is read, in bytes."""
MAXIMUM_SIGNATURES: Final = 100
"""The most signatures of a note."""

DAMAGED: Final = "the file is damaged, or was altered: take it from where it came from again"

_TYPES = {TYPE_ED25519: "Ed25519", TYPE_ECDSA: "ECDSA P-256", TYPE_COSIGNATURE: "cosignature/v1 with Ed25519"}
_ID_SIZE = 4
_TIME_SIZE = 8
_LAST_TIME = 253402300799  # 9999-12-31T23:59:59Z: no date can be told of a later one
_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_KEY_REMEDY = "a verifier key is written NAME+ID+BASE64, e.g. as `devicepipe log checkpoint --vkey` prints it"


def is_key_name(name: str) -> bool:
    """Whether a key may be called so: not empty, no spaces of any kind, no "+", nothing that cannot be printed."""
    return bool(name) and name.isprintable() and "+" not in name and not any(char.isspace() for char in name)


def decode_base64(text: str) -> bytes | None:
    """The bytes of standard base64 in its one spelling; None for anything else."""
    if not _BASE64.fullmatch(text) or len(text) % 4:
        return None
    data = base64.b64decode(text)
    return data if base64.b64encode(data).decode() == text else None


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key under a name, that signatures of one type are checked with.

    Attributes:
        name: Its name in notes, e.g. `example.com/log`.
        kind: The type of its signatures: `TYPE_ED25519`, `TYPE_ECDSA` or `TYPE_COSIGNATURE`.
        public: The public key.
    """

    name: str
    kind: int
    public: PublicKey

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise UsageError(
                f"{self.name!r} is no name for a key in notes",
                remedy="use a name without spaces and '+', e.g. example.com/log",
            )
        if self.kind not in _TYPES or (self.kind == TYPE_ECDSA) == (self.public.scheme == ED25519):
            wanted = _TYPES.get(self.kind, "unknown")
            raise UsageError(f"a key of scheme {self.public.scheme} makes no signatures of the type {wanted}")

    @classmethod
    def of_log(cls, name: str, public: PublicKey) -> NoteKey:
        """The key that a log signs with: Ed25519, or ECDSA P-256. Raises UsageError for a bad name."""
        return cls(name, TYPE_ED25519 if public.scheme == ED25519 else TYPE_ECDSA, public)

    @classmethod
    def of_witness(cls, name: str, public: PublicKey) -> NoteKey:
        """The key that a witness cosigns with. Raises UsageError for a bad name, or where it is not Ed25519."""
        if public.scheme != ED25519:
            raise UsageError("a witness cosigns with Ed25519 only", remedy="use an Ed25519 key")
        return cls(name, TYPE_COSIGNATURE, public)

    @classmethod
    def from_text(cls, text: str) -> NoteKey:
        """Read a verifier key ("vkey").

        Raises:
            UsageError: It is none, of an unknown type, or its id does not belong to it.
        """
        parts = text.strip().split("+", 2)
        data = decode_base64(parts[2]) if len(parts) == 3 else None  # noqa: PLR2004 - name, id, key
        if data is None:
            raise UsageError(f"{text.strip()[:100]!r} is no verifier key", remedy=_KEY_REMEDY)
        name, number, kind = parts[0], parts[1], data[0]
        if kind not in _TYPES:
            known = ", ".join(f"{one} ({what})" for one, what in _TYPES.items())
            raise UsageError(f"the verifier key {name!r} has the signature type {kind}", remedy=f"known types: {known}")
        key = cls(name, kind, _public(data[1:], kind, name))
        if key.text() != text.strip():
            raise UsageError(
                f"the verifier key {name!r} has the id {number[:20]}, but its bytes give {key.key_id.hex()}",
                remedy="copy it again from where it was published",
            )
        return key

    @property
    def material(self) -> bytes:
        """The public key's bytes as verifier keys hold them."""
        return _material(self.public)

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before its signatures."""
        if self.kind == TYPE_ECDSA:
            return hashlib.sha256(self.material).digest()[:_ID_SIZE]
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.material).digest()[:_ID_SIZE]

    def text(self) -> str:
        """The verifier key as text: NAME+ID+BASE64."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.material).decode()}"

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether this is the key's signature under a note's text."""
        if self.kind != TYPE_COSIGNATURE:
            return self.public.verifies(signature, text)
        time = int.from_bytes(signature[:_TIME_SIZE], "big")
        if len(signature) <= _TIME_SIZE or time > _LAST_TIME:
            return False
        return self.public.verifies(signature[_TIME_SIZE:], _cosigned(text, time))


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """A key of notes with its private half."""

    key: NoteKey
    signer: Signer

    def sign(self, text: bytes) -> NoteSignature:
        """Sign a note's text. Raises UsageError, BenchError as `keys.sign`."""
        if self.key.kind == TYPE_COSIGNATURE:
            raise UsageError("a witness's key cosigns, with a time", remedy="use a key of the log")
        return self._signature(sign(self.signer, self.key.public, text))

    def cosign(self, text: bytes, time: int) -> NoteSignature:
        """Cosign a checkpoint's text as seen at `time` (seconds since 1970, UTC). Raises UsageError, BenchError as `keys.sign`."""
        if self.key.kind != TYPE_COSIGNATURE or not 0 < time <= _LAST_TIME:
            raise UsageError("only a witness's key cosigns, and at a time after 1970")
        made = sign(self.signer, self.key.public, _cosigned(text, time))
        return self._signature(time.to_bytes(_TIME_SIZE, "big") + made)

    def _signature(self, made: bytes) -> NoteSignature:
        return NoteSignature(self.key.name, self.key.key_id, made)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A signature line: the key's name and id, and what the key made."""

    name: str
    key_id: bytes
    made: bytes

    def line(self) -> str:
        """The line as it stands in a note, with its line break."""
        return f"\u2014 {self.name} {base64.b64encode(self.key_id + self.made).decode()}\n"

    @property
    def time(self) -> int:
        """Of a cosignature: the time that it was made at, in seconds since 1970."""
        return int.from_bytes(self.made[:_TIME_SIZE], "big")

    def is_of(self, key: NoteKey) -> bool:
        """Whether it says that it is the key's."""
        return self.name == key.name and self.key_id == key.key_id


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends with a line break, and signatures."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The note as written."""
        return self.text + b"\n" + "".join(one.line() for one in self.signatures).encode()

    def with_signature(self, signature: NoteSignature) -> Note:
        """The note with another signature below; an earlier one of the same key is replaced."""
        key = (signature.name, signature.key_id)
        kept = tuple(one for one in self.signatures if (one.name, one.key_id) != key)
        return Note(self.text, (*kept, signature))


def parse_note(data: bytes, link: str) -> Note:
    """Take a note apart; *no signature is checked*.

    Raises:
        IntegrityError: The bytes are no signed note.
    """
    wrong = _malformed(data)
    if wrong:
        raise IntegrityError(f"is no signed note: {wrong}", link=link, remedy=DAMAGED)
    text, _, below = data.rpartition(b"\n\n")
    lines = below.decode().splitlines(keepends=True)
    if len(lines) > MAXIMUM_SIGNATURES:
        raise IntegrityError(f"has more than {MAXIMUM_SIGNATURES} signatures", link=link, remedy=DAMAGED)
    signatures = []
    for number, line in enumerate(lines, 1):
        signature = _signature(line)
        if signature is None:
            raise IntegrityError(
                f"is no signed note: its signature line {number} is malformed", link=link, remedy=DAMAGED
            )
        signatures.append(signature)
    return Note(text + b"\n", tuple(signatures))


def signed_by(note: Note, keys: Sequence[NoteKey], link: str) -> list[tuple[NoteKey, NoteSignature]]:
    """Which of the keys signed a note, with their signatures; what other keys signed is ignored, as it must be.

    Raises:
        IntegrityError: A signature says that it is of one of the keys, and is not.
        UsageError: Two of the keys have the same name and id.
    """
    by_id = {(key.name, key.key_id): key for key in keys}
    if len(by_id) != len({(key.name, key.key_id, key.public.keyid) for key in keys}):
        raise UsageError("two different keys have the same name and id", remedy="name one of them otherwise")
    found: dict[NoteKey, NoteSignature] = {}
    for signature in note.signatures:
        key = by_id.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verifies(note.text, signature.made):
            raise IntegrityError(
                f"its signature by {key.name} does not verify under the key {key.public.keyid}",
                link=link,
                remedy="do not trust the file: it was altered after it was signed, or signed by someone else",
            )
        found.setdefault(key, signature)
    return [*found.items()]


def _malformed(data: bytes) -> str:
    if len(data) > MAXIMUM_NOTE:
        return f"it is larger than {MAXIMUM_NOTE} bytes"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8"
    if _CONTROL.search(data):
        return "it holds control characters"
    text, blank, below = data.rpartition(b"\n\n")
    if not blank or not below.endswith(b"\n"):
        return "it has no signature lines below a blank line"
    # splitlines() knows more line ends than the format does.
    return "" if text and len(below.decode().splitlines()) == below.count(b"\n") else "its lines are malformed"


def _signature(line: str) -> NoteSignature | None:
    dash, _, rest = line.removesuffix("\n").partition(" ")
    name, _, encoded = rest.partition(" ")
    data = decode_base64(encoded)
    if dash != "\u2014" or not is_key_name(name) or data is None or len(data) <= _ID_SIZE:
        return None
    return NoteSignature(name, data[:_ID_SIZE], data[_ID_SIZE:])


def _cosigned(text: bytes, time: int) -> bytes:
    """What a cosignature/v1 signs."""
    return b"cosignature/v1\ntime %d\n" % time + text


@lru_cache(maxsize=64)
def _material(public: PublicKey) -> bytes:
    key = load_pem_public_key(public.pem)
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public(data: bytes, kind: int, name: str) -> PublicKey:
    try:
        key = load_der_public_key(data) if kind == TYPE_ECDSA else Ed25519PublicKey.from_public_bytes(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"the verifier key {name!r} holds no public key: {error}", remedy=_KEY_REMEDY) from error
    return PublicKey.from_pem(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
