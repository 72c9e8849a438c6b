"""Keys on a real token: SoftHSM2."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pkcs11.util.ec import decode_ec_private_key, encode_named_curve_parameters

from devicepipe.errors import BenchError, DevicepipeError, UsageError
from devicepipe.signing.hsm import PinRefusedError, Pkcs11Signer, describe_key, forget_tokens
from devicepipe.signing.image import sign_image, verify_image
from devicepipe.signing.keys import ECDSA_P256, ED25519, PublicKey, load_signer, sign
from devicepipe.signing.secret_sources import forget_secret, variable_of
from tests.signing.softhsm import PIN, Token, Tokens, softhsm_tokens

HERE = Path()
SCHEMES = [ED25519, ECDSA_P256]


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    with softhsm_tokens(tmp_path / "hsm") as made:
        yield made


@pytest.fixture
def token(tokens: Tokens) -> Token:
    return tokens.make("fw")


def other_key() -> PublicKey:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    return PublicKey.from_pem(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def at_token(token: Token, pin: str = PIN) -> Any:
    """A session of the test's own, that may write."""
    forget_tokens()
    pkcs11.unload(token.module)
    return pkcs11.lib(token.module).get_token(token_label=token.label).open(rw=True, user_pin=pin)


# --- what works ---


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sign_and_verify(token: Token, scheme: str) -> None:
    public = token.make("release", scheme)
    signer = load_signer(token.uri("release"), public, HERE)
    assert public.scheme == scheme
    for number in range(4):
        data = b"data %d" % number
        signature = sign(signer, public, data)
        assert public.verifies(signature, data)
        assert not public.verifies(signature, data + b".")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_openssl_verifies_it(token: Token, scheme: str, tmp_path: Path) -> None:
    public = token.make("release", scheme)
    data, made, key = tmp_path / "data", tmp_path / "signature", tmp_path / "key.pem"
    data.write_bytes(b"what is signed")
    key.write_bytes(public.pem)
    made.write_bytes(sign(load_signer(token.uri("release"), public, HERE), public, b"what is signed"))
    how = ["-rawin", *(["-digest", "sha256"] if scheme == ECDSA_P256 else [])]
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key), *how]
    command += ["-in", str(data), "-sigfile", str(made)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    data.write_bytes(b"what is not signed")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_an_image_signed_on_the_token(token: Token, tmp_path: Path) -> None:
    public = token.make("image")
    binary = tmp_path / "application.bin"
    binary.write_bytes(b"\x7f" * 2000)
    made = sign_image(
        binary,
        tmp_path / "signed.bin",
        signer=load_signer(token.uri("image"), public, HERE),
        public_key=public,
        version="1.2.3",
        security_counter=1,
        header_size=512,
        slot_size=0x8000,
        align=4,
    )
    assert made.keyid == public.keyid
    assert verify_image(tmp_path / "signed.bin", public).image_digest == made.image_digest


def test_two_keys_of_one_token_and_many_threads(token: Token) -> None:
    publics = {name: token.make(name, scheme) for name, scheme in (("a", ED25519), ("b", ECDSA_P256))}
    signers = {name: load_signer(token.uri(name), public, HERE) for name, public in publics.items()}

    def one(number: int) -> bool:
        name, data = "ab"[number % 2], b"%d" % number
        return publics[name].verifies(sign(signers[name], publics[name], data), data)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(64)))


def test_a_key_by_its_id_alone(token: Token) -> None:
    public = token.make("release")
    with at_token(token) as session:
        (key,) = session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
        number = key[pkcs11.Attribute.ID]
    text = "".join(f"%{byte:02x}" for byte in number)
    uri = f"pkcs11:token=fw;id={text}?module-path={token.module}"
    assert sign(load_signer(uri, public, HERE, lambda _name: PIN), public, b"data")


def test_a_key_that_was_made_there_says_so(token: Token) -> None:
    public = token.make("release")
    said = describe_key(token.uri("release"), HERE)
    assert (said.made_there, said.token, said.public) == (True, "fw", public.pem)


