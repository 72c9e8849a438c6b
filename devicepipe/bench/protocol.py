r"""The part of a device's serial console that the bench depends on, whatever the product is.

After a reset a device prints, each line ending in CR LF, either `app: ready board=<board> version=<version>` when its
application takes commands, or `boot: refused <reason>` when its bootloader will not start the image. A command is one line; its
reply is one line, `OK <command word> …` or `ERR …`. The command `id` is answered with
`OK id board=<board> version=<version> commit=<40 hex> digest=<64 hex> key=<kind> serial=<serial>`, where the digest is the
one that the device itself computes over the image it runs. A device does not echo what it is sent, and replies to nothing else.
"""

from __future__ import annotations

import re

from devicepipe.bench.faults import BadIdentityError
from devicepipe.evidence.results import Identity

ECHO = re.compile(rb"^id\r?\n", re.MULTILINE)
BEGINS_STARTED = re.compile(rb"app: ready|boot: refused")
STARTED = re.compile(rb"^(?:app: ready |boot: refused )[^\n]*\n", re.MULTILINE)
READY = re.compile(rb"^app: ready ", re.MULTILINE)
ANSWER = re.compile(rb"^OK\b[^\n]*\n", re.MULTILINE)
REPLY = re.compile(rb"^(?:OK|ERR)\b[^\n]*\n", re.MULTILINE)

REPLY_OR_STARTED = re.compile(rb"^(?:OK\b|ERR\b|app: ready |boot: refused )[^\n]*\n", re.MULTILINE)

_COMPARED = ("board", "version", "commit", "digest")


def parse_identity(reply: str) -> Identity:
    """Read the reply to `id`.

    Raises:
        BadIdentityError: The reply is not an identity; says what is missing or said twice.
    """
    words = [word.partition("=") for word in reply.split()[2:]]
    fields = {name: value for name, _, value in words}
    if reply.split()[:2] != ["OK", "id"] or len(fields) != len(words):
        raise BadIdentityError(f"expected 'OK id …' with each field once in reply to 'id', got {reply!r}")
    missing = [name for name in _COMPARED if not fields.get(name)]
    if missing:
        raise BadIdentityError(f"the reply to 'id' lacks {', '.join(missing)}: {reply!r}")
    return Identity(**{name: fields.get(name, "") for name in (*_COMPARED, "serial", "key")})


def identity_errors(expected: Identity, seen: Identity) -> list[str]:
    """How a device's identity differs from the image under test; empty where it does not.

    `serial` and `key` are compared only where the expectation names them.
    """
    names = [*_COMPARED, *(name for name in ("serial", "key") if getattr(expected, name))]
    return [
        f"device says {name} {getattr(seen, name)!r}, expected {getattr(expected, name)!r}"
        for name in names
        if getattr(seen, name) != getattr(expected, name)
    ]


Pattern = str | bytes | re.Pattern[str] | re.Pattern[bytes]


def pattern_of(pattern: Pattern) -> re.Pattern[bytes]:
    """A regular expression over bytes, however it was written."""
    if isinstance(pattern, re.Pattern):
        flags = pattern.flags & ~re.UNICODE
        return re.compile(pattern.pattern.encode() if isinstance(pattern.pattern, str) else pattern.pattern, flags)
    return re.compile(pattern.encode() if isinstance(pattern, str) else pattern)
