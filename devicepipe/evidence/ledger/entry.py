"""What stands in the log: entries of a closed set of kinds, each with its time, who, what, and the digest of what.

What always holds: an entry has exactly one text, RFC 8785 canonical JSON of at most 65535 bytes; another spelling is refused. All
its values are text that a terminal can print. What it says beyond the common fields (`details`) is fixed by its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.tiles import MAXIMUM_ENTRY
from devicepipe.evidence.model import Model, Sha256, Time

TYPE: Final = "devicepipe-ledger-entry/v1"

Kind = Literal[
    "account",
    "approval",
    "attestation",
    "decision",
    "key-change",
    "key-use",
    "lease-override",
    "login",
    "publication",
    "waiver",
]

Said = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]
"""Text of one line that is not empty, and that a terminal and a report can print."""


@dataclass(frozen=True, slots=True)
class KindRule:
    """What entries of a kind say.

    Attributes:
        means: What such an entry records.
        subject: What its subject is.
        digest: What its digest is of; empty where it may have none.
        required: Details that it must have.
        optional: Details that it may have.
    """

    means: str
    subject: str
    digest: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


KINDS: Final[Mapping[str, KindRule]] = {
    "account": KindRule("an account was made or changed", "the account", "", ("change",), ("role", "reason")),
    "approval": KindRule(
        "a person signed: approved, rejected or withdrew",
        "the release",
        "the release statement",
        ("meaning", "name", "outcome", "role", "signature"),
        ("reason",),
    ),
    "attestation": KindRule(
        "an attestation was made", "its file", "the envelope", ("predicateType",), ("board", "release")
    ),
    "decision": KindRule("the gate decided", "the release", "the decisions", ("outcome",), ("board", "rule")),
    "key-change": KindRule(
        "a key was made, rotated or revoked, or more of a revoked one was kept",
        "the key's role",
        "",
        ("change", "keyid"),
        ("reason",),
    ),
    "key-use": KindRule("a key signed", "what was signed", "what was signed", ("keyid", "purpose"), ("release",)),
    "lease-override": KindRule("a device was taken from its holder", "the device", "", ("reason",), ("former",)),
    "login": KindRule("somebody logged in, or failed to", "the account", "", ("outcome",), ("components", "session")),
    "publication": KindRule(
        "a release was published or taken back", "the release", "the release statement", ("outcome",), ("repository",)
    ),
    "waiver": KindRule(
        "a rule was waived", "the waiver's file", "the waiver", ("rule", "until"), ("board", "reason", "role")
    ),
}

_KNOWN = {kind: frozenset((*rule.required, *rule.optional)) for kind, rule in KINDS.items()}


class Entry(Model):
    """An entry of the log.

    Attributes:
        at: When, UTC, as whoever appended it says.
        by: Who: an account's name, or what did it.
        details: What else entries of this kind say, in the order of their names.
        digest: The SHA-256 of what it is about.
        kind: What it records; see `KINDS`.
        subject: What it is about, by name.
        type: The form of the entry.
    """

    # In the order of their names, which is that of canonical JSON.
    at: Time
    by: Said
    details: dict[str, Said] = Field(default_factory=dict)
    digest: Sha256 | None = None
    kind: Kind
    subject: Said
    type: Literal["devicepipe-ledger-entry/v1"] = TYPE

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        rule, names = KINDS[self.kind], [*self.details]
        if not _KNOWN[self.kind].issuperset(names):
            unknown = ", ".join(sorted(self.details.keys() - _KNOWN[self.kind]))
            raise ValueError(f"an entry of kind {self.kind} has no details {unknown[:200]}")
        missing = [name for name in rule.required if name not in self.details]
        if missing:
            raise ValueError(f"an entry of kind {self.kind} needs the details {', '.join(missing)}")
        if names != sorted(names):
            raise ValueError("its details are not in the order of their names")
        if rule.digest and self.digest is None:
            raise ValueError(f"an entry of kind {self.kind} needs a digest: that of {rule.digest}")
        return self


def make_entry(
    kind: Kind, *, at: str, by: str, subject: str, digest: str | None = None, details: Mapping[str, str] | None = None
) -> Entry:
    """An entry.

    Raises:
        UsageError: It is not what entries of that kind are, or a text in it cannot be printed.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no kind of entry {kind!r}", remedy=f"the kinds are {', '.join(KINDS)}")
    try:
        return Entry(
            kind=kind, at=at, by=by, subject=subject, digest=digest, details=dict(sorted((details or {}).items()))
        )
    except ValidationError as error:
        raise UsageError(f"is no entry of the log: {_first(error)}", remedy="see docs/reference/ledger.md") from error


def encode_entry(entry: Entry) -> bytes:
    """The text of an entry.

    Raises:
        UsageError: It is longer than an entry may be.
    """
    data = _text(entry)
    if len(data) > MAXIMUM_ENTRY:
        raise UsageError(
            f"an entry of {len(data)} bytes is too long: {MAXIMUM_ENTRY} at most",
            remedy="log the digest of what is long, and keep it in a file",
        )
    return data


def decode_entry(data: bytes, link: str) -> Entry:
    """Read an entry.

    Raises:
        IntegrityError: It is none, or another spelling of one; names `link`.
    """
    try:
        entry = Entry.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"is no entry of ours: {_first(error)}", link=link) from error
    if _text(entry) != data:
        raise IntegrityError("is not in canonical form: its bytes are not what its content is written as", link=link)
    return entry


def is_plain_entry(data: bytes) -> bool:
    """Whether this is an entry, told quickly: never where `decode_entry` refuses, always else if it is ASCII.

    For reading a million of them; where it is False, ask `decode_entry`.
    """
    match = _PLAIN.fullmatch(data)
    return match is not None and match.groups() in _FORMS


_MOST_DETAILS = max(len(names) for names in _KNOWN.values())
_VALUE = (
    rb'"(?!")[^"\\\x00-\x1f\x7f-\xff]*(?:\\["\\][^"\\\x00-\x1f\x7f-\xff]*)*"'  # of ASCII: others are for `decode_entry`
)
_DETAIL = rb'"([A-Za-z]+)":' + _VALUE
_PLAIN = re.compile(
    rb'\{"at":"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z",'
    + (rb'"by":' + _VALUE + rb',"details":\{')
    + (rb"(?:" + rb"(?:,".join([_DETAIL] * _MOST_DETAILS) + rb")?" * _MOST_DETAILS + rb"\},")
    + rb'(?:"digest":"[0-9a-f]{64}",())?"kind":"([a-z-]+)","subject":'
    + (_VALUE + rb',"type":"' + TYPE.encode() + rb'"\}')
)
"""Its groups: the names of the details, empty bytes where there is a digest, and the kind."""


def _forms() -> Iterator[tuple[bytes | None, ...]]:
    """All groups that an entry can have."""
    for kind, rule in KINDS.items():
        for count in range(len(rule.optional) + 1):
            for more in combinations(rule.optional, count):
                names = [name.encode() for name in sorted((*rule.required, *more))]
                for digest in (b"",) if rule.digest else (b"", None):
                    yield (*names, *[None] * (_MOST_DETAILS - len(names)), digest, kind.encode())


_FORMS = frozenset(_forms())


def _text(entry: Entry) -> bytes:
    # Fields in order, names and details too, and no text with control characters: what pydantic writes of that is the form of
    # RFC 8785, as the tests check against the library, which takes ten times as long.
    return entry.model_dump_json(by_alias=True, exclude_none=True).encode()


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"].removeprefix("Value error, ")
