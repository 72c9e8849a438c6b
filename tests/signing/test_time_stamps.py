"""Time-stamps: those of the trusted authority for this request are taken, whatever else comes back is refused and says why."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import algos, tsp
from rfc3161_client import decode_timestamp_response

from devicepipe.errors import BenchError, DevicepipeError, IntegrityError, UsageError
from devicepipe.signing.time_stamps import TimeStampAuthority
from tests.signing.tsa import Tsa, tsa


def request(message: bytes = b"what was there", nonce: int = 4711) -> bytes:
    imprint = {
        "hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
        "hashed_message": hashlib.sha256(message).digest(),
    }
    made: bytes = tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "cert_req": True, "nonce": nonce}).dump()
    return made


def ask(running: Tsa, asked: bytes | None = None, root: Path | None = None) -> bytes:
    return TimeStampAuthority.load(running.url, root or running.root).answer(asked or request())


def test_a_time_stamp_of_the_trusted_authority_is_taken(tmp_path: Path) -> None:
    with tsa(tmp_path / "tsa") as running:
        reply = decode_timestamp_response(ask(running))
    assert reply.tst_info.message_imprint.message == hashlib.sha256(b"what was there").digest()


def test_one_of_an_authority_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    with tsa(tmp_path / "tsa") as running, tsa(tmp_path / "other") as other:
        with pytest.raises(IntegrityError, match="its time-stamp does not hold") as caught:
            ask(running, root=other.root)
        assert caught.value.link == running.url


@pytest.mark.parametrize("settings", [{"usage": False}, {"critical": False}, {"days": 5}])
def test_one_by_a_certificate_that_is_not_for_it_or_not_in_force_is_refused(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with tsa(tmp_path / "tsa", **settings) as running, pytest.raises(DevicepipeError) as caught:
        ask(running)
    assert isinstance(caught.value, IntegrityError | BenchError)


@pytest.mark.parametrize("other", [request(b"something else"), request(nonce=4712)], ids=["digest", "nonce"])
def test_one_of_another_request_is_refused(tmp_path: Path, other: bytes) -> None:
    with tsa(tmp_path / "tsa") as running:
        earlier = ask(running, other)
        running.change = lambda _: earlier
        with pytest.raises(IntegrityError, match="its time-stamp does not hold"):
            ask(running)


def _flip(reply: bytes) -> bytes:
    return reply[:-10] + bytes([reply[-10] ^ 1]) + reply[-9:]


@pytest.mark.parametrize("change", [_flip, lambda _: b"no reply", lambda reply: reply[:-5], lambda _: b""])
def test_one_that_is_damaged_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    with tsa(tmp_path / "tsa") as running:
        running.change = change
        with pytest.raises(IntegrityError) as caught:
            ask(running)
        assert caught.value.link == running.url


def test_an_authority_that_refuses_is_told_as_that(tmp_path: Path) -> None:
    with (
        tsa(tmp_path / "tsa", digests="sha512") as running,
        pytest.raises(BenchError, match=r"refuses: .*digest algorithm is not supported"),
    ):
        ask(running)


def test_what_is_no_authority_is_told_as_that(tmp_path: Path) -> None:
    with tsa(tmp_path / "tsa") as running:
        running.content_type = "text/html"
        with pytest.raises(BenchError, match="text/html instead of application/timestamp-reply"):
            ask(running)
        running.content_type, running.change = "application/timestamp-reply", lambda reply: reply + bytes(1024 * 1024)
        with pytest.raises(BenchError, match="more than 1048576 bytes"):
            ask(running)
    with pytest.raises(BenchError, match=r"failed: .*refused"):
        ask(running)


def test_mistakes_are_told(tmp_path: Path) -> None:
    for url in ("ftp://example.com", "file:///etc/passwd", "tsa.example.com", "https://"):
        with pytest.raises(UsageError, match="is no address of a time-stamping authority"):
            TimeStampAuthority.load(url, tmp_path / "none.pem")
    with pytest.raises(UsageError, match="cannot be read"):
        TimeStampAuthority.load("https://tsa.example.com", tmp_path / "none.pem")
    (tmp_path / "none.pem").write_text("none")
    with pytest.raises(UsageError, match="holds no certificate"):
        TimeStampAuthority.load("https://tsa.example.com", tmp_path / "none.pem")
