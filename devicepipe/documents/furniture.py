"""What stands on every page of a release's documents."""

from __future__ import annotations

from devicepipe.documents.model import Running
from devicepipe.documents.record import ReleaseRecord


def running(record: ReleaseRecord, identifier: str, title: str) -> Running:
    """Header and footer; a banner unless the release is releasable."""
    source = record.source
    banner = ""
    if not record.releasable:
        banner = "NOT RELEASABLE: built from a modified source tree" if source.dirty else "NOT RELEASABLE"
    notes = ["signed with development keys"] if record.development_keys else []
    return Running(
        left=f"{source.product} {source.version}",
        right=f"{identifier}  ·  commit {source.commit[:12]}{' (modified)' if source.dirty else ''}",
        footer="  ·  ".join([title, *notes]),
        banner=banner,
    )
