"""What every stage of one run shares: the project, the bundle under construction, keys, and the means to stop.

Stages hand nothing to each other but files and attestations of the bundle (ADR 0002).
"""

from __future__ import annotations

import getpass
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from securesystemslib.signer import Signer

from devicepipe.analysis.cache import Cache
from devicepipe.build.platformio import Build
from devicepipe.errors import UsageError
from devicepipe.evidence.bundle import Bundle, BundleWriter
from devicepipe.evidence.predicates import KeyInfo
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.signing.keys import DevelopmentKeys, PublicKey, ensure_development_keys, load_signer


@dataclass(frozen=True)
class SigningKey:
    """A signer and its public key."""

    signer: Signer
    public: PublicKey

    @property
    def info(self) -> KeyInfo:
        """What evidence says of the key."""
        return KeyInfo(keyid=self.public.keyid, scheme=self.public.scheme, development=self.public.development)


@dataclass(frozen=True)
class Keys:
    """The key that signs images, and the one that signs attestations and the release statement."""

    image: SigningKey
    release: SigningKey


@dataclass(frozen=True)
class Context:
    """One run.

    Attributes:
        project: The project as committed: its paths lie in the run's own copy of the commit (or, in development, in the tree).
        home: The user's repository, which holds keys and caches.
        work: The run's own folder, removed at its end.
        version: The version being made.
        writer: The bundle under construction.
        keys: Who signs.
        tester: Who runs the tests (IEC 62304 5.7.5).
        cancel: Set when the run is to stop.
        in_place: Build in the project's own folder, using what was built there before: for development, never for a release.
        devices: Board → the id of the device that its tests run on, where one is wanted.
        builds: Each board's first build, for what needs the folder it was made in (analysers, the second build). No evidence is
            taken from here: that is in the bundle.
        analysed: What analysers said of sources in this run, so that none is analysed twice for boards or programs that share it.
    """

    project: Project
    home: Path
    work: Path
    version: str
    writer: BundleWriter
    keys: Keys
    tester: str
    cancel: threading.Event
    in_place: bool = False
    devices: dict[str, str] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
    analysed: Cache = field(default_factory=Cache)

    @property
    def bundle(self) -> Bundle:
        """What was written so far."""
        return self.writer.bundle

    @property
    def cache(self) -> Path:
        """The content-addressed cache of fetched archives."""
        return self.home / ".devicepipe" / "cache"


def open_keys(project: Project) -> Keys:
    """The configured keys; development keys where none are configured.

    Raises:
        UsageError: A configured key cannot be used, or only one of its two halves is configured.
        BenchError: A signing device or service cannot be reached.
    """
    development: DevelopmentKeys | None = None
    configured = project.keys

    def one(role: str, uri: str | None, public: str | None) -> SigningKey:
        nonlocal development
        if uri is not None and public is not None:
            key = PublicKey.load(project.root / public)
            return SigningKey(load_signer(uri, key, project.root), key)
        if uri is not None or public is not None:
            missing = f"keys.{role}-public" if public is None else f"keys.{role}"
            raise UsageError(
                "only one half of the key is configured",
                file=project.root / CONFIG_NAME,
                key=missing,
                remedy=f"set both keys.{role} (the signer's URI) and keys.{role}-public (the PEM file)",
            )
        development = development or ensure_development_keys(project.state / "keys")
        pair = development.image if role == "image" else development.release
        return SigningKey(pair.signer(), pair.public)

    return Keys(
        image=one("image", configured.image, configured.image_public),
        release=one("release", configured.release, configured.release_public),
    )


def default_tester() -> str:
    """Who runs this: DEVICEPIPE_TESTER, else the login name."""
    try:
        return os.environ.get("DEVICEPIPE_TESTER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user id that has no name
        return f"uid {os.getuid()}"
