"""Logging in at a provider: a fresh login by its own signed word is taken, whatever else comes back is refused and says why."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from devicepipe.approval.oidc import Login, Provider, log_in
from devicepipe.errors import BenchError, IntegrityError, UsageError
from tests.approval.provider import Claims, Running, provider
from tests.hostile_peers import peer, says

PATIENCE = 60.0


@pytest.fixture
def running() -> Iterator[Running]:
    with provider() as found:
        yield found


def test_somebody_who_logs_in_is_known_by_the_providers_word(running: Running) -> None:
    login = log_in(running.provider, running.browser, PATIENCE)
    assert (login.issuer, login.subject, running.verified) == (running.issuer, "quinn@example.com", 1)
    assert abs(login.on - datetime.now(UTC)) < timedelta(minutes=1)
    assert len(login.token) == 64


def test_the_address_asks_for_a_fresh_login_with_pkce_and_an_answer_on_this_machine(running: Running) -> None:
    shown: list[str] = []

    def browser(address: str) -> None:
        shown.append(address)
        running.browser(address)

    log_in(running.provider, browser, PATIENCE)
    asked = {key: value[0] for key, value in parse_qs(urlsplit(shown[0]).query).items()}
    assert (asked["prompt"], asked["max_age"], asked["code_challenge_method"]) == ("login", "0", "S256")
    assert urlsplit(asked["redirect_uri"]).hostname == "127.0.0.1"
    assert min(len(asked[one]) for one in ("state", "nonce", "code_challenge")) >= 43


def test_a_login_comes_from_a_provider_only() -> None:
    with pytest.raises(TypeError):
        Login("https://login.example.com", "quinn", datetime.now(UTC), "ab" * 32, object())


def without(name: str) -> Callable[[Claims], Claims]:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


def instead(**values: Any) -> Callable[[Claims], Claims]:
    return lambda claims: claims | values


BAD: dict[str, tuple[Callable[[Claims], Claims], str]] = {
    "another client": (instead(aud="another"), "does not hold"),
    "another client among ours": (instead(aud=["devicepipe", "another"]), "issued to another client"),
    "issued to another client": (instead(azp="another"), "issued to another client"),
    "another issuer": (instead(iss="https://login.example.com"), "does not hold"),
    "another request": (instead(nonce="0" * 43), "answers another request"),
    "expired": (instead(exp=int(time.time()) - 3600), "does not hold"),
    "not yet": (instead(iat=int(time.time()) + 3600), "does not hold"),
    "an earlier login": (instead(auth_time=int(time.time()) - 3600), "about an earlier login"),
    "a login at no time": (instead(auth_time="now"), "about an earlier login"),
    "a login to come": (instead(auth_time=int(time.time()) + 3600), "about a login to come"),
    "a login at a time that no calendar has": (instead(auth_time=10**30), "about a login to come"),
    "a request that no text is": (instead(nonce="\ud800"), "answers another request"),
    "somebody who cannot be seen": (instead(sub="\u3164"), "does not say who"),
    "nobody": (instead(sub=""), "does not say who"),
    "somebody who cannot be printed": (instead(sub="quinn\x1b[2J"), "does not say who"),
    **{f"no {name}": (without(name), "does not hold") for name in ("iss", "sub", "aud", "exp", "iat", "nonce", "auth_time")},
}  # fmt: skip


def test_a_token_that_is_signed_anew_by_a_published_key_is_taken(running: Running) -> None:
    running.resign = True
    assert log_in(running.provider, running.browser, PATIENCE).subject == "quinn@example.com"


@pytest.mark.parametrize("story", BAD)
def test_a_token_that_says_something_else_is_refused(running: Running, story: str) -> None:
    running.claims, why = BAD[story]
    with pytest.raises(IntegrityError, match=why) as caught:
        log_in(running.provider, running.browser, PATIENCE)
    assert caught.value.link == running.issuer


@pytest.mark.parametrize("algorithm", ["none", "HS256", "disguised"])
def test_a_token_that_anybody_could_have_made_is_refused(running: Running, algorithm: str) -> None:
    running.resign, running.algorithm = True, algorithm
    with pytest.raises(IntegrityError, match="not signed by exactly one of its keys"):
        log_in(running.provider, running.browser, PATIENCE)


def test_a_token_by_a_key_that_is_not_the_providers_is_refused(running: Running) -> None:
    running.resign = running.unknown = True
    with pytest.raises(IntegrityError, match="not signed by exactly one of its keys"):
        log_in(running.provider, running.browser, PATIENCE)


def test_who_is_denied_is_told_so(running: Running) -> None:
    running.who = None
    with pytest.raises(UsageError, match="refused the login"):
        log_in(running.provider, running.browser, PATIENCE)


def test_an_answer_to_another_request_is_not_listened_to(running: Running) -> None:
    refused: list[int] = []

    def browser(address: str) -> None:
        answer = parse_qs(urlsplit(address).query)["redirect_uri"][0]
        thread = threading.Thread(target=attack, args=(answer, address))
        thread.start()
        running.browsers.append(thread)

    def attack(answer: str, address: str) -> None:
        for query in ("?code=stolen&state=guessed", "?code=stolen", "/elsewhere"):
            try:
                urllib.request.urlopen(answer + query, timeout=30).close()
            except urllib.error.HTTPError as error:
                refused.append(error.code)
                error.close()
        running._open(address)

    assert log_in(running.provider, browser, PATIENCE).subject == "quinn@example.com"
    assert refused == [400, 400, 400]


@pytest.mark.parametrize("sent", [b"", b"G"])
def test_a_connection_that_said_nothing_held_up_the_answer(running: Running, sent: bytes) -> None:
    """A browser opens one in advance; and who sent a byte now and then could keep a login waiting without an end."""
    with ExitStack() as connections:

        def browser(address: str) -> None:
            answer = urlsplit(parse_qs(urlsplit(address).query)["redirect_uri"][0])
            silent = socket.create_connection((answer.hostname, answer.port))
            connections.enter_context(silent).sendall(sent)
            running.browser(address)

        assert log_in(running.provider, browser, patience=20).subject == "quinn@example.com"


def test_a_code_without_its_verifier_is_worth_nothing(running: Running) -> None:
    def browser(address: str) -> None:
        asked = parse_qs(urlsplit(address).query)["code_challenge"][0]
        running.browser(address.replace(asked, "A" * 43))

    with pytest.raises(UsageError, match="the code_verifier is wrong"):
        log_in(running.provider, browser, PATIENCE)


def test_nobody_waits_for_ever(running: Running) -> None:
    with pytest.raises(UsageError, match="nobody logged in"):
        log_in(running.provider, lambda _: None, patience=0.01)


@pytest.mark.parametrize(
    ("about", "error", "why"),
    [
        ({"issuer": "https://other.example.com"}, IntegrityError, "says to be"),
        ({"token_endpoint": "http://example.com/token"}, UsageError, "is no https address"),
        ({"jwks_uri": "file:///etc/passwd"}, UsageError, "is no https address"),
        ({"authorization_endpoint": None}, BenchError, "tells no authorization_endpoint"),
    ],
)
def test_a_provider_that_leads_elsewhere_is_refused(
    running: Running, about: dict[str, Any], error: type[Exception], why: str
) -> None:
    running.about = about
    with pytest.raises(error, match=why):
        log_in(running.provider, running.browser, PATIENCE)


def test_a_code_goes_to_no_address_that_was_not_checked(running: Running) -> None:
    running.about = {"token_endpoint": f"{running.issuer}/moved"}
    with pytest.raises(UsageError, match="moved refused the login"):
        log_in(running.provider, running.browser, PATIENCE)
    assert running.verified == 0


def test_an_answer_that_is_nested_without_an_end_was_a_defect_of_devicepipe() -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(says("200 OK", b"[" * 200_000))

    with peer(answer) as (address, _), pytest.raises(BenchError, match="sends no JSON object"):
        log_in(Provider(address, "devicepipe"), lambda _: None)


def test_mistakes_are_told() -> None:
    with pytest.raises(UsageError, match="is no https address"):
        log_in(Provider("http://login.example.com", "devicepipe"), lambda _: None)
    with provider() as running:
        gone = running.provider
        with pytest.raises(BenchError, match="404"):
            log_in(Provider(f"{running.issuer}/nowhere", "devicepipe"), lambda _: None)
    with pytest.raises(BenchError, match="cannot be reached"):
        log_in(gone, lambda _: None)
