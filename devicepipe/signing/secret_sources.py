"""Where the secrets of signers come from: PINs of tokens, passphrases of key files. Never the command line, never a URI's text.

What always holds: a secret that was asked for once is kept for the life of the process, and only in its memory; a variable of the
environment that held one is taken out of it (secret_variables.py), so that no program that is started later inherits it. A secret
is in no error.

Sources, in the order in which they are asked for a secret that is called NAME:

1. the callback of the program that opens the signer, and then no other;
2. the environment variable `DEVICEPIPE_SECRET_<NAME>`, NAME in capitals with "_" for what is neither letter nor digit;
3. the file descriptor whose number `DEVICEPIPE_SECRETS_FD` has: lines `NAME=SECRET`;
4. the keyring, service `devicepipe`, user NAME, where the package `keyring` is installed;
5. the terminal, where there is one.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import stat
import sys
from pathlib import Path
from threading import RLock
from typing import Final

from securesystemslib.signer import SecretsHandler

from devicepipe.errors import UsageError
from devicepipe.secret_variables import DESCRIPTOR, SECRET, take

SERVICE: Final = "devicepipe"

LEAST_NEW: Final = 12
"""How many characters a new secret has at least: as many as the password of an account."""

_MAXIMUM = 64 * 1024
_lock = RLock()
_kept: dict[str, str] = {}
_lines: dict[str, str] = {}


def variable_of(name: str) -> str:
    """The environment variable that may hold the secret of this name."""
    return SECRET + re.sub(r"[^A-Z0-9]", "_", name.upper())


def find_secret(name: str, what: str, ask: SecretsHandler | None = None, *, new: bool = False) -> str:
    """A secret.

    Args:
        name: What it is called: the label of a token, the name of a key file.
        what: What it is, for people, e.g. "PIN of the token 'fw'".
        ask: The callback of the program, called with the name.
        new: It is made up now: the terminal asks for it twice, and it has at least LEAST_NEW characters.

    Raises:
        UsageError: No source has it, it is empty, or is no good new one.
    """
    check = _good_new if new else _not_empty
    if ask is not None:
        return check(ask(name), what)
    with _lock:
        if name not in _kept:
            found = take(variable_of(name)) or _lines_of_descriptor().get(name) or _of_keyring(SERVICE, name)
            _kept[name] = check(found if found is not None else _of_terminal(name, what, twice=new), what)
        return _kept[name]


def secret_from(source: str, what: str) -> str:
    """A secret from the source that somebody named for it.

    Args:
        source: `env:DEVICEPIPE_SECRET_…`, `file:PATH` (its first line; nobody else may read it), `fd:NUMBER` or
            `keyring:SERVICE/USER`.
        what: What it is, for people.

    Raises:
        UsageError: There is no such source, or it has no secret.
    """
    scheme, colon, rest = source.partition(":")
    if not colon or scheme not in ("env", "file", "fd", "keyring"):
        raise UsageError(
            f"the source of the {what} is none that is known",
            remedy=f"use env:{SECRET}…, file:PATH, fd:NUMBER or keyring:SERVICE/USER",
        )
    with _lock:
        if source not in _kept:
            _kept[source] = _not_empty(_of_source(scheme, rest, what), what)
        return _kept[source]


def forget_secret(name: str) -> None:
    """Do not use a secret again: it is wrong."""
    with _lock:
        _kept.pop(name, None)


def _of_source(scheme: str, rest: str, what: str) -> str:
    if scheme == "file":
        return _of_file(Path(rest), what)
    if scheme == "fd":
        return next(iter(_read_descriptor(rest).splitlines()), "")
    found: str | None
    if scheme == "env":
        if not rest.startswith(SECRET):
            # Others stay in the environment until they are asked for, and all that is started before that inherits them.
            raise UsageError(
                f"the {what} is not taken from an environment variable of that name", remedy=f"call it {SECRET}…"
            )
        found, place = take(rest), f"the environment variable {rest}"
    else:
        service, _, user = rest.rpartition("/")
        found, place = _of_keyring(service, user), f"the keyring, service '{service}', user '{user}',"
    if found is None:
        raise UsageError(f"{place} does not have the {what}", remedy="put it there, or name another source")
    return found


def _lines_of_descriptor() -> dict[str, str]:
    number = take(DESCRIPTOR)
    if number is not None:
        for line in _read_descriptor(number).splitlines():
            name, equals, value = line.partition("=")
            if not equals:
                raise UsageError(f"{DESCRIPTOR}: a line of it is not NAME=SECRET")
            _lines[name] = value
    return _lines


def _read_descriptor(number: str) -> str:
    try:
        with os.fdopen(int(number), encoding="utf-8") as file:
            return file.read(_MAXIMUM)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"file descriptor '{number[:20]}' cannot be read: {error}", remedy="open it: devicepipe … 3<FILE"
        ) from error


def _of_file(path: Path, what: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(f"holds the {what}, and others may read it", file=path, remedy=f"chmod 600 {path}")
            return file.read(_MAXIMUM).partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"does not give the {what}: {error}", file=path) from error


def _of_keyring(service: str, user: str) -> str | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    # No keyring, a locked one, or one that cannot be asked here: as if it had nothing.
    with contextlib.suppress(keyring.errors.KeyringError, RuntimeError):
        return keyring.get_password(service, user)
    return None


def _of_terminal(name: str, what: str, *, twice: bool) -> str:
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError(
            f"nobody told the {what}",
            remedy=f"set {variable_of(name)}, give a line '{name}=…' by {DESCRIPTOR}, put it into the keyring "
            f"(service {SERVICE}, user {name}), or run this on a terminal",
        )
    secret = getpass.getpass(f"{what[0].upper()}{what[1:]}: ")
    if twice and secret and getpass.getpass("The same again: ") != secret:
        raise UsageError(f"the {what} was not typed the same twice", remedy="begin again")
    return secret


def _not_empty(secret: str, what: str) -> str:
    if not secret:
        raise UsageError(f"the {what} is empty", remedy="give it again, with what it is")
    return secret


def _good_new(secret: str, what: str) -> str:
    if len(_not_empty(secret, what)) < LEAST_NEW:
        raise UsageError(
            f"the {what} has fewer than {LEAST_NEW} characters",
            remedy="choose a longer one: a few words that nobody guesses",
        )
    return secret
