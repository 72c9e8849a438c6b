"""`repository refresh` where a token's PIN is wrong: the token is told it once, and whoever runs it is told."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pkcs11
import pytest

from devicepipe.distribution.signing import RoleSetup, RoleSigner
from devicepipe.signing import hsm
from devicepipe.signing.keys import load_signer
from devicepipe.signing.secret_sources import forget_secret
from tests.distribution.publisher import Publisher, parcel, role, setup_of
from tests.signing.softhsm import PIN, Token, softhsm_tokens


@pytest.fixture
def token(tmp_path: Path) -> Iterator[Token]:
    with softhsm_tokens(tmp_path / "hsm") as tokens:
        yield tokens.make("fw")


class Counted:
    """A token that counts its logins."""

    def __init__(self, token: Any, logins: list[str]) -> None:
        self._token, self._logins = token, logins

    def __getattr__(self, name: str) -> Any:
        return getattr(self._token, name)

    def open(self, **how: Any) -> Any:
        if "user_pin" in how:
            self._logins.append(how["user_pin"])
        return self._token.open(**how)


@pytest.mark.parametrize("on_token", [("targets", "snapshot", "timestamp"), ("targets",)])
def test_a_refresh_gives_a_token_a_wrong_pin_once_and_says_so(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_token: tuple[str, ...]
) -> None:
    """Taken for a token that is not plugged in, it was given the PIN again for the next role; and daily, until it locks itself."""
    source = tmp_path / "pin"
    source.touch(0o600)
    source.write_text(PIN)

    def key(name: str) -> RoleSetup:
        public = token.make(name)
        uri = token.uri(name, f"&pin-source=file:{source}")
        return role(RoleSigner(public, functools.partial(load_signer, uri, public, tmp_path)), days=7)

    publisher = Publisher(tmp_path, setup_of(**{name: key(name) for name in on_token})).create()
    publisher.publish(parcel())
    hsm.forget_tokens()
    pkcs11.unload(token.module)
    forget_secret(f"file:{source}")
    source.write_text("wrong")
    logins: list[str] = []
    real = hsm._token
    monkeypatch.setattr(hsm, "_token", lambda uri: Counted(real(uri), logins))
    publisher.clock.now += timedelta(days=4)  # past half of their time
    with pytest.raises(hsm.PinRefusedError, match="the token 'fw' does not take the PIN: PinIncorrect"):
        publisher.repository.renew(publisher.root)
    assert logins == ["wrong"]
