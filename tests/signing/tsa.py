"""A time-stamping authority of our own: `openssl ts` behind HTTP on a free port."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devicepipe.signing.time_stamps import REPLY

# No -chain, and no certs: rfc3161-client refuses replies with more than the authority's own certificate in them.
_CONFIG = """
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class Tsa:
    """A running authority.

    Attributes:
        url: Its address.
        root: The file of its root certificate.
        content_type: Of its replies.
        change: What becomes of a reply before it is sent.
        replies: What it made.
    """

    url: str
    root: Path
    content_type: str = REPLY
    change: Callable[[bytes], bytes] = lambda reply: reply
    replies: list[bytes] = field(default_factory=list)


@contextmanager
def tsa(
    folder: Path, *, usage: bool = True, critical: bool = True, days: int = 30, digests: str = "sha256"
) -> Iterator[Tsa]:
    """Run one; its certificate is for time-stamping unless told otherwise."""
    folder.mkdir()
    _certificates(folder, usage=usage, critical=critical, days=days)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder, digests=digests))
    running = Tsa("", folder / "root.pem")
    lock = threading.Lock()  # of openssl's file of serial numbers

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                reply = running.change(_reply(folder, query))
            running.replies.append(reply)
            self.send_response(200)
            self.send_header("Content-Type", running.content_type)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


def _reply(folder: Path, data: bytes) -> bytes:
    query, reply = folder / "query.tsq", folder / "reply.tsr"
    query.write_bytes(data)
    command: list[str | Path] = [
        "openssl",
        "ts",
        "-reply",
        "-config",
        folder / "tsa.cnf",
        "-queryfile",
        query,
        "-out",
        reply,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return reply.read_bytes()


def _certificates(folder: Path, *, usage: bool, critical: bool, days: int) -> None:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("Root of time", "Time of Example")
    )
    root = (
        _builder(root_name, root_name, root_key, 30)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, SHA256())
    )
    builder = (
        _builder(name, root_name, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
    )
    purpose = ExtendedKeyUsageOID.TIME_STAMPING if usage else ExtendedKeyUsageOID.CODE_SIGNING
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=critical)
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (folder / "tsa.pem").write_bytes(builder.sign(root_key, SHA256()).public_bytes(Encoding.PEM))
    (folder / "tsa.key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(days=10)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    return builder.not_valid_after(start + timedelta(days=days))


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs_certificates, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
