"""The predicate of the search for secrets: what was searched, by what, for which keys, and what was found.

What always holds: a finding tells its place and rule and never the secret itself.
"""

from __future__ import annotations

from typing import Literal

from devicepipe.evidence.model import Model, Sha256
from devicepipe.evidence.predicates import Tool

SECRETS = "urn:devicepipe:predicate:secrets:v1"
OWN_KEY = "own-key"
"""The rule of a finding that is a private key of the project itself: nothing allows it."""


class KeySearch(Model):
    """A private key of the project that was searched for, or why it could not be (it never leaves its device)."""

    role: Literal["image", "release"]
    keyid: Sha256
    searched: bool
    note: str


class SecretFinding(Model):
    """A secret in a file of the source tree or the bundle.

    `line` is 0 in files that are no text; `allowed` is the product's reason.
    """

    tool: str
    rule: str
    place: Literal["source", "bundle"]
    file: str
    line: int
    allowed: str | None = None


class Secrets(Model):
    """Predicate SECRETS: no private key or token is in the source tree, the images or the evidence, or where one is.

    `proven_on` says, per tool, what planted secrets it reported in this very run; `absent` why a tool did not run. `images` are the
    files below images/ that were searched, `bundle_files` the number of all files of the bundle that were.
    """

    tools: list[Tool]
    proven_on: dict[str, str]
    absent: dict[str, str]
    source_files: int
    bundle_files: int
    images: list[str]
    keys: list[KeySearch]
    findings: list[SecretFinding]