def test_a_process_of_its_own_signs_and_ends(token: Token, tmp_path: Path) -> None:
    public = token.make("release")
    (tmp_path / "key.pem").write_bytes(public.pem)
    program = (
        "import sys; from pathlib import Path; from devicepipe.signing.keys import *\n"
        "key = PublicKey.load(Path(sys.argv[2])); print(sign(load_signer(sys.argv[1], key, Path()), key, b'data').hex())"
    )
    command = [sys.executable, "-c", program, token.uri("release", "&pin-source=fd:0"), str(tmp_path / "key.pem")]
    done = subprocess.run(command, input=PIN, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert public.verifies(bytes.fromhex(done.stdout), b"data")


# --- the private key stays where it is ---


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_private_key_cannot_be_had(token: Token, scheme: str) -> None:
    token.make("release", scheme)
    with at_token(token) as session:
        (key,) = session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
        assert key[pkcs11.Attribute.NEVER_EXTRACTABLE]
        assert key[pkcs11.Attribute.ALWAYS_SENSITIVE]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]
        wrapping = session.generate_key(pkcs11.KeyType.AES, 256)
        with pytest.raises(pkcs11.PKCS11Error):
            wrapping.wrap_key(key, mechanism=pkcs11.Mechanism.AES_KEY_WRAP_PAD)
        with pytest.raises(pkcs11.PKCS11Error):
            key[pkcs11.Attribute.EXTRACTABLE] = True
    # And without a PIN it is not even seen.
    forget_tokens()
    pkcs11.unload(token.module)
    with pkcs11.lib(token.module).get_token(token_label="fw").open() as session:
        assert not [*session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})]


def brought_in(token: Token, *, extractable: bool, sensitive: bool, label: str = "in") -> PublicKey:
    """A P-256 key of a file, brought into the token."""
    private = ec.generate_private_key(ec.SECP256R1())
    der = private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    with at_token(token) as session:
        session.create_object(
            decode_ec_private_key(der)
            | {
                pkcs11.Attribute.TOKEN: True,
                pkcs11.Attribute.PRIVATE: True,
                pkcs11.Attribute.LABEL: label,
                pkcs11.Attribute.ID: b"\x07",
                pkcs11.Attribute.SIGN: True,
                pkcs11.Attribute.EXTRACTABLE: extractable,
                pkcs11.Attribute.SENSITIVE: sensitive,
            }
        )
    forget_tokens()
    pkcs11.unload(token.module)
    return PublicKey.from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize(("extractable", "sensitive"), [(True, True), (True, False), (False, False)])
def test_a_key_that_can_be_read_out_is_refused(token: Token, extractable: bool, sensitive: bool) -> None:
    public = brought_in(token, extractable=extractable, sensitive=sensitive)
    with pytest.raises(UsageError, match="can be read out of its token"):
        load_signer(token.uri("in"), public, HERE)


def test_a_key_that_was_brought_in_says_so_and_signs(token: Token) -> None:
    public = brought_in(token, extractable=False, sensitive=True)
    assert not describe_key(token.uri("in"), HERE).made_there
    assert sign(load_signer(token.uri("in"), public, HERE), public, b"data")


# --- the wrong key, the wrong token ---


def test_the_public_half_of_another_key(token: Token) -> None:
    token.make("release")
    with pytest.raises(UsageError, match="does not fit the public key"):
        load_signer(token.uri("release"), other_key(), HERE)


