"""What git says of a product's history: its versions, and the commits since the last of them."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from devicepipe.build.source import ask_git, folder_limit
from devicepipe.evidence.facts import utc_text
from devicepipe.evidence.history import Change, History, Version

MAXIMUM_CHANGES: Final = 500
"""Commits that are listed; how many older ones there are is told."""

_VERSION = re.compile(r"v?\d+\.\d+(\.\d+)?([-+.][0-9A-Za-z.+-]+)?")
_FIELD, _RECORD = "\x1f", "\x1e"


def read_history(root: Path, commit: str, items: Collection[str]) -> History:
    """The history of the product at `root` up to a commit.

    Args:
        root: The product's root (a repository, or a folder in one).
        commit: The released commit; a tag of its own is no earlier version.
        items: Ids of the items that a commit's message may name.

    Raises:
        BenchError: git fails.
    """
    versions = _versions(root, commit)
    since = versions[0].name if versions else ""
    span = f"{versions[0].commit}..{commit}" if versions else commit
    whole = int(ask_git(root, "rev-list", "--count", span, *folder_limit(root)))
    changes = _changes(root, span, items)
    return History(
        commit=commit, versions=versions, since=since, changes=changes, left_out=max(0, whole - len(changes))
    )


def _versions(root: Path, commit: str) -> list[Version]:
    """The tags that look like versions and lead to the commit, the newest first."""
    shown = _FIELD.join(
        ("%(refname:strip=2)", "%(objectname)", "%(*objectname)", "%(contents:subject)", "%(objecttype)")
    )
    found: list[tuple[int, str, Version]] = []
    for line in ask_git(root, "for-each-ref", f"--merged={commit}", f"--format={shown}", "refs/tags").splitlines():
        name, own, peeled, subject, kind = line.split(_FIELD)
        target = peeled or own
        if not _VERSION.fullmatch(name) or target == commit:
            continue
        epoch = int(ask_git(root, "show", "--no-patch", "--format=%ct", target))
        note = subject if kind == "tag" else ""  # that of a light tag is its commit's
        version = Version(name=name, commit=target, time=_time(epoch), note=note)
        found.append((epoch, name, version))
    return [version for *_, version in sorted(found, key=lambda one: one[:2], reverse=True)]


def _changes(root: Path, span: str, items: Collection[str]) -> list[Change]:
    shown = _RECORD + _FIELD.join(("%H", "%ct", "%an", "%s", "%b")) + _FIELD
    wanted = (f"--max-count={MAXIMUM_CHANGES}", "--name-only", "-z", f"--format={shown}", span, *folder_limit(root))
    told = ask_git(root, "log", *wanted)
    known = re.compile("|".join(rf"\b{re.escape(one)}\b" for one in sorted(items, key=len, reverse=True)) or r"(?!)")
    changes = []
    for record in told.split(_RECORD)[1:]:
        identity, epoch, author, subject, body, files = record.split(_FIELD, 5)
        changes.append(
            Change(
                commit=identity,
                time=_time(int(epoch)),
                author=author,
                subject=subject,
                files=len({name for name in files.replace("\n", "\0").split("\0") if name}),
                items=sorted(set(known.findall(f"{subject}\n{body}"))),
            )
        )
    return changes


def _time(epoch: int) -> str:
    return utc_text(datetime.fromtimestamp(epoch, UTC))
