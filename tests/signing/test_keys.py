from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.errors import BenchError, UsageError
from devicepipe.signing.keys import (
    DEVELOPMENT_MARKER,
    ECDSA_P256,
    ED25519,
    PublicKey,
    ensure_development_keys,
    load_signer,
    sign,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def public_pem(private: object) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


def write_private(path: Path, private: Private) -> PublicKey:
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return PublicKey.from_pem(public_pem(private))


# --- public keys ---


def test_keyid_is_the_digest_of_the_subject_public_key_info() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    key = PublicKey.from_pem(public_pem(private))
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.keyid == hashlib.sha256(der).hexdigest()
    assert (key.scheme, key.development) == (ED25519, False)


def test_p256_key() -> None:
    key = PublicKey.from_pem(public_pem(ec.generate_private_key(ec.SECP256R1())))
    assert key.scheme == ECDSA_P256


def test_a_development_key_cannot_pass_for_another(tmp_path: Path) -> None:
    pair = ensure_development_keys(tmp_path).release
    stripped = PublicKey.from_pem(pair.public.pem[pair.public.pem.index(b"-----BEGIN") :])
    with pytest.raises(UsageError, match="is a development key"):
        load_signer(pair.uri, stripped, tmp_path)


def test_the_development_marker_is_seen_in_the_public_file_alone(tmp_path: Path) -> None:
    pair = ensure_development_keys(tmp_path / "keys").release
    alone = tmp_path / "alone.pem"
    alone.write_bytes(pair.public_path.read_bytes())
    assert PublicKey.load(alone).development
    assert PublicKey.load(alone) == pair.public
    assert PublicKey.from_pem(pair.public.pem) == pair.public


def test_other_tools_read_a_marked_file(tmp_path: Path) -> None:
    pair = ensure_development_keys(tmp_path).image
    assert isinstance(load_pem_public_key(pair.public_path.read_bytes()), ed25519.Ed25519PublicKey)
    for command in (["pkey", "-pubin", "-in", str(pair.public_path)], ["pkey", "-in", str(pair.private_path)]):
        assert subprocess.run(["openssl", *command, "-noout"], capture_output=True, check=False).returncode == 0


def test_the_marker_after_the_key_or_inside_a_line_does_not_count() -> None:
    pem = public_pem(ed25519.Ed25519PrivateKey.generate())
    marker = DEVELOPMENT_MARKER.encode()
    assert not PublicKey.from_pem(pem + marker + b"\n").development
    assert not PublicKey.from_pem(b"this is no " + marker + b"\n" + pem).development
    assert PublicKey.from_pem(b"Some text\r\n" + marker + b"\r\n" + pem).development


KEYS_THAT_ARE_NONE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"hello\n",
    "two keys": lambda: public_pem(ed25519.Ed25519PrivateKey.generate()) * 2,
    "private key": lambda: ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ),
    "RSA": lambda: public_pem(rsa.generate_private_key(65537, 2048)),
    "DSA": lambda: public_pem(dsa.generate_private_key(1024)),
    "P-384": lambda: public_pem(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": lambda: public_pem(ec.generate_private_key(ec.SECP256K1())),
    "X25519": lambda: public_pem(x25519.X25519PrivateKey.generate()),
    "broken base64": lambda: public_pem(ed25519.Ed25519PrivateKey.generate()).replace(b"MCow", b"M*ow"),
    "huge": lambda: b"x" * 100_000 + public_pem(ed25519.Ed25519PrivateKey.generate()),
}


@pytest.mark.parametrize("make", KEYS_THAT_ARE_NONE.values(), ids=KEYS_THAT_ARE_NONE.keys())
def test_what_is_no_public_key(tmp_path: Path, make: Callable[[], bytes]) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(make())
    with pytest.raises(UsageError) as caught:
        PublicKey.load(path)
    assert caught.value.file == path
    assert caught.value.remedy


def test_no_such_public_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.pem.*No such file"):
        PublicKey.load(tmp_path / "none.pem")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_a_usage_error(data: bytes) -> None:
    with pytest.raises(UsageError):
        PublicKey.from_pem(b"-----BEGIN PUBLIC KEY-----\n" + data + b"\n-----END PUBLIC KEY-----\n")


# --- signatures ---


@pytest.fixture(params=[ED25519, ECDSA_P256])
def private(request: pytest.FixtureRequest) -> Private:
    if request.param == ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("uri", ["file:a.pem", "file2:a.pem", "file:{}/a.pem", "file2:{}/a.pem", "file:./a.pem"])
def test_sign_and_verify(tmp_path: Path, private: Private, uri: str) -> None:
    key = write_private(tmp_path / "a.pem", private)
    signature = sign(load_signer(uri.format(tmp_path), key, tmp_path), key, b"data")
    assert key.verifies(signature, b"data")
    assert not key.verifies(signature, b"Data")
    assert not key.verifies(signature[:-1], b"data")
    assert not key.verifies(signature + b"\0", b"data")
    assert not key.verifies(b"", b"data")


def test_a_path_may_hold_what_a_url_may_not(tmp_path: Path, private: Private) -> None:
    folder = tmp_path / "C# and ? ; %41"
    folder.mkdir()
    key = write_private(folder / "a.pem", private)
    assert sign(load_signer("file:a.pem", key, folder), key, b"data")


