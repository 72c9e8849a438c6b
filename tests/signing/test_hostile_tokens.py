"""Tokens and modules that somebody else chose: what they call themselves, that they hang, and that several modules lead to one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pkcs11 import Attribute

from devicepipe.errors import DevicepipeError, UsageError
from devicepipe.signing.hsm import PinRefusedError, forget_tokens
from devicepipe.signing.keys import load_signer
from devicepipe.signing.make_keys import existing_key
from devicepipe.signing.secret_sources import forget_secret, variable_of
from tests.signing.softhsm import PIN, Tokens, softhsm_tokens

HERE = Path()
FORGED = "x\n\x1b[2Kok: released"


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    with softhsm_tokens(tmp_path / "hsm") as made:
        yield made


def test_what_a_token_calls_itself_forges_no_line(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was plugged in beside ours cleared the screen and wrote a line of its own into each of these errors."""
    ours = tokens.make("fw")
    public = ours.make("release")
    tokens.make(FORGED)
    serial = pkcs11.lib(ours.module).get_token(token_label=FORGED).serial.decode()
    uri = f"pkcs11:serial={serial};object=release?module-path={ours.module}"
    refused: list[DevicepipeError] = []

    def ask(named: str, pin: str | None) -> None:
        with pytest.raises(DevicepipeError) as caught:
            load_signer(named, public, HERE, None if pin is None else lambda _name: pin)
        refused.append(caught.value)

    ask(ours.uri("release").replace("token=fw", "token=none"), PIN)
    ask(uri, PIN)
    forget_tokens()
    pkcs11.unload(ours.module)
    monkeypatch.delenv(variable_of(FORGED))
    forget_secret("x [2Kok: released")
    ask(uri, None)
    ask(uri, "wrong-5678")
    for error in refused:
        assert "x [2Kok: released" in str(error)
        assert (error.message + error.remedy).isprintable()


def test_a_public_half_that_somebody_exchanged_on_the_token_is_not_given_away(tokens: Tokens) -> None:
    """It takes no PIN to exchange it, and `keys make --existing` vouched for it: who trusts it trusts releases of theirs."""
    token = tokens.make("fw")
    token.make("release")
    forget_tokens()
    pkcs11.unload(token.module)
    session = pkcs11.lib(token.module).get_token(token_label="fw").open(rw=True)
    wanted = {Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY, Attribute.LABEL: "release"}
    (there,) = session.get_objects(wanted)
    named = {one: there[one] for one in (Attribute.ID, Attribute.EC_PARAMS, Attribute.KEY_TYPE)}
    there.destroy()
    theirs = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    kept = {Attribute.TOKEN: True, Attribute.PRIVATE: False, Attribute.EC_POINT: b"\x04\x20" + theirs}
    session.create_object(wanted | named | kept)
    session.close()
    pkcs11.unload(token.module)
    with pytest.raises(UsageError, match="does not verify under its public key"):
        existing_key(token.uri("release"), HERE, lambda _name: PIN)


def test_a_wrong_pin_is_not_tried_again_through_another_module(tokens: Tokens, tmp_path: Path) -> None:
    """As of OpenSC's module and p11-kit's: a role's wrong PIN was tried once more for each module that leads to the token."""
    token = tokens.make("fw")
    public = token.make("release")
    forget_tokens()
    pkcs11.unload(token.module)
    other = shutil.copy(token.module, tmp_path / "other.so")
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return "wrong-5678"

    for module in (token.module, str(other)):
        with pytest.raises(PinRefusedError):
            load_signer(f"pkcs11:token=fw;object=release?module-path={module}", public, HERE, ask)
    pkcs11.unload(str(other))
    assert asked == ["fw"]


FUNCTIONS = {
    "C_Initialize": 0,
    "C_GetSlotList": 4,
    "C_GetMechanismList": 7,
    "C_CloseSession": 13,
    "C_Login": 18,
    "C_GetAttributeValue": 24,
    "C_FindObjects": 27,
    "C_SignInit": 42,
    "C_Sign": 43,
    "C_GenerateKeyPair": 59,
}
SIGN = "sign(load_signer(sys.argv[1], key, Path()), key, b'data')"
MAKE = "make_key(sys.argv[1].replace('object=release', 'object=new'), ED25519, Path())"


