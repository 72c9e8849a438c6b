"""What stands on every page of a release's documents."""

from __future__ import annotations

from devicepipe.documents.definition import Branding, Definition
from devicepipe.documents.model import Running
from devicepipe.documents.record import ReleaseRecord


def running(record: ReleaseRecord, definition: Definition, branding: Branding) -> Running:
    """Header and footer; a banner unless the release is releasable."""
    source = record.source
    banner = ""
    if not record.releasable:
        banner = "NOT RELEASABLE: built from a modified source tree" if source.dirty else "NOT RELEASABLE"
    if record.preview:
        banner = f"PREVIEW of edited texts: not a document of the release{f'; {banner}' if banner else ''}"
    notes = ["signed with development keys"] if record.development_keys else []
    return Running(
        left=f"{source.product} {source.version}",
        right=f"{definition.number}, revision {definition.revision}  ·  "
        f"commit {source.commit[:12]}{' (modified)' if source.dirty else ''}",
        footer="  ·  ".join([definition.title, *notes, *([branding.footer] if branding.footer else [])]),
        banner=banner,
    )
