"""What commits say they do: the trailers `Implements:` and `Change:` of their messages, as git itself reads trailers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devicepipe.build.source import git_text
from devicepipe.errors import DevicepipeError
from devicepipe.evidence.items import ITEM_ID

if TYPE_CHECKING:
    from devicepipe.evidence.trace import CommitMarker

TRAILERS = ("Implements", "Change")
_FORMAT = "%H%x00%s%x00%(trailers:only,unfold)%x01"


def last_tag(root: Path, revision: str) -> str:
    """The newest tag below a commit (not on it), e.g. that of the last release; "" where there is none."""
    try:
        return git_text(root, "describe", "--tags", "--abbrev=0", f"{revision}^").strip()
    except DevicepipeError:  # no tag, or no commit before this one
        return ""


def commit_markers(root: Path, revisions: str) -> list[CommitMarker]:
    """The commits of a range ("v1.0.0..HEAD", or "HEAD" for all) that name items in trailers, the newest first.

    Words in a trailer that are no ids are passed over: `Change:` may mean something else to somebody else.

    Raises:
        UsageError: There is no such range, or no repository.
        BenchError: git is not installed.
    """
    wanted = [f"--grep=^{name}: " for name in TRAILERS]
    said = git_text(
        root, "log", "--extended-regexp", *wanted, f"--format={_FORMAT}", "--end-of-options", revisions, "--", ".",
        refused=f"git knows no commits '{revisions}'", remedy="name a range such as v1.0.0..HEAD",
    )  # fmt: skip
    found = []
    for entry in said.split("\x01"):
        commit, _, rest = entry.strip("\n").partition("\0")
        subject, _, lines = rest.partition("\0")
        trailers: dict[str, list[str]] = {}
        for line in lines.splitlines():
            key, _, value = line.partition(":")
            names = [name.strip() for name in value.split(",")]
            if key in TRAILERS and all(map(ITEM_ID.fullmatch, names)):
                of = trailers.setdefault(key.lower(), [])
                of += [name for name in names if name not in of]
        if trailers:
            from devicepipe.evidence.trace import CommitMarker

            found.append(CommitMarker(commit=commit, subject=subject, trailers=trailers))
    return found