def at_hostile_module(tokens: Tokens, folder: Path, at: str, act: str = SIGN, **answer: str) -> tuple[str, str]:
    """Try something twice in a process, by a module that is hostile at a function; what is told each time, and of what kind."""
    token = tokens.make("fw")
    public = token.make("release")
    module, key = folder / "hostile.so", folder / "key.pem"
    source = Path(__file__).with_name("hostile_module.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(module), str(source), "-ldl"], check=True)
    key.write_bytes(public.pem)
    program = (
        "import sys; from pathlib import Path; from devicepipe import peers; peers.PATIENCE = 1\n"
        "from devicepipe.errors import DevicepipeError; from devicepipe.signing.keys import *\n"
        "from devicepipe.signing.hsm import make_key\n"
        "key = PublicKey.load(Path(sys.argv[2]))\n"
        "for _ in range(2):\n"
        f"    try: {act}\n"
        "    except DevicepipeError as error: print(type(error).__name__, error.message)"
    )
    uri = f"pkcs11:token=fw;object=release?module-path={module}&pin-source=fd:0"
    known = {"HOSTILE_REAL": token.module, "HOSTILE_HANG": str(FUNCTIONS[at]), "HOSTILE_CALLS": str(folder / "calls")}
    done = subprocess.run(
        [sys.executable, "-c", program, uri, str(key)],
        input=PIN, capture_output=True, text=True, check=False, timeout=30, env=os.environ | known | answer,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    return first, second


@pytest.mark.parametrize("at", sorted(FUNCTIONS.keys() - {"C_CloseSession", "C_GenerateKeyPair", "C_GetMechanismList"}))
def test_a_module_that_hangs_holds_nobody(tokens: Tokens, tmp_path: Path, at: str) -> None:
    """It held the command for ever, and Ctrl-C did not end that."""
    first, _ = at_hostile_module(tokens, tmp_path, at)
    assert first == "BenchError the PKCS #11 module of pkcs11:token=fw;object=release has not answered in 1 s"


@pytest.mark.parametrize("at", ["C_CloseSession", "C_GetAttributeValue", "C_GenerateKeyPair"])
def test_a_module_that_hangs_while_a_key_is_made_holds_nobody(tokens: Tokens, tmp_path: Path, at: str) -> None:
    """Only opening, login, search and signature were bounded."""
    first, _ = at_hostile_module(tokens, tmp_path, at, MAKE)
    assert first == "BenchError the PKCS #11 module of pkcs11:token=fw;object=new has not answered in 1 s"


def test_an_answer_that_cannot_be_understood_is_an_error_of_the_token(tokens: Tokens, tmp_path: Path) -> None:
    """A module that says it succeeded, and gave nothing (here: mechanisms), ended `keys make` in a traceback."""
    first, _ = at_hostile_module(tokens, tmp_path, "C_GetMechanismList", MAKE, HOSTILE_ANSWER="0x0")
    assert first.startswith(
        "BenchError the PKCS #11 module of pkcs11:token=fw;object=new answers what cannot be understood"
    )


@pytest.mark.parametrize("code", ["", "0x5", "0x6", "0x30"])
def test_a_pin_is_not_given_again_to_a_token_that_does_not_say_what_was_wrong(
    tokens: Tokens, tmp_path: Path, code: str
) -> None:
    """CKR_GENERAL_ERROR, FUNCTION_FAILED or DEVICE_ERROR, or nothing: `refresh` gave the PIN again for the next role."""
    told = at_hostile_module(tokens, tmp_path, "C_Login", **({"HOSTILE_ANSWER": code} if code else {}))
    assert (tmp_path / "calls").read_text() == "!"
    assert told[1].startswith("PinRefusedError the token 'fw' does not take the PIN: ")
