"""Logging in at an OpenID provider, which says who somebody is: authorization code with PKCE, answered on this machine.

What always holds of a `Login`: the provider itself said so in an ID token signed by one of its keys, for this client, for this very
request (nonce), and about a login that took place after the request was made: no earlier one of the browser counts. The address
that answers is on the loopback interface, and nothing but an answer to this request (state) is listened to.

Sources: OpenID Connect Core 1.0 (2, 3.1.2, 3.1.3.7), Discovery 1.0 (4.3); RFC 7636 (PKCE, S256), RFC 8252 (7.3), RFC 9207. PyJWT
verifies tokens.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from threading import Thread
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.printed import check_words
from devicepipe.peers import in_one_line, in_time

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What ID tokens may be signed by: keys of which the client has the public half. Never "none", never a shared secret."""
_KINDS: Final = ("RSA", "EC", "OKP")
"""The kinds of keys that have a public half (RFC 7518, RFC 8037)."""
_CLAIMS: Final = ("iss", "sub", "aud", "exp", "iat", "nonce", "auth_time")
_SECONDS: Final = 30
_PATIENCE: Final = 300.0
_CLOCKS: Final = 60  # seconds that the provider's clock and this one may differ
_MAXIMUM: Final = 1024 * 1024
_LONGEST_SUBJECT: Final = 255
_PATH: Final = "/answer"
_PROOF = object()


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider, and what it knows devicepipe as: its issuer identifier and a public client's id."""

    issuer: str
    client_id: str


class Login:
    """That somebody logged in at a provider; there is no other way to one than `log_in`.

    Attributes:
        issuer: The provider.
        subject: Who, as the provider calls them.
        on: When they logged in, by the provider.
        token: The SHA-256 of the ID token that says so.
    """

    __slots__ = ("issuer", "on", "subject", "token")

    def __init__(self, issuer: str, subject: str, on: datetime, token: str, proof: object) -> None:
        if proof is not _PROOF:
            raise TypeError("a Login comes from log_in only")
        self.issuer, self.subject, self.on, self.token = issuer, subject, on, token


def log_in(provider: Provider, show: Callable[[str], None], patience: float = _PATIENCE) -> Login:
    """Have somebody log in.

    Args:
        provider: Where.
        show: Is given the address that the person opens in a browser on this machine.
        patience: How many seconds the person has.

    Raises:
        UsageError: The provider refused the login, nobody logged in in time, or the configuration is wrong.
        BenchError: The provider cannot be reached, or does not speak OpenID Connect.
        IntegrityError: What it says of the login is not to be trusted.
    """
    about = _discover(provider)
    started = datetime.now(UTC)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    with _Answers(state) as answers:
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": answers.address,
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "prompt": "login",
            "max_age": "0",
        }
        mark = "&" if urlsplit(about["authorization_endpoint"]).query else "?"
        show(f"{about['authorization_endpoint']}{mark}{urlencode(query)}")
        answer = answers.wait(patience)
        redirect = answers.address
    if answer.get("iss", provider.issuer) != provider.issuer:
        raise IntegrityError(f"the answer is of {answer['iss'][:200]!r}", link=provider.issuer)
    if "code" not in answer:
        told = answer.get("error_description") or answer.get("error") or "it gave no code"
        raise UsageError(f"{provider.issuer} refused the login: {in_one_line(told)}")
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": redirect,
        "client_id": provider.client_id,
        "code_verifier": verifier,
    }
    token = _json(about["token_endpoint"], urlencode(form).encode()).get("id_token")
    if not isinstance(token, str):
        raise IntegrityError("gave no ID token", link=provider.issuer)
    return _verified(token, provider, _json(about["jwks_uri"]), nonce, started)


def _verified(token: str, provider: Provider, keys: Mapping[str, Any], nonce: str, started: datetime) -> Login:
    """What an ID token says, after everything about it was checked."""
    import jwt

    try:
        header = jwt.get_unverified_header(token)
        known = [key for key in jwt.PyJWKSet.from_dict(dict(keys)).keys if key.key_type in _KINDS]
        wanted = [key for key in known if key.key_id == header.get("kid") or (len(known) == 1 and "kid" not in header)]
        if len(wanted) != 1 or header.get("alg") not in _ALGORITHMS:
            raise IntegrityError(
                "its ID token is not signed by exactly one of its keys, in a way that is taken", link=provider.issuer
            )
        claims: dict[str, Any] = jwt.decode(
            token,
            wanted[0],
            algorithms=[str(header["alg"])],
            audience=provider.client_id,
            issuer=provider.issuer,
            leeway=_CLOCKS,
            options={"require": [*_CLAIMS]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, RuntimeError) as error:  # the last: nested without an end
        raise IntegrityError(f"its ID token does not hold: {error}", link=provider.issuer) from error
    others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if others else provider.client_id) != provider.client_id:
        raise IntegrityError("its ID token was issued to another client", link=provider.issuer)
    if claims["nonce"] != nonce:
        raise IntegrityError("its ID token answers another request", link=provider.issuer)
    at, subject = claims["auth_time"], claims["sub"]
    if not isinstance(at, int) or at < started.timestamp() - _CLOCKS:
        raise IntegrityError("its ID token is about an earlier login", link=provider.issuer)
    if at > datetime.now(UTC).timestamp() + _CLOCKS:
        raise IntegrityError("its ID token is about a login to come", link=provider.issuer)
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not _can_be_seen(subject):
        raise IntegrityError("its ID token does not say who logged in", link=provider.issuer)
    digest = hashlib.sha256(token.encode()).hexdigest()
    return Login(provider.issuer, subject, datetime.fromtimestamp(at, UTC), digest, _PROOF)


