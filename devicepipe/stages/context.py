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
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Bundle, BundleWriter
from devicepipe.evidence.key_history import KeyHistory, Role, verify_history
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.predicates import KeyInfo
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.signing.keys import PublicKey, ensure_development_keys, load_signer


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
    """The key that signs images, the one that signs attestations and the release statement, and their history if there is one.

    `coming` is a release key that comes in only now, and that the log is signed by already where it came in before and the history
    of that was lost.
    """

    image: SigningKey
    release: SigningKey
    history: KeyHistory | None = None
    coming: PublicKey | None = None

    @property
    def trust(self) -> KeyTrust:
        """Whose signatures of releases count: the release key's, and by the history those of the keys before it in their time."""
        return KeyTrust.of(self.release.public, self.history)


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
    """The configured keys of images and releases; development keys where none are configured.

    Raises:
        UsageError: A configured key cannot be used, only one of its two halves is configured, or it is not the one in force by the
            history of the keys.
        IntegrityError: The history of the keys does not hold.
        BenchError: A signing device or service cannot be reached.
    """
    history = load_history(project)
    return Keys(
        image=open_key(project, "image", history), release=open_key(project, "release", history), history=history
    )


def open_key(project: Project, role: Role, history: KeyHistory | None) -> SigningKey:
    """The configured key of a role; a development key where there is none, but for production.

    Args:
        project: The product.
        role: What the key is for.
        history: The history that must have it in force; None asks none.

    Raises:
        UsageError, BenchError: As `open_keys`.
    """
    uri, public = _configured(project, role)
    if uri is not None and public is not None:
        key = PublicKey.load(project.root / public)
        check_in_force(project, history, role, key)
        return SigningKey(load_signer(uri, key, project.root), key)
    if uri is not None or public is not None or role == "production":
        missing = f"keys.{role}-public" if public is None else f"keys.{role}"
        raise UsageError(
            f"no {role} key is configured"
            if uri is None and public is None
            else "only one half of the key is configured",
            file=project.root / CONFIG_NAME,
            key=missing,
            remedy=f"set both keys.{role} (the signer's URI) and keys.{role}-public (the PEM file)",
        )
    development = ensure_development_keys(project.state / "keys")
    pair = development.image if role == "image" else development.release
    check_in_force(project, history, role, pair.public)
    return SigningKey(pair.signer(), pair.public)


def public_half(project: Project, role: Role) -> PublicKey | None:
    """The public half of a role's key, without opening its signer; None where there is no such key (yet).

    Raises:
        UsageError: Its file cannot be read, or is no public key.
    """
    _, public = _configured(project, role)
    path = project.root / public if public is not None else project.state / "keys" / f"{role}.pub.pem"
    return PublicKey.load(path) if public is not None or path.is_file() else None


def _configured(project: Project, role: Role) -> tuple[str | None, str | None]:
    keys = project.keys
    return {
        "image": (keys.image, keys.image_public),
        "release": (keys.release, keys.release_public),
        "production": (keys.production, keys.production_public),
    }[role]


def load_history(project: Project) -> KeyHistory | None:
    """The history of the product's keys, if it has one.

    Raises:
        IntegrityError: It does not hold, or is another product's.
    """
    folder = project.root / project.keys.history
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    history = verify_history(folder)
    if history.product != project.product.name:
        raise IntegrityError(f"is the history of the keys of '{history.product}'", link=project.keys.history)
    return history


def check_in_force(project: Project, history: KeyHistory | None, role: Role, key: PublicKey) -> None:
    """Refuse to sign with a key that the history of the keys knows better.

    Raises:
        UsageError: It was replaced or revoked, or is not the one that is in force.
    """
    known = history.of_role(role) if history is not None else []
    if not known:
        return
    life, present = next((one for one in known if one.public.keyid == key.keyid), None), known[-1]
    if life is not None and life.in_force:
        return
    if life is None:
        why = "is none that the history of the keys has"
    elif life.revoked is not None:
        why = f"was revoked on {life.revoked[:10]}: {life.reason}"
    else:
        why = f"was replaced on {(life.until or '')[:10]}: {life.reason}"
    raise UsageError(
        f"the {role} key {key.keyid} {why}",
        file=project.root / CONFIG_NAME,
        key=f"keys.{role}",
        remedy=f"configure keys.{role} and keys.{role}-public as the key in force, {present.public.keyid}"
        if present.in_force
        else f"bring in another one: `devicepipe keys rotate {role}`",
    )


def default_tester() -> str:
    """Who runs this: DEVICEPIPE_TESTER, else the login name."""
    try:
        return os.environ.get("DEVICEPIPE_TESTER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user id that has no name
        return f"uid {os.getuid()}"
