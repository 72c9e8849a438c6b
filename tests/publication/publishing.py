"""A product whose releases are approved and published by a team, through the commands: what the tests of publication share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyotp
from tuf.ngclient import Updater

from devicepipe.distribution.client import StoreFetcher
from devicepipe.errors import UsageError
from devicepipe.project.config import load_project
from devicepipe.stages.context import open_keys
from tests.cli.calls import enrol, run, run_text
from tests.cli.rotation import log_seal
from tests.evidence.synthetic_bundle import Keys, Made, Pair, Spoil, make_bundle
from tests.evidence.synthetic_production import make_production

WORDS = {
    "eva": "horse battery staple",
    "ron": "quite another phrase",
    "quinn": "seven blue elephants",
    "mara": "eleven wooden spoons",
}
ROLES = {"eva": "engineer", "ron": "reviewer", "quinn": "qa", "mara": "release-manager"}


APPROVED = "dist/pump-1.2.3"
"""The release that every test begins with."""


def enrol_all() -> dict[str, pyotp.TOTP]:
    """Make the accounts of the team; returns their authenticators."""
    return {who: enrol(who, WORDS[who], role) for who, role in ROLES.items()}


_KNOWN: dict[str, Keys] = {}


def make_release(root: Path, version: str = "1.2.3", spoil: Spoil | None = None) -> Made:
    """A release of the project's keys, and what ships of it."""
    keys = open_keys(load_project(root / "devicepipe.toml"))
    (root / "dist").mkdir(exist_ok=True)
    fresh = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    # The same signers for the same keys: what was signed with them in this process is taken again.
    pairs = _KNOWN.setdefault(fresh.image.public.keyid + fresh.release.public.keyid, fresh)
    made = make_bundle(root / "dist", keys=pairs, version=version, name=f"pump-{version}", spoil=spoil)
    make_production(made)
    log_seal(root, made)
    return made


def sign(command: str, bundle: Path, who: str, people: dict[str, pyotp.TOTP], meaning: str = "I have read it") -> Any:
    """Sign, with a code where the session takes one."""
    words = (command, bundle, "--as", who, "--meaning", meaning)
    try:
        return run(*words, secrets=(WORDS[who], people[who].now()))[1]
    except UsageError as error:
        if "taken" not in error.message and "code" not in error.message:
            raise
        return run(*words, secrets=(WORDS[who],))[1]


def sign_text(command: str, bundle: Path, who: str, people: dict[str, pyotp.TOTP]) -> str:
    """Sign for the first time; what is told to people."""
    words = (command, bundle, "--as", who, "--meaning", "I have read it")
    try:
        return run_text(*words, secrets=(WORDS[who], people[who].now()))
    except UsageError as error:
        if "taken" not in error.message and "code" not in error.message:
            raise
        return run_text(*words, secrets=(WORDS[who],))


def approve(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    for command, who in (("submit", "eva"), ("approve", "ron"), ("approve", "quinn")):
        sign(command, bundle, who, people)


def pull(root: Path, *arguments: str, first: bool = False, trust: str = "trust") -> Any:
    words = ["pull", "dist/repository", *arguments, "--output", "pulled", "--trust", trust]
    if first:
        words += ["--root", "publication/root.json", "--key", ".devicepipe/keys/release.pub.pem"]
    return run(*words)[1]


def stock(root: Path) -> Updater:
    base = (root / "dist/repository").as_uri()
    folder = root / "stock"
    folder.mkdir(exist_ok=True)
    return Updater(
        str(folder),
        f"{base}/metadata/",
        str(folder),
        f"{base}/targets/",
        StoreFetcher(base),
        bootstrap=(root / "publication/root.json").read_bytes(),
    )
