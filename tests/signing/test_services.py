"""Signers of services, driven through the vendors' own clients against simulated peers: no cloud has been asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devicepipe.errors import BenchError, UsageError
from devicepipe.signing.image import sign_image
from devicepipe.signing.keys import ECDSA_P256, ED25519, load_signer, sign
from tests.signing.service_peers import ACCESS_KEY, KMS_KEY, VAULT_TOKEN, Peer, simulated_kms, simulated_vault

HERE = Path()
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Peer]:
    with simulated_kms() as peer:
        for name, value in {
            "AWS_ENDPOINT_URL_KMS": peer.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # which keeps the credentials that it found first
        yield peer


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    with simulated_vault() as peer:
        monkeypatch.setenv("VAULT_ADDR", peer.url)
        monkeypatch.setenv("VAULT_TOKEN", VAULT_TOKEN)
        yield peer


def test_kms_signs_what_the_public_key_verifies(kms: Peer) -> None:
    signer = load_signer(f"awskms:{KMS_KEY}", kms.public, HERE)
    assert kms.public.scheme == ECDSA_P256
    for number in range(4):  # half of all ECDSA signatures come in the form that is not ours
        data = b"data %d" % number
        assert kms.public.verifies(sign(signer, kms.public, data), data)
    assert kms.asked == ["TrentService.Sign"] * 4


def test_kms_with_another_public_key(kms: Peer) -> None:
    with simulated_kms() as other, pytest.raises(UsageError, match="does not verify under its public key"):
        sign(load_signer(f"awskms:{KMS_KEY}", other.public, HERE), other.public, b"data")


def test_kms_without_the_right(kms: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
    with pytest.raises(BenchError, match="AccessDenied") as caught:
        sign(load_signer(f"awskms:{KMS_KEY}", kms.public, HERE), kms.public, b"data")
    assert SECRET not in str(caught.value)


def test_kms_without_such_a_key(kms: Peer) -> None:
    with pytest.raises(BenchError, match="Key does not exist"):
        sign(load_signer("awskms:alias/none", kms.public, HERE), kms.public, b"data")


def test_kms_that_cannot_be_reached(kms: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    with pytest.raises(BenchError, match="signer failed"):
        sign(load_signer(f"awskms:{KMS_KEY}", kms.public, HERE), kms.public, b"data")


def test_kms_without_a_region(kms: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(BenchError, match="region"):
        load_signer(f"awskms:{KMS_KEY}", kms.public, HERE)


def test_vault_signs_an_image(vault: Peer, tmp_path: Path) -> None:
    binary = tmp_path / "application.bin"
    binary.write_bytes(b"\x7f" * 2000)
    signer = load_signer("hv:release/2", vault.public, HERE)
    assert vault.public.scheme == ED25519
    made = sign_image(
        binary,
        tmp_path / "signed.bin",
        signer=signer,
        public_key=vault.public,
        version="1.2.3",
        security_counter=1,
        header_size=512,
        slot_size=0x8000,
        align=4,
    )
    assert made.keyid == vault.public.keyid


def test_vault_with_another_version_of_the_key(vault: Peer) -> None:
    with pytest.raises(UsageError, match="does not verify under its public key"):
        sign(load_signer("hv:release/1", vault.public, HERE), vault.public, b"data")


def test_vault_without_the_right(vault: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "hvs.another")
    with pytest.raises(BenchError, match="permission denied") as caught:
        sign(load_signer("hv:release/2", vault.public, HERE), vault.public, b"data")
    assert "hvs.another" not in str(caught.value)


def test_vault_without_such_a_key(vault: Peer) -> None:
    with pytest.raises(BenchError, match="signing key not found"):
        sign(load_signer("hv:none/1", vault.public, HERE), vault.public, b"data")


@pytest.mark.parametrize("uri", ["hv:release", "hv:release/x", "hv:a/b/1"])
def test_a_vault_uri_that_is_none(vault: Peer, uri: str) -> None:
    with pytest.raises(UsageError, match="refuses its URI"):
        load_signer(uri, vault.public, HERE)