def test_the_twin_of_an_ecdsa_signature_is_refused(tmp_path: Path) -> None:
    key = write_private(tmp_path / "a.pem", ec.generate_private_key(ec.SECP256R1()))
    signer = load_signer("file:a.pem", key, tmp_path)
    for number in range(8):  # half of all plain signatures have the larger s
        data = b"data %d" % number
        signature = sign(signer, key, data)
        r, s = decode_dss_signature(signature)
        assert s <= P256_ORDER // 2
        assert key.verifies(signature, data)
        assert not key.verifies(encode_dss_signature(r, P256_ORDER - s), data)
        assert not key.verifies(signature + b"\0", data)


def test_an_ecdsa_signature_in_another_der_is_refused(tmp_path: Path) -> None:
    key = write_private(tmp_path / "a.pem", ec.generate_private_key(ec.SECP256R1()))
    signature = sign(load_signer("file:a.pem", key, tmp_path), key, b"data")
    assert not key.verifies(b"\x30\x81" + signature[1:], b"data")  # long form of the length
    assert not key.verifies(signature[2:], b"data")


REFUSED_URIS = {
    "no scheme": "a.pem",
    "unknown scheme": "ftp:a.pem",
    "no such file": "file:none.pem",
    "a folder": "file:.",
    "not a key": "file:text.pem",
    "a public key": "file:public.pem",
    "another key": "file:other.pem",
    "another kind of key": "file:rsa.pem",
    "encrypted": "file:encrypted.pem",
}


@pytest.mark.parametrize("uri", REFUSED_URIS.values(), ids=REFUSED_URIS.keys())
def test_signers_that_are_refused(tmp_path: Path, uri: str) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    key = write_private(tmp_path / "a.pem", private)
    write_private(tmp_path / "other.pem", ed25519.Ed25519PrivateKey.generate())
    (tmp_path / "text.pem").write_text("hello")
    (tmp_path / "public.pem").write_bytes(key.pem)
    (tmp_path / "rsa.pem").write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "encrypted.pem").write_bytes(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(UsageError):
        load_signer(uri, key, tmp_path)


def test_a_signer_whose_library_or_device_is_missing_is_the_worlds_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    key = write_private(tmp_path / "a.pem", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises((BenchError, UsageError)):
        load_signer("hsm:2?label=x", key, tmp_path)


def test_a_signer_of_another_key_is_found_out_when_it_signs(tmp_path: Path) -> None:
    key = write_private(tmp_path / "a.pem", ed25519.Ed25519PrivateKey.generate())
    other = write_private(tmp_path / "b.pem", ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(UsageError, match="does not verify"):
        sign(load_signer("file:b.pem", other, tmp_path), key, b"data")


# --- development keys ---


def test_development_keys_are_made_once(tmp_path: Path) -> None:
    first, again = (ensure_development_keys(tmp_path / "deep" / "keys") for _ in range(2))
    assert first.made
    assert not again.made
    assert (first.image.public, first.release.public) == (again.image.public, again.release.public)
    assert first.image.public.keyid != first.release.public.keyid
    assert first.image.public.development
    data = sign(first.release.signer(), first.release.public, b"data")
    assert again.release.public.verifies(data, b"data")


def test_development_keys_are_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        keys = ensure_development_keys(tmp_path / "keys")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE(keys.image.private_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.release.private_path.stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [
        "image.key.pem",
        "image.pub.pem",
        "release.key.pem",
        "release.pub.pem",
    ]


def test_a_private_key_that_others_could_read_is_closed(tmp_path: Path) -> None:
    keys = ensure_development_keys(tmp_path)
    keys.image.private_path.chmod(0o644)
    ensure_development_keys(tmp_path)
    assert stat.S_IMODE(keys.image.private_path.stat().st_mode) == 0o600


def test_processes_at_once_end_with_one_key_pair(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from devicepipe.signing.keys import ensure_development_keys\n"
        "sys.stdin.read(1)\n"
        "keys = ensure_development_keys(Path(sys.argv[1]))\n"
        "sys.stdout.write(keys.image.public.keyid + keys.release.public.keyid)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "keys")]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    with ThreadPoolExecutor(len(running)) as pool:
        results = {out for out, _ in pool.map(lambda process: process.communicate("x", timeout=60), running)}
    assert len(results) == 1
    assert len(results.pop()) == 128


def test_threads_at_once_end_with_one_key_pair(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: ensure_development_keys(tmp_path / "keys"), range(64)))
    assert len({(keys.image.public, keys.release.public) for keys in made}) == 1


def test_a_lost_public_half_comes_back(tmp_path: Path) -> None:
    first = ensure_development_keys(tmp_path)
    first.image.public_path.unlink()
    assert ensure_development_keys(tmp_path).image.public == first.image.public


SPOILED_KEYS: dict[str, Callable[[Path], object]] = {
    "private key is text": lambda folder: (folder / "image.key.pem").write_text("hello"),
    "private key is empty": lambda folder: (folder / "image.key.pem").write_text(""),
    "private key is another kind": lambda folder: write_private(
        folder / "image.key.pem", ec.generate_private_key(ec.SECP256R1())
    ),
    "public key is another one": lambda folder: (folder / "image.pub.pem").write_bytes(
        (folder / "release.pub.pem").read_bytes()
    ),
    "public key lost its marker": lambda folder: (folder / "image.pub.pem").write_bytes(
        (folder / "image.pub.pem").read_bytes().split(b"\n", 1)[1]
    ),
}


@pytest.mark.parametrize("spoil", SPOILED_KEYS.values(), ids=SPOILED_KEYS.keys())
def test_spoiled_development_keys(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    ensure_development_keys(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UsageError) as caught:
        ensure_development_keys(tmp_path)
    assert caught.value.file is not None
    assert caught.value.file.name.startswith("image.")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    with pytest.raises(UsageError):
        ensure_development_keys(tmp_path / "keys")
