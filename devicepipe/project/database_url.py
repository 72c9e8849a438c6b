"""What the URL of the database of accounts may be: every part of it is told from the next without doubt.

Parsers of URLs guess: what one takes for the password's end, another takes for the host, and shows. So whatever has a meaning in a
URL is escaped in the user's name and the password (RFC 3986: `@` is %40), or the URL is none. Nothing here repeats any of it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

_FILE: Final = re.compile(r"sqlite:///[^?#]+")
_SERVER: Final = re.compile(
    r"postgresql(?:\+[a-z0-9]+)?://"
    r"(?:[^:/?#@\[\]\s]+(?P<password>:[^:/?#@\[\]\s]*)?@)?"
    r"(?:[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
    r"/[^:/?#@\[\]\s]+(?:\?(?P<query>[^#@\s]*))?"
)
_SECRETS: Final = frozenset({"password", "sslpassword"})


def is_database_url(url: str) -> bool:
    """Whether a text is the URL of a SQLite file or of a PostgreSQL server's database, with everything escaped that has to be."""
    return bool(_FILE.fullmatch(url) or _SERVER.fullmatch(url))


def has_password(url: str) -> bool:
    """Whether a database's URL holds a password."""
    found = _SERVER.fullmatch(url)
    if found is None:
        return False
    names = {name for name, _ in parse_qsl(found["query"] or "", keep_blank_values=True)}
    return found["password"] is not None or bool(names & _SECRETS)
