"""A publisher for tests: real keys, a repository in a folder behind a real HTTP server, and the stock client of python-tuf."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata
from tuf.ngclient import Updater

from devicepipe.distribution.releases import STATEMENT, Parcel, PublishedState, sha256
from devicepipe.distribution.repository import Repository
from devicepipe.distribution.seen import Seen
from devicepipe.distribution.signing import RoleSetup, RoleSigner, Setup, add_signatures, root_of
from devicepipe.distribution.state import to_bytes
from devicepipe.distribution.store import FolderStore, Store
from devicepipe.project.publication_settings import DAYS, ROLES, RepositoryRole
from devicepipe.signing.keys import PublicKey

NOW = datetime.now(UTC).replace(microsecond=0)
TIME = "2026-03-01T08:00:00Z"


def signer(kind: str = "ed25519") -> RoleSigner:
    """A new key, and its signer."""
    private: Ed25519PrivateKey | EllipticCurvePrivateKey
    private = Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(SECP256R1())
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public = PublicKey.from_pem(pem)
    return RoleSigner(public, lambda: CryptoSigner(private, public.to_securesystemslib()))


def role(*signers: RoleSigner, threshold: int = 1, days: int = 90) -> RoleSetup:
    return RoleSetup(signers, threshold, timedelta(days=days))


def setup_of(**changes: RoleSetup) -> dict[RepositoryRole, RoleSetup]:
    """A setup with a key for each role: ECDSA for the root, of which two of three must sign; Ed25519 for the others."""
    made = {name: role(signer(), days=DAYS[name]) for name in ROLES}
    made["root"] = role(*(signer("ecdsa") for _ in range(3)), threshold=2, days=365)
    return {name: changes.get(name, made[name]) for name in ROLES}


@dataclass
class Clock:
    """The publisher's clock."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def signed_root(setup: Setup, version: int = 1, now: datetime = NOW, more: tuple[RoleSigner, ...] = ()) -> bytes:
    """A root that all keys at hand signed."""
    root = root_of(setup, version)
    root.expires = now + setup["root"].lasts
    metadata: Metadata[Any] = Metadata(root)
    add_signatures(metadata, (*setup["root"].signers, *more))
    return to_bytes(metadata)


def parcel(
    version: str = "1.0.0", state: str = "released", files: Mapping[str, bytes] | None = None, product: str = "pump"
) -> Parcel:
    """What is published of a made-up release."""
    content = {
        STATEMENT: f"the release statement of {version}".encode(),
        "release.signatures/0001.dsse.json": b"signed",
        "images/alpha/factory.hex": f"the factory image of {version}".encode(),
        "images/alpha/application.signed.bin": f"the program of {version}".encode(),
    } | dict(files or {})
    said = PublishedState.from_json(
        {
            "product": product,
            "version": version,
            "release": sha256(content[STATEMENT]),
            "state": state,
            "on": TIME,
            "signature": "5" * 64,
            "meaning": "I release it",
        }
    )
    return Parcel(said, content)


IMAGE = "images/alpha/factory.hex"


@dataclass
class Publisher:
    """A repository in a folder, its root, and the clock by which it is signed."""

    folder: Path
    setup: dict[RepositoryRole, RoleSetup] = field(default_factory=setup_of)
    clock: Clock = field(default_factory=Clock)
    store: Store | None = None

    def __post_init__(self) -> None:
        self.root = signed_root(self.setup, now=self.clock.now)

    @property
    def repository(self) -> Repository:
        """The repository, as a process that starts now opens it."""
        store = self.store or FolderStore(self.folder / "repository")
        return Repository(store, self.setup, Seen(self.folder / "state" / "seen.json"), self.clock)

    def create(self) -> Publisher:
        self.repository.create(self.root)
        return self

    def publish(self, what: Parcel) -> bool:
        return self.repository.publish(self.root, nullcontext(what))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path, handler: type[SimpleHTTPRequestHandler] = _Quiet, *, wait: bool = True) -> Iterator[str]:
    """The address of a folder behind a real HTTP server on a free port; it ends when its answers have, or without them."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder))) as server:
        server.daemon_threads, server.block_on_close = True, wait
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def stock_client(url: str, folder: Path, root: bytes | None) -> Updater:
    """The client of python-tuf as it comes, over HTTP."""
    for name in ("trust", "files"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Updater(str(folder / "trust"), f"{url}/metadata/", str(folder / "files"), f"{url}/targets/", bootstrap=root)
