"""Time-stamping authorities and OpenID providers that drip, or answer what no client of Python's takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from devicepipe import peers
from devicepipe.approval import oidc
from devicepipe.errors import BenchError
from devicepipe.signing.time_stamps import TimeStampAuthority
from tests.hostile_peers import Answer, drip_body, drip_header, peer

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Ask = Callable[[str], object]
ASKED: list[Ask] = [lambda url: TimeStampAuthority(url, ()).answer(b"request"), oidc._json]


@pytest.mark.parametrize("ask", ASKED, ids=["tsa", "oidc"])
@pytest.mark.parametrize("answer", [drip_header, drip_body])
def test_a_peer_that_drips_holds_nobody(ask: Ask, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PATIENCE", 1)
    with peer(answer) as (url, _), pytest.raises(BenchError, match="has not answered in 1 s"):
        ask(url)


@pytest.mark.parametrize("ask", ASKED, ids=["tsa", "oidc"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nwhat",
        b"HTTP/1.1 302 Go\r\nLocation: http://[::\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 \x1b[2J\rerror: forged\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: \x1b[2Jx/y\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["chunk", "address", "reason", "type"],
)
def test_an_answer_that_nobody_takes_is_one_line_and_no_defect(ask: Ask, answer: bytes) -> None:
    """A negative length and a redirect to no address were told as defects; a reason could clear the screen and forge a line."""
    with peer(lambda link, _: link.sendall(answer)) as (url, _), pytest.raises(BenchError) as caught:
        ask(url)
    assert caught.value.message.isprintable()