def test_the_public_half_of_another_key_where_the_token_has_none(token: Token) -> None:
    brought_in(token, extractable=False, sensitive=True)
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    another = PublicKey.from_pem(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(UsageError, match="does not verify under its public key"):
        load_signer(token.uri("in"), another, HERE)


def test_a_key_of_another_kind(token: Token) -> None:
    token.make("release", ECDSA_P256)
    with pytest.raises(UsageError, match="of the kind EC,"):
        load_signer(token.uri("release"), other_key(), HERE)


def test_no_such_key(token: Token) -> None:
    with pytest.raises(UsageError, match="has no private keys that are pkcs11:token=fw;object=none"):
        load_signer(token.uri("none"), other_key(), HERE)


def test_two_keys_of_one_name(token: Token) -> None:
    for _ in range(2):
        brought_in(token, extractable=False, sensitive=True)
    with pytest.raises(UsageError, match="has 2 private keys"):
        load_signer(token.uri("in"), other_key(), HERE)


def test_a_key_is_not_made_over_another(token: Token) -> None:
    public = token.make("release")
    with pytest.raises(UsageError, match="called 'release' already"):
        token.make("release")
    assert describe_key(token.uri("release"), HERE).public == public.pem


def test_no_such_token(token: Token) -> None:
    uri = token.uri("release").replace("token=fw", "token=other")
    with pytest.raises(BenchError, match="no tokens are those of pkcs11:token=other"):
        load_signer(uri, other_key(), HERE)


def test_two_tokens_of_one_label(tokens: Tokens, token: Token) -> None:
    public = token.make("release")
    serial = pkcs11.lib(token.module).get_token(token_label="fw").serial.decode()
    tokens.make("fw")
    with pytest.raises(BenchError, match="2 tokens"):
        load_signer(token.uri("release"), public, HERE)
    uri = token.uri("release").replace("token=fw", f"token=fw;serial={serial}")
    assert sign(load_signer(uri, public, HERE), public, b"data")


def test_no_such_module(token: Token, tmp_path: Path) -> None:
    (tmp_path / "no-module.so").write_text("hello")
    for path in (tmp_path / "none.so", tmp_path / "no-module.so"):
        with pytest.raises(BenchError, match="cannot be used"):
            load_signer(f"pkcs11:token=fw;object=release?module-path={path}", other_key(), HERE)


def test_a_token_that_goes_away(token: Token) -> None:
    public = token.make("release")
    signer = load_signer(token.uri("release"), public, HERE)
    forget_tokens()
    token.folder.rename(token.folder.with_name("elsewhere"))
    token.folder.mkdir()
    with pytest.raises(BenchError):
        sign(signer, public, b"data")
    token.folder.rmdir()
    token.folder.with_name("elsewhere").rename(token.folder)
    forget_tokens()
    pkcs11.unload(token.module)
    assert sign(signer, public, b"data")


def test_a_key_that_is_deleted(token: Token) -> None:
    public = token.make("release")
    signer = load_signer(token.uri("release"), public, HERE)
    with at_token(token) as session:
        for one in session.get_objects({pkcs11.Attribute.LABEL: "release"}):
            one.destroy()
    forget_tokens()
    pkcs11.unload(token.module)
    with pytest.raises(UsageError, match="no private keys"):
        sign(signer, public, b"data")


# --- the PIN ---


def told(error: DevicepipeError) -> str:
    """All that an error tells, of its causes too."""
    parts: list[str] = []
    one: BaseException | None = error
    while one is not None:
        parts.append(f"{one!s} {one!r}")
        one = one.__cause__ or one.__context__
    return " ".join(parts)


def test_a_wrong_pin_is_tried_once_and_not_told(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    public = token.make("release")
    forget_tokens()
    pkcs11.unload(token.module)
    forget_secret("fw")
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return "wrong-5678"

    with pytest.raises(UsageError, match="does not take the PIN: PinIncorrect") as caught:
        load_signer(token.uri("release"), public, HERE, ask)
    assert asked == ["fw"]
    assert "wrong-5678" not in told(caught.value)
    for secrets in (ask, None):  # no other source is asked either: the token was told no
        monkeypatch.setenv(variable_of("fw"), "wrong-5678")
        with pytest.raises(PinRefusedError, match="does not take the PIN: PinIncorrect"):
            load_signer(token.uri("release"), public, HERE, secrets)
    assert asked == ["fw"]
    forget_tokens()  # as another process
    forget_secret("fw")
    monkeypatch.setenv(variable_of("fw"), PIN)
    assert sign(load_signer(token.uri("release"), public, HERE), public, b"data")


def test_no_pin(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    public = token.make("release")
    forget_tokens()
    forget_secret("fw")
    monkeypatch.delenv(variable_of("fw"), raising=False)
    with pytest.raises(UsageError, match="nobody told the PIN of the token 'fw'"):
        load_signer(token.uri("release"), public, HERE)


def test_the_pin_of_a_source_that_the_uri_names(token: Token, tmp_path: Path) -> None:
    public = token.make("release")
    forget_tokens()
    file = tmp_path / "pin"
    file.write_text(f"{PIN}\n")
    file.chmod(0o600)
    assert sign(load_signer(token.uri("release", f"&pin-source=file:{file}"), public, HERE), public, b"data")


def test_nothing_of_a_signer_shows_the_pin(token: Token) -> None:
    public = token.make("release")
    signer = load_signer(token.uri("release"), public, HERE)
    assert isinstance(signer, Pkcs11Signer)
    assert PIN not in f"{signer!r} {vars(signer)!r} {describe_key(token.uri('release'), HERE)!r}"


# --- encrypted key files ---


@pytest.fixture
def encrypted(tmp_path: Path) -> PublicKey:
    private = ed25519.Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"correct horse"))
    (tmp_path / "release.key.pem").write_bytes(pem)
    forget_secret("release.key.pem")
    return PublicKey.from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_an_encrypted_key_file(encrypted: PublicKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICEPIPE_SECRET_RELEASE_KEY_PEM", "correct horse")
    for _ in range(2):
        assert sign(load_signer("file:release.key.pem", encrypted, tmp_path), encrypted, b"data")
    forget_secret("release.key.pem")
    answers = {"release.key.pem": "correct horse"}
    asked = load_signer("file:release.key.pem", encrypted, tmp_path, answers.__getitem__)
    assert sign(asked, encrypted, b"data")


def test_a_wrong_passphrase(encrypted: PublicKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICEPIPE_SECRET_RELEASE_KEY_PEM", "wrong horse")
    with pytest.raises(UsageError, match="its passphrase is another") as caught:
        load_signer("file:release.key.pem", encrypted, tmp_path)
    assert "wrong horse" not in told(caught.value)
    with pytest.raises(UsageError, match="nobody told the passphrase"):
        load_signer("file:release.key.pem", encrypted, tmp_path)


def test_curves_are_named_as_others_name_them() -> None:
    assert encode_named_curve_parameters("secp256r1").hex() == "06082a8648ce3d030107"
