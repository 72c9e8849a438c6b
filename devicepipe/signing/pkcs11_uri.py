"""PKCS #11 URIs: which key on which token, through which module.

What always holds of a `Pkcs11Uri`: it names a token and a key, each by at least one attribute, and holds no secret: a URI stands in
devicepipe.toml, which is committed and lies in every bundle.

Source: RFC 7512.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from devicepipe.errors import UsageError

SCHEME: Final = "pkcs11"
MODULE_VARIABLE: Final = "DEVICEPIPE_PKCS11_MODULE"

_PATH = ("token", "serial", "manufacturer", "model", "object", "id", "type")
_QUERY = ("module-path", "module-name", "pin-source")
# RFC 7512, 2.3: unreserved, percent-encoded, and what may stand bare; a query may have "/", "?" and "|" as well.
_VALUE = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=&/?|-]|%[0-9A-Fa-f]{2})*")
_EXAMPLE = "e.g. pkcs11:token=release;object=image?module-path=/usr/lib/softhsm/libsofthsm2.so"


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """A private key on a token.

    Attributes:
        token: The token's label.
        serial: Its serial number.
        manufacturer: Its manufacturer.
        model: Its model.
        object: The key's label.
        id: The key's id (CKA_ID).
        module: The PKCS #11 module: a path, or a name that the system's loader finds.
        pin_source: Where the PIN is, see `secret_sources.secret_from`; None asks the usual sources.
    """

    token: str | None
    serial: str | None
    manufacturer: str | None
    model: str | None
    object: str | None
    id: bytes | None
    module: str
    pin_source: str | None

    @classmethod
    def parse(cls, text: str, base: Path) -> Pkcs11Uri:
        """Read a URI.

        Args:
            text: The URI.
            base: The folder that a relative module path starts from.

        Raises:
            UsageError: It is none, has a PIN in it, or names no token, no key or no module. The text is not repeated: it may have
                a secret in it.
        """
        scheme, _, rest = text.partition(":")
        path, _, query = rest.partition("?")
        if scheme != SCHEME:
            raise _refused("it does not begin with 'pkcs11:'")
        found = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
        if found.get("type", "private") != "private":
            raise _refused("its type is not 'private': a private key signs")
        if not any(name in found for name in ("token", "serial")):
            raise _refused("it names no token (token= or serial=)")
        if not any(name in found for name in ("object", "id")):
            raise _refused("it names no key (object= or id=)")
        return cls(
            token=_text(found, "token"),
            serial=_text(found, "serial"),
            manufacturer=_text(found, "manufacturer"),
            model=_text(found, "model"),
            object=_text(found, "object"),
            id=unquote_to_bytes(found["id"]) if "id" in found else None,
            module=_module(found, base),
            pin_source=_text(found, "pin-source"),
        )

    @property
    def shown(self) -> str:
        """The key as text for people: without module and source of the PIN."""
        named = [("token", self.token), ("serial", self.serial), ("object", self.object)]
        parts = [f"{name}={quote(value, safe='')}" for name, value in named if value is not None]
        parts += [f"id={quote(self.id, safe='')}"] if self.id is not None else []
        return f"{SCHEME}:{';'.join(parts)}"


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise UsageError(
                "a PKCS #11 URI with the PIN in it is refused: whoever reads the URI has the PIN",
                remedy="take pin-value out, change the PIN, and name its source: pin-source=env:…, file:…, fd:… or keyring:…",
            )
        if name not in known:
            raise _refused(f"'{name[:40]}' is no attribute of it that is known ({', '.join((*_PATH, *_QUERY))})")
        if name in found:
            raise _refused(f"'{name}' stands twice")
        if not equals or not value or not _VALUE.fullmatch(value):
            raise _refused(f"the value of '{name}' is empty, or a character of it must be written as %XX")
        found[name] = value
    return found


def _text(found: dict[str, str], name: str) -> str | None:
    try:
        return unquote(found[name], errors="strict") if name in found else None
    except UnicodeDecodeError as error:
        raise _refused(f"the value of '{name}' is not UTF-8") from error


def _module(found: dict[str, str], base: Path) -> str:
    path, name = _text(found, "module-path"), _text(found, "module-name")
    if path is not None and name is not None:
        raise _refused("it has both module-path and module-name")
    if path is not None:
        return str(base / path)
    if name is not None:
        if "/" in name:
            raise _refused("module-name is a name, not a path")
        return f"lib{name}.so"
    named = os.environ.get(MODULE_VARIABLE)
    if not named:
        raise UsageError(
            "the PKCS #11 URI names no module",
            remedy=f"add ?module-path=/…/module.so, or set {MODULE_VARIABLE} (SoftHSM2 on Debian: "
            "/usr/lib/softhsm/libsofthsm2.so)",
        )
    return named


def _refused(why: str) -> UsageError:
    return UsageError(f"the PKCS #11 URI cannot be used: {why}", remedy=_EXAMPLE)
