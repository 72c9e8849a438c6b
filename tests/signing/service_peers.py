"""Simulated signing services, behind real HTTP on a free port: AWS KMS, and the transit engine of HashiCorp Vault.

They answer what securesystemslib's signers ask through the vendors' own clients (boto3, hvac), with keys that they make:
`TrentService.Sign` with MessageType DIGEST (moto's KMS hashes the digest once more, which the real one does not) and
`POST /v1/transit/sign/NAME`. A request without the right credential, for a key that is not there, or of another kind is refused as
the services do.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devicepipe.signing.keys import PublicKey

KMS_KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ACCESS_KEY = "AKIA" + "OF THE TESTS".replace(" ", "")  # in two parts: it is no secret, and looks like one
VAULT_TOKEN = "hvs.a-token-of-the-tests"


@dataclass
class Peer:
    """A service.

    Attributes:
        url: Where it is.
        public: The public half of its key.
        asked: The paths or operations that were asked for.
    """

    url: str
    public: PublicKey
    asked: list[str] = field(default_factory=list)


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")

    def answer(self, status: int, document: dict[str, Any], kind: str = "application/json") -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def _served(handler: type[_Quiet], public: PublicKey, asked: list[str]) -> Iterator[Peer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Peer(f"http://127.0.0.1:{server.server_port}", public, asked)
        finally:
            server.shutdown()
            thread.join()


def _public_of(private: Ed25519PrivateKey | EllipticCurvePrivateKey) -> PublicKey:
    return PublicKey.from_pem(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@contextmanager
def simulated_kms() -> Iterator[Peer]:
    """AWS KMS with one ECDSA P-256 key, `KMS_KEY`, for whoever has `ACCESS_KEY`."""
    private, asked = generate_private_key(SECP256R1()), list[str]()

    class Handler(_Quiet):
        def do_POST(self) -> None:
            operation, body = self.headers["X-Amz-Target"], self.body()
            asked.append(operation)
            if ACCESS_KEY not in self.headers["Authorization"]:
                self.refuse("AccessDeniedException", "is not authorized to perform: kms:Sign")
            elif body["KeyId"] != KMS_KEY:
                self.refuse("NotFoundException", "Key does not exist")
            elif operation != "TrentService.Sign" or body["SigningAlgorithm"] != "ECDSA_SHA_256":
                self.refuse("ValidationException", "not simulated")
            else:
                assert body["MessageType"] == "DIGEST"
                signature = private.sign(base64.b64decode(body["Message"]), ECDSA(Prehashed(SHA256())))
                made = {"KeyId": KMS_KEY, "Signature": base64.b64encode(signature).decode()}
                self.answer(200, made | {"SigningAlgorithm": "ECDSA_SHA_256"}, "application/x-amz-json-1.1")

        def refuse(self, kind: str, why: str) -> None:
            self.answer(400, {"__type": kind, "message": why}, "application/x-amz-json-1.1")

    with _served(Handler, _public_of(private), asked) as peer:
        yield peer


@contextmanager
def simulated_vault() -> Iterator[Peer]:
    """Vault with a transit key `release` of two versions, of which the second is used, for whoever has `VAULT_TOKEN`."""
    versions, asked = {1: Ed25519PrivateKey.generate(), 2: Ed25519PrivateKey.generate()}, list[str]()

    class Handler(_Quiet):
        def do_POST(self) -> None:
            asked.append(self.path)
            body = self.body()
            if self.headers.get("X-Vault-Token") != VAULT_TOKEN:
                self.answer(403, {"errors": ["permission denied"]})
            elif not self.path.startswith("/v1/transit/sign/release"):
                self.answer(400, {"errors": ["signing key not found"]})
            else:
                version = int(body["key_version"])
                made = base64.b64encode(versions[version].sign(base64.b64decode(body["input"]))).decode()
                self.answer(200, {"data": {"signature": f"vault:v{version}:{made}", "key_version": version}})

        do_PUT = do_POST  # noqa: N815 - http.server's name

    with _served(Handler, _public_of(versions[2]), asked) as peer:
        yield peer
