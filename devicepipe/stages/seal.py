"""Seal: the release statement over all files, its signature, and the final name."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from devicepipe.evidence.predicates import Release, SourceInfo, Tool, VerificationSummary
from devicepipe.stages.context import Context, utc_now


def seal(context: Context, final: Path) -> Release:
    """Seal the bundle and give it its final name; returns the release statement.

    Raises:
        IntegrityError: A file was changed behind the writer's back.
        UsageError: The final name is taken.
    """
    source = context.bundle.predicate(SourceInfo)
    decisions = context.bundle.predicate(VerificationSummary).devicepipe
    release = Release(
        product=source.product,
        version=source.version,
        commit=source.commit,
        releasable=decisions.releasable,
        reasons=decisions.reasons,
        development_keys=source.image_key.development or source.release_key.development,
        sealed_on=utc_now(),
        generator=Tool(name="devicepipe", version=version("devicepipe")),
    )
    context.writer.seal(release)
    context.writer.publish(final)
    return release
