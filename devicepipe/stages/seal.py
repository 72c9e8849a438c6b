"""Seal: the release statement over all files, its signature, and the final name."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from devicepipe.evidence.decisions import VerificationSummary
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.predicates import Release, SourceInfo, Tool
from devicepipe.stages.context import Context


def seal(context: Context, final: Path) -> Release:
    """Seal the bundle and give it its final name, in the place of a bundle that has it; returns the release statement.

    Raises:
        IntegrityError: A file was changed behind the writer's back.
        UsageError: The final name cannot be made.
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
        waived=decisions.waived or None,
        weakened=decisions.weakened or None,
        generator=Tool(name="devicepipe", version=version("devicepipe")),
    )
    context.writer.seal(release)
    try:
        if final.exists():
            final.rename(_aside(final))
        context.writer.publish(final)
    finally:
        settle(final)
    return release


def settle(final: Path) -> None:
    """Finish or take back a replacement, also one that a killed run left half done: no bundle is lost, and never are there two."""
    aside = _aside(final)
    if not aside.exists():
        return
    if final.exists():
        shutil.rmtree(aside)
    else:
        aside.rename(final)


def _aside(final: Path) -> Path:
    return final.with_name(f".{final.name}.replaced")
