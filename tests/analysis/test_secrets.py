"""Secrets: what is found and what is not, own keys in every form, and scanners that are off."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from intelhex import IntelHex

from devicepipe.analysis import gitleaks, secrets
from devicepipe.analysis.secrets import Hit, Search, planted, unproven
from devicepipe.errors import BenchError, UsageError
from devicepipe.signing.intel_hex import hex_text
from devicepipe.signing.private_forms import private_forms

ROOT = Path(__file__).parents[2]
Key = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
KEYS: dict[str, Key] = {
    "ed25519": Ed25519PrivateKey.generate(),
    "ec": generate_private_key(SECP256R1()),
    "rsa": generate_rsa(65537, 2048),
}


def pem_of(kind: str, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return KEYS[kind].private_bytes(Encoding.PEM, form, NoEncryption())


def der_of(kind: str) -> bytes:
    return KEYS[kind].private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def test_every_rule_finds_what_was_planted_for_it() -> None:
    assert unproven() == []
    assert planted().keys() == secrets._RULES.keys()


@pytest.mark.parametrize("rule", list(secrets._RULES))
def test_a_planted_secret_is_found_with_its_line(rule: str) -> None:
    secret = planted()[rule]
    hits = Search(()).file("config.txt", b"first = 1\nsecond = '" + secret + b"'\n")
    assert rule in {hit.rule for hit in hits}
    if b"\0" not in secret:
        assert min(hit.line for hit in hits) == 2


@pytest.mark.parametrize(
    "harmless",
    [
        KEYS["ec"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        KEYS["ed25519"].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n",
        b"AKIA is the prefix of a key; ghp_ too; sk_live_ and npm_ci",
        bytes(range(256)) * 16,
        b"",
    ],
    ids=[
        "public key",
        "public key in DER",
        "empty key",
        "prefixes",
        "all bytes",
        "nothing",
    ],  # keys differ in each process
)
def test_what_is_no_secret_is_not_found(harmless: bytes) -> None:
    assert Search(()).file("x", harmless) == []


@pytest.mark.parametrize("kind", list(KEYS))
def test_an_own_key_is_found_in_every_form(kind: str) -> None:
    search = Search(private_forms(pem_of(kind)))
    for data in (
        pem_of(kind),
        pem_of(kind, PrivateFormat.TraditionalOpenSSL) if kind != "ed25519" else pem_of(kind, PrivateFormat.OpenSSH),
        der_of(kind),
        der_of(kind).hex().encode(),
        base64.b64encode(b"x" + der_of(kind)),
        base64.urlsafe_b64encode(b"x" + der_of(kind)),
        "unsigned char k[] = {{{}}};".format(", ".join(f"0x{byte:02X}u" for byte in der_of(kind))).encode(),
        ",\n    ".join(f"0x{byte:x}" for byte in der_of(kind)).encode(),
        "k = [{}]".format(",".join(str(byte) for byte in der_of(kind))).encode(),
        der_of(kind).hex(":").encode(),
        der_of(kind).hex(" ").upper().encode(),
        "\n    ".join(der_of(kind)[at : at + 15].hex(":") + ":" for at in range(0, 1200, 15)).encode(),
        "".join(f"\\x{byte:02x}" for byte in der_of(kind)).encode(),
    ):
        assert "own-key" in {hit.rule for hit in search.file("x", b"before" + data)}
    other = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert "own-key" not in {hit.rule for hit in search.file("x", other)}


def test_a_key_in_an_intel_hex_file_is_found() -> None:
    image = IntelHex()
    image.puts(0x8000, b"\xff" * 7 + der_of("ed25519")[-32:])
    search = Search(private_forms(pem_of("ed25519")))
    assert search.file("factory.hex", hex_text(image).encode()) == [Hit("factory.hex", 0, "own-key")]


def test_what_is_no_key_cannot_be_searched_for() -> None:
    with pytest.raises(UsageError, match="no unencrypted PEM private key"):
        private_forms(b"hello")


def test_a_rule_that_finds_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    monkeypatch.setattr(secrets, "_RULES", {**secrets._RULES, "aws-key": re.compile(b"never")})
    assert unproven() == ["aws-key"]


FAKE = """#!/bin/sh
[ "$1" = version ] && echo 8.21.2 && exit 0
while [ $# -gt 0 ]; do
  [ "$1" = --source ] && source="$2"
  [ "$1" = --report-path ] && report="$2"
  shift
done
case "$source" in
*/planted) {planted} ;;
*) {product} ;;
esac
"""
ENTRY = json.dumps([{"RuleID": "private-key", "File": "key.pem", "StartLine": 1, "Secret": "REDACTED"}])
FINDS = f"echo '{ENTRY}' > \"$report\""
NOTHING = "echo '[]' > \"$report\""


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str, product: str) -> None:
    tool = tmp_path / "bin" / "gitleaks"
    tool.parent.mkdir()
    tool.write_text(FAKE.format(planted=planted, product=product), encoding="ascii")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")


def test_gitleaks_findings_name_files_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = 'echo "[{\\"RuleID\\": \\"aws\\", \\"File\\": \\"$source/src/a.c\\", \\"StartLine\\": 7}]" > "$report"'
    install(tmp_path, monkeypatch, FINDS, found)
    report = gitleaks.search(tmp_path / "tree", tmp_path / "work")
    assert report is not None
    assert (report.hits, report.tool.version) == ([Hit("src/a.c", 7, "aws")], "8.21.2")


@pytest.mark.parametrize(
    ("planted", "product", "message"),
    [
        (NOTHING, NOTHING, "did not report the planted private key"),
        (FINDS, ":", "left no readable report"),
        (FINDS, "echo '{}' > \"$report\"; echo '[{}]' > \"$report\"", "left no readable report"),
    ],
)
def test_gitleaks_that_does_not_really_run_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str, product: str, message: str
) -> None:
    install(tmp_path, monkeypatch, planted, product)
    with pytest.raises(BenchError, match=message):
        gitleaks.search(tmp_path / "tree", tmp_path / "work")


def test_gitleaks_that_is_not_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gitleaks.search(tmp_path, tmp_path / "work") is None


def test_this_repository_holds_no_secret() -> None:
    folders = [ROOT / name for name in ("devicepipe", "firmware/src", "tests", "hil", "docs", "boards", "requirements")]
    files = [
        path for folder in folders for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    search = Search(())
    assert [hit for path in files for hit in search.file(str(path.relative_to(ROOT)), path.read_bytes())] == []
