"""Services that answer what is no answer, or without an end, or elsewhere: the vendors' clients against real sockets."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devicepipe import peers
from devicepipe.errors import BenchError
from devicepipe.signing.keys import PublicKey, load_signer, sign
from tests.hostile_peers import Answer, drip_body, drip_header, peer, says

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TOKEN = "hvs.a-token-of-the-tests"


@pytest.fixture(params=["hv:release/1", "awskms:key"])
def uri(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "VAULT_TOKEN": TOKEN,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    return str(request.param)


def signs(uri: str, address: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    for name in ("VAULT_ADDR", "AWS_ENDPOINT_URL_KMS"):
        monkeypatch.setenv(name, address)
    private = Ed25519PrivateKey.generate() if uri.startswith("hv:") else generate_private_key(SECP256R1())
    public = PublicKey.from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return sign(load_signer(uri, public, Path()), public, b"data")


@pytest.mark.parametrize("answer", [drip_header, drip_body])
def test_a_service_that_drips_holds_nobody(uri: str, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's time-out is none: a byte comes now and then."""
    monkeypatch.setattr(peers, "PATIENCE", 1)
    with peer(answer) as (url, _), pytest.raises(BenchError, match="has not answered in 1 s"):
        signs(uri, url, monkeypatch)


def endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _more in range(200):  # enough to tell it; without the limit it was taken as long as there was memory
        connection.sendall(bytes(1024 * 1024))


@pytest.mark.parametrize("answer", [endless, lambda link, _: link.sendall(says("500 No", bytes(2_000_000)))])
def test_an_answer_without_an_end_is_not_read_to_it(uri: str, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(answer) as (url, _), pytest.raises(BenchError, match="answers with more than 1048576 bytes"):
        signs(uri, url, monkeypatch)


def test_a_small_answer_is_not_unpacked_to_a_large_one(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.4 MB took 2 GB of memory by urllib3 2.5, which unpacks all that it has read."""
    packed = says("200 OK", gzip.compress(bytes(2 * 1024 * 1024)), "Content-Encoding: gzip")
    with (
        peer(lambda link, _: link.sendall(packed)) as (url, asked),
        pytest.raises(BenchError, match="its answer is none that can be understood"),
    ):
        signs(uri, url, monkeypatch)
    assert b"Accept-Encoding: identity" in asked[0]


@pytest.mark.parametrize("status", ["307 Go", "301 Go", "302 Go"])
def test_no_redirect_takes_the_token_elsewhere(uri: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vault's token is in a header of its own, which requests carries to any host and any scheme."""
    with peer(lambda link, _: link.sendall(says("200 OK", b"{}"))) as (other, asked):
        redirect = says(status, b"", f"Location: {other.replace('127.0.0.1', 'localhost')}/v1/elsewhere")
        told = "sends elsewhere, to 'http://localhost" if uri.startswith("hv:") else "signer failed"
        with (
            peer(lambda link, _: link.sendall(redirect)) as (url, _),
            pytest.raises(BenchError, match=told),
        ):
            signs(uri, url, monkeypatch)
    assert asked == []


def test_what_a_service_sends_back_is_told_in_a_line_without_the_token(
    uri: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A proxy's page for those who look for faults shows the request."""
    forged = b"\x1b[2J\nerror: forged"
    with (
        peer(lambda link, asked: link.sendall(says("500 No", asked.partition(b"\r\n\r\n")[0] + forged))) as (
            url,
            asked,
        ),
        pytest.raises(BenchError, match="the signer failed: ") as caught,
    ):
        signs(uri, url, monkeypatch)
    assert (TOKEN.encode() in asked[0]) is uri.startswith("hv:")
    assert TOKEN not in str(caught.value)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "body",
    [b"<html>Log in</html>", b"{}", b"[1]", b"null", b'{"data":', b"[" * 200_000, b'{"Signature":1,"data":{"signature":1}}'],
)  # fmt: skip
def test_what_is_no_answer_is_told_as_that(uri: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was "the signer failed: 'data'", or whatever Python says of what it looked for in vain."""
    with (
        peer(lambda link, _: link.sendall(says("200 OK", body))) as (url, _),
        pytest.raises(BenchError, match="the signer failed: its answer is none that can be understood"),
    ):
        signs(uri, url, monkeypatch)
