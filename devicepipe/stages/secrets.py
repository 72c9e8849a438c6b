"""Secrets: no private key or token in the source tree, the images or the evidence; the last look before the gate."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import Literal

from devicepipe.analysis import gitleaks
from devicepipe.analysis.secrets import NAME, Hit, Search, unproven
from devicepipe.evidence.layout import SOURCE_FILES
from devicepipe.evidence.predicates import Tool
from devicepipe.evidence.secrets import OWN_KEY, SECRETS, KeySearch, SecretFinding, Secrets
from devicepipe.project.sections import AllowedSecret
from devicepipe.signing.keys import read_private
from devicepipe.signing.private_forms import key_forms
from devicepipe.stages.context import Context

_FILE_SCHEMES = ("file", "file2")


def find_secrets(context: Context) -> None:
    """Search all source files and all files of the bundle so far, and attest what was found.

    Raises:
        BenchError: gitleaks is there and does not really run.
        UsageError: A configured private key cannot be read.
    """
    bundle, root, allowed = context.bundle, context.project.root, context.project.secrets.allowed
    forms, keys = _own_keys(context)
    search, missed = Search(forms), unproven()
    names = [line.partition("  ")[2] for line in bundle.read(SOURCE_FILES).decode().splitlines()]
    findings = [
        one for name in names for one in _told(search.file(name, (root / name).read_bytes()), "source", allowed)
    ]
    files = bundle.names()
    for name in files:
        findings += _told(search.file(name, bundle.read(name)), "bundle", allowed)
    tools = [Tool(name=NAME, version=version("devicepipe"))]
    proven = {} if missed else {NAME: "planted keys and tokens of every rule, made for this run"}
    absent: dict[str, str] = {}
    scanned = gitleaks.search(root, context.work / "gitleaks")
    if scanned is None:
        absent[gitleaks.NAME] = "it is not on PATH"
    else:
        tools.append(scanned.tool)
        proven[gitleaks.NAME] = "a planted private key, made for this run"
        known = set(names)
        findings += _told((hit for hit in scanned.hits if hit.file in known), "source", allowed, gitleaks.NAME)
    images = sorted(name for name in files if name.startswith("images/"))
    predicate = Secrets(
        tools=tools,
        proven_on=proven,
        absent=absent,
        source_files=len(names),
        bundle_files=len(files),
        images=images,
        keys=keys,
        findings=findings,
    )
    context.writer.attest("secrets", SECRETS, predicate, [SOURCE_FILES, *images])


def _told(
    hits: Iterable[Hit], place: Literal["source", "bundle"], allowed: tuple[AllowedSecret, ...], tool: str = NAME
) -> list[SecretFinding]:
    return [
        SecretFinding(
            tool=tool, rule=hit.rule, place=place, file=hit.file, line=hit.line, allowed=_reason(hit, place, allowed)
        )
        for hit in hits
    ]


def _reason(hit: Hit, place: str, allowed: tuple[AllowedSecret, ...]) -> str | None:
    """Why a finding may stand where it does: only in sources, and never a key of the project's own."""
    if place != "source" or hit.rule == OWN_KEY:
        return None
    return next((one.reason for one in allowed if one.rule == hit.rule and fnmatchcase(hit.file, one.file)), None)


def _own_keys(context: Context) -> tuple[list[bytes], list[KeySearch]]:
    """The forms of the project's private keys, and which of them can be searched for."""
    configured = context.project.keys
    forms: list[bytes] = []
    told: list[KeySearch] = []
    pairs: tuple[tuple[Literal["image", "release"], str | None, str], ...] = (
        ("image", configured.image, context.keys.image.public.keyid),
        ("release", configured.release, context.keys.release.public.keyid),
    )
    for role, uri, keyid in pairs:
        scheme, _, rest = (uri or f"file:.devicepipe/keys/{role}.key.pem").partition(":")
        if scheme not in _FILE_SCHEMES:
            note = f"its private half is never here ({scheme}:)"
            told.append(KeySearch(role=role, keyid=keyid, searched=False, note=note))
            continue
        forms += key_forms(read_private(context.home / rest))
        told.append(KeySearch(role=role, keyid=keyid, searched=True, note="raw, hexadecimal and base64"))
    return forms, told
