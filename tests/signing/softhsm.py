"""Tokens of SoftHSM2 for tests: each folder of tokens is of one test only, and no test sees another's.

`softhsm_tokens` makes a folder and points SoftHSM2 at it; `make_token` makes a token there. As a fixture:

    @pytest.fixture
    def token(tmp_path: Path) -> Iterator[Token]:
        with softhsm_tokens(tmp_path) as tokens:
            yield tokens.make("fw")
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pkcs11
import pytest

from devicepipe.signing.hsm import forget_tokens, make_key
from devicepipe.signing.keys import ED25519, PublicKey
from devicepipe.signing.secret_sources import forget_secret, variable_of

PIN = "a PIN of 5678"
"""The PIN of every token."""
SECURITY_OFFICER_PIN = "12345678"

_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


def softhsm_module() -> str:
    """SoftHSM2's module. It must be there: `tools/setup.sh` installs it."""
    for place in _PLACES:
        if Path(place).exists():
            return place
    pytest.fail("SoftHSM2 is not installed: run tools/setup.sh (Debian's package softhsm2)")


@dataclass(frozen=True)
class Token:
    """A token.

    Attributes:
        label: Its label.
        module: The module that reaches it.
        folder: SoftHSM2's folder of tokens.
    """

    label: str
    module: str
    folder: Path

    def uri(self, name: str, query: str = "") -> str:
        """The URI of a key on it."""
        return f"pkcs11:token={self.label};object={name}?module-path={self.module}{query}"

    def make(self, name: str, scheme: str = ED25519) -> PublicKey:
        """Make a key on it; returns its public half."""
        made = make_key(self.uri(name), scheme, Path(), secrets=lambda _name: PIN)
        assert made.public is not None
        return PublicKey.from_pem(made.public)


@dataclass(frozen=True)
class Tokens:
    """A folder of tokens."""

    folder: Path
    module: str

    def make(self, label: str = "fw") -> Token:
        """Make a token whose PIN the environment has, under the name that devicepipe asks for."""
        program = shutil.which("softhsm2-util")
        assert program, "softhsm2-util is not installed: run tools/setup.sh"
        pins = ["--so-pin", SECURITY_OFFICER_PIN, "--pin", PIN]
        subprocess.run(
            [program, "--init-token", "--free", "--label", label, *pins], check=True, capture_output=True, text=True
        )
        os.environ[variable_of(label)] = PIN
        forget_secret(label)
        _forget()
        return Token(label, self.module, self.folder)


@contextmanager
def softhsm_tokens(folder: Path) -> Iterator[Tokens]:
    """An empty folder of tokens under `folder`, SoftHSM2 of this process and its children pointed at it."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    with mock.patch.dict(os.environ, {"SOFTHSM2_CONF": str(settings)}):
        _forget()
        try:
            yield Tokens(tokens, softhsm_module())
        finally:
            _forget()


def _forget() -> None:
    """SoftHSM2 reads its settings, and looks for tokens, when it is initialised."""
    forget_tokens()
    pkcs11.unload(softhsm_module())