def _can_be_seen(subject: str) -> bool:
    try:
        check_words(subject, "the subject")
    except UsageError:
        return False
    return subject.isprintable()


def _discover(provider: Provider) -> dict[str, str]:
    """The addresses of a provider, as it tells them itself."""
    _check_address(provider.issuer, "issuer", provider.issuer)
    about = _json(f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    if about.get("issuer") != provider.issuer:
        raise IntegrityError(f"says to be {str(about.get('issuer'))[:200]!r}", link=provider.issuer)
    found: dict[str, str] = {}
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        address = about.get(name)
        if not isinstance(address, str):
            raise BenchError(f"{provider.issuer} tells no {name}", remedy="check `issuer` of [approval.oidc]")
        _check_address(address, name, provider.issuer)
        found[name] = address
    return found


def _check_address(address: str, name: str, issuer: str) -> None:
    """Over https; without it only what never leaves this machine."""
    parts = urlsplit(address)
    local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise UsageError(
            f"{name} of {issuer}: '{address}' is no https address", remedy="check `issuer` of [approval.oidc]"
        )


class _Here(urllib.request.HTTPRedirectHandler):
    """No address leads elsewhere: a code is for the address that was checked."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: what would lead elsewhere is an error."""


_OPENER: Final = urllib.request.build_opener(_Here)


def _json(address: str, form: bytes | None = None) -> dict[str, Any]:
    """The JSON object at an address, or of its answer to a form."""
    request = urllib.request.Request(address, form, {"Accept": "application/json"})  # noqa: S310 - checked: https, or local

    def ask() -> tuple[bytes, urllib.error.HTTPError | None]:
        try:
            with _OPENER.open(request, timeout=_SECONDS) as response:
                return response.read(_MAXIMUM + 1), None
        except urllib.error.HTTPError as error:
            with error:
                return error.read(_MAXIMUM), error

    try:
        data, refused = in_time(ask, f"the OpenID provider at {address}", "try again")
    except (OSError, HTTPException, ValueError) as error:  # ValueError: an address or a length that is none
        why = in_one_line(error.reason if isinstance(error, urllib.error.URLError) else error)
        raise BenchError(f"the OpenID provider cannot be reached at {address}: {why}", remedy="try again") from error
    if refused is not None:
        told = in_one_line(_error_in(data) or refused.reason)
        if form is not None:
            raise UsageError(f"{address} refused the login: {told}") from refused
        raise BenchError(f"{address} failed: {refused.code} {told}", remedy="check the OpenID provider") from refused
    try:
        found = json.loads(data) if len(data) <= _MAXIMUM else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BenchError(f"{address} sends no JSON object", remedy="check `issuer` of [approval.oidc]")
    return found


def _error_in(data: bytes) -> str:
    try:
        found = json.loads(data)
        return str(found.get("error_description") or found.get("error") or "")
    except (ValueError, AttributeError, RecursionError):
        return ""


class _Answers:
    """Where the browser is sent to after the login: an address of this machine alone, for as long as this is open.

    Each connection has a thread of its own: one that says nothing, as browsers open some in advance, holds up no answer.
    """

    def __init__(self, state: str) -> None:
        self._answers = Queue[dict[str, str]]()
        answers = self._answers

        class Handler(BaseHTTPRequestHandler):
            timeout = _SECONDS

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                told = {key: values[0] for key, values in parse_qs(parts.query).items() if len(values) == 1}
                ours = parts.path == _PATH and hmac.compare_digest(told.get("state", "").encode(), state.encode())
                if ours:
                    answers.put(told)
                body = b"You can close this page, and go on in the terminal.\n" if ours else b"This is no answer.\n"
                self.send_response(200 if ours else 400)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
                """Nothing: an address holds the code."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)  # its threads end with the process

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """The address that answers."""
        return f"http://127.0.0.1:{self._server.server_port}{_PATH}"

    def wait(self, patience: float) -> dict[str, str]:
        """The parameters of the first answer. Raises UsageError where none came in so many seconds."""
        try:
            return self._answers.get(timeout=patience)
        except Empty as error:
            raise UsageError("nobody logged in", remedy="run it again, and open the address on this machine") from error
