"""Secrets of signers: which source is asked when, and that none leaves a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from devicepipe import secret_variables
from devicepipe.errors import UsageError
from devicepipe.secret_variables import DESCRIPTOR
from devicepipe.signing import secret_sources
from devicepipe.signing.secret_sources import find_secret, forget_secret, secret_from, variable_of


class InMemory(keyring.backend.KeyringBackend):
    """A keyring of these tests: a real backend of the package, that keeps nothing on disk."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.broken:
            raise keyring.errors.KeyringLocked("locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemory]:
    before, backend = keyring.get_keyring(), InMemory()
    keyring.set_keyring(backend)
    for name in [name for name in os.environ if name.startswith("DEVICEPIPE_SECRET")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(secret_sources, "_kept", {})
    monkeypatch.setattr(secret_sources, "_lines", {})
    monkeypatch.setattr(secret_variables, "_withheld", {})
    yield backend
    keyring.set_keyring(before)


def pipe_of(text: str) -> int:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        file.write(text)
    return reading


def test_variables() -> None:
    assert variable_of("fw") == "DEVICEPIPE_SECRET_FW"
    assert variable_of("release.key.pem") == "DEVICEPIPE_SECRET_RELEASE_KEY_PEM"
    assert variable_of("Ä b") == "DEVICEPIPE_SECRET___B"


def test_sources_in_their_order(monkeypatch: pytest.MonkeyPatch, ring: InMemory) -> None:
    ring.set_password("devicepipe", "fw", "of the keyring")
    assert find_secret("fw", "PIN") == "of the keyring"
    forget_secret("fw")
    monkeypatch.setenv(DESCRIPTOR, str(pipe_of("other=x\nfw=of = the descriptor\n")))
    assert find_secret("fw", "PIN") == "of = the descriptor"
    assert find_secret("other", "PIN") == "x"
    forget_secret("fw")
    monkeypatch.setenv("DEVICEPIPE_SECRET_FW", "of the environment")
    assert find_secret("fw", "PIN") == "of the environment"
    assert find_secret("fw", "PIN", lambda name: f"of the callback for {name}") == "of the callback for fw"


def test_a_callback_is_the_only_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICEPIPE_SECRET_FW", "of the environment")
    with pytest.raises(UsageError, match="is empty"):
        find_secret("fw", "PIN", lambda _name: "")


def test_the_environment_loses_what_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICEPIPE_SECRET_FW", "of the environment")
    monkeypatch.setenv("DEVICEPIPE_SECRET_PIN", "a PIN of twelve-34")
    assert find_secret("fw", "PIN") == "of the environment"
    assert secret_from("env:DEVICEPIPE_SECRET_PIN", "PIN") == "a PIN of twelve-34"
    child = subprocess.run(["env"], capture_output=True, text=True, check=True)
    assert "of the environment" not in child.stdout
    assert "twelve-34" not in child.stdout
    assert (find_secret("fw", "PIN"), secret_from("env:DEVICEPIPE_SECRET_PIN", "PIN")) == (
        "of the environment",
        "a PIN of twelve-34",
    )


def test_nobody_told_it() -> None:
    with pytest.raises(UsageError, match="nobody told the PIN of the token 'fw'") as caught:
        find_secret("fw", "PIN of the token 'fw'")
    for way in ("DEVICEPIPE_SECRET_FW", DESCRIPTOR, "keyring", "terminal"):
        assert way in caught.value.remedy


def test_a_keyring_that_cannot_be_opened_has_nothing(ring: InMemory) -> None:
    ring.broken = True
    with pytest.raises(UsageError, match="nobody told"):
        find_secret("fw", "PIN")


def test_named_sources(tmp_path: Path, ring: InMemory) -> None:
    file = tmp_path / "pin"
    file.write_text("of the file\nmore\n")
    file.chmod(0o600)
    assert secret_from(f"file:{file}", "PIN") == "of the file"
    assert secret_from(f"fd:{pipe_of('of the pipe')}", "PIN") == "of the pipe"
    ring.set_password("lab/hsm", "fw", "of the keyring")
    assert secret_from("keyring:lab/hsm/fw", "PIN") == "of the keyring"


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text("of the file\n")
    file.chmod(0o640)
    with pytest.raises(UsageError, match="others may read it") as caught:
        secret_from(f"file:{file}", "PIN")
    assert "of the file" not in str(caught.value)


def test_a_variable_that_would_stay_in_the_environment_until_it_is_asked_for_is_no_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELEASE_PIN", "a PIN of twelve-34")
    with pytest.raises(UsageError, match="the PIN is not taken from") as caught:
        secret_from("env:RELEASE_PIN", "PIN")
    assert caught.value.remedy == "call it DEVICEPIPE_SECRET_…"


REFUSED = [
    "1234",
    "pin:1234",
    "env:DEVICEPIPE_SECRET_NO_SUCH",
    "file:/no/such/file",
    "fd:x",
    "fd:998",
    "keyring:a/b",
    "env:",
]


@pytest.mark.parametrize("source", REFUSED)
def test_sources_that_have_none(source: str) -> None:
    with pytest.raises(UsageError):
        secret_from(source, "PIN")


def test_a_source_that_is_a_secret_by_mistake_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        secret_from("hunter2", "PIN")
    assert "hunter2" not in f"{caught.value} {caught.value.to_json()}"


def test_a_bad_line_of_the_descriptor_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DESCRIPTOR, str(pipe_of("hunter2\n")))
    with pytest.raises(UsageError, match="NAME=SECRET") as caught:
        find_secret("fw", "PIN")
    assert "hunter2" not in str(caught.value)


def test_on_a_terminal_it_is_asked_for_and_not_shown() -> None:
    """On a real terminal, a pseudo terminal of its own."""
    program = (
        "from devicepipe.signing.secret_sources import find_secret\n"
        "assert find_secret('fw', 'PIN of the token') == 'hunter2'\nprint('taken')"
    )
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", program]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    seen = b""
    try:
        while b"PIN of the token: " not in seen:
            seen += os.read(ours, 1024)
        os.write(ours, b"hunter2\n")
        while b"taken" not in seen:
            seen += os.read(ours, 1024)
        assert child.wait() == 0
    finally:
        os.close(theirs)
        os.close(ours)
        child.kill()
        child.wait()
    assert b"hunter2" not in seen
