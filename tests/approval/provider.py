"""An OpenID provider that runs on this machine: oidc-provider-mock over HTTP, made to insist on PKCE, with a browser of its own.

`Running` counts what it was asked for and lets a test change what it says: tokens are signed by keys that the test chooses then.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import threading
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode
from wsgiref.types import StartResponse, WSGIEnvironment

import jwt
import oidc_provider_mock  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import rsa
from oidc_provider_mock._server import _threaded_server  # type: ignore[import-untyped]

from devicepipe.approval.oidc import Provider

Claims = dict[str, Any]
_SHARED = "x" * 32


@dataclass
class Running:
    """A provider that runs.

    Attributes:
        issuer: Its address.
        who: Who logs in when its page is opened; None denies.
        claims: Changes the claims of the ID token, which is then signed anew.
        key: Signs tokens that were changed, and those that `resign` asks for; published then, unless `unknown` is set.
        resign: Sign by `key` though nothing was changed.
        algorithm: How `key` signs; "disguised" is by a shared secret that the provider publishes, under the name of RS256.
        unknown: Do not publish `key`.
        about: Changes what discovery tells.
        verified: How often a code was exchanged with the right verifier.
    """

    issuer: str = ""
    who: str | None = "quinn@example.com"
    claims: Callable[[Claims], Claims] | None = None
    key: Any = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    resign: bool = False
    algorithm: str = "RS256"
    unknown: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    verified: int = 0
    challenges: dict[str, str] = field(default_factory=dict)
    browsers: list[threading.Thread] = field(default_factory=list)

    @property
    def provider(self) -> Provider:
        return Provider(self.issuer, "devicepipe")

    def browser(self, address: str) -> None:
        """Open an address as somebody does who logs in: it is answered in the background."""
        thread = threading.Thread(target=self._open, args=(address,))
        thread.start()
        self.browsers.append(thread)

    def _open(self, address: str) -> None:
        form = {"sub": self.who} if self.who is not None else {"action": "deny"}
        request = urllib.request.Request(address, urlencode(form).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # follows to the address that answers
                response.read()
        except urllib.error.HTTPError as error:
            error.close()


class _Strict:
    """The provider with PKCE, and with what a test changes about it."""

    def __init__(self, app: Any, running: Running) -> None:
        self.app, self.running = app, running

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path, running = environ["PATH_INFO"], self.running
        if path == "/moved":
            start("307 Temporary Redirect", [("Location", f"{running.issuer}/oauth2/token")])
            return [b""]
        if path == "/oauth2/authorize" and environ["REQUEST_METHOD"] == "POST":
            asked = {key: value[0] for key, value in parse_qs(environ["QUERY_STRING"]).items()}
            assert asked["code_challenge_method"] == "S256"
            running.challenges["next"] = asked["code_challenge"]
            if (
                running.who is None
            ):  # the mock's own refusal leaves the state out, which a provider must not (RFC 6749, 4.1.2.1)
                query = urlencode({"error": "access_denied", "state": asked["state"]})
                start("302 Found", [("Location", f"{asked['redirect_uri']}?{query}")])
                return [b""]
        if path == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            # The mock knows no public clients: to it, ours has a secret, and any will do.
            given = body + b"&client_secret=none"
            environ |= {"wsgi.input": io.BytesIO(given), "CONTENT_LENGTH": str(len(given))}
            verifier = parse_qs(body.decode()).get("code_verifier", [""])[0]
            digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
            if digest != running.challenges.pop("next", None):
                start("400 Bad Request", [("Content-Type", "application/json")])
                return [b'{"error": "invalid_grant", "error_description": "the code_verifier is wrong"}']
            running.verified += 1
        status, headers, data = self._answer(environ)
        if status.startswith("200") and path in ("/oauth2/token", "/jwks", "/.well-known/openid-configuration"):
            data = json.dumps(self._changed(path, json.loads(data))).encode()
            headers = [(key, value) for key, value in headers if key.lower() != "content-length"]
            headers.append(("Content-Length", str(len(data))))
        start(status, headers)
        return [data]

    def _answer(self, environ: WSGIEnvironment) -> tuple[str, list[tuple[str, str]], bytes]:
        told: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            told[:] = [status, headers]
            return lambda _: None

        data = b"".join(self.app(environ, start))
        return told[0], told[1], data

    def _changed(self, path: str, told: dict[str, Any]) -> dict[str, Any]:
        running = self.running
        if path.startswith("/.well-known"):
            return told | running.about
        if path == "/jwks":
            if (running.resign or running.claims is not None) and not running.unknown:
                public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(running.key.public_key()))
                if running.algorithm == "disguised":
                    public = json.loads(jwt.algorithms.HMACAlgorithm.to_jwk(_SHARED))
                told["keys"].append(public | {"kid": "ours", "use": "sig"})
            return told
        if "id_token" in told and (running.claims is not None or running.resign):
            claims = jwt.decode(told["id_token"], options={"verify_signature": False})
            changed = running.claims(claims) if running.claims is not None else claims
            told["id_token"] = _signed(changed, running)
        return told


def _signed(claims: Claims, running: Running) -> str:
    """An ID token by the key of the test, in its way."""
    headers = {"kid": "ours"}
    if running.algorithm.startswith("RS"):
        return jwt.encode(claims, running.key, algorithm=running.algorithm, headers=headers)
    if running.algorithm == "none":
        return jwt.encode(claims, "", algorithm="none", headers=headers)
    if running.algorithm == "disguised":
        parts = [json.dumps(one).encode() for one in (headers | {"alg": "RS256"}, claims)]
        text = b".".join(urlsafe_b64encode(one).rstrip(b"=") for one in parts)
        signature = hmac.new(_SHARED.encode(), text, hashlib.sha256).digest()
        return f"{text.decode()}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    return jwt.encode(claims, _SHARED, algorithm="HS256", headers=headers)


@contextmanager
def provider() -> Iterator[Running]:
    """Run one."""
    running = Running()
    app = oidc_provider_mock.app(require_nonce=True)
    with _threaded_server(_Strict(app, running), host="127.0.0.1") as server:
        running.issuer = f"http://127.0.0.1:{server.server_port}"
        try:
            yield running
        finally:
            for thread in running.browsers:
                thread.join()
