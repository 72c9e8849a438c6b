"""Seal: the log's entries and their proofs, the release statement over all files, its signature, and the final name."""

from __future__ import annotations

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path

from devicepipe.evidence.decisions import VerificationSummary
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.key_uses import use_of_key, uses_of_image_key
from devicepipe.evidence.layout import RELEASE_STATEMENT, kind_of_model
from devicepipe.evidence.log_proofs import proven_entries, rule_entries
from devicepipe.evidence.predicates import Release, SourceInfo, Tool
from devicepipe.project.config import Project
from devicepipe.stages import ledger
from devicepipe.stages.context import Context


def log_evidence(context: Context, project: Project) -> None:
    """Append every attestation, decision and image signature of the bundle to the product's log, and add the proofs to the bundle.

    Where the run is killed after that, the log tells of a release that never was; never is there one that it does not tell of.

    Args:
        context: The run.
        project: The product as the user's repository has it, where its log is.

    Raises:
        UsageError, BenchError, IntegrityError: As `ledger.append` and `ledger.prove`.
    """
    source, attestations, now = context.bundle.predicate(SourceInfo), context.bundle.attestations(), utc_now()
    proven = proven_entries(attestations, source, now)
    used = uses_of_image_key(context.bundle, source.boards, f"{source.product} {source.version}", now)
    gate = context.bundle.attestation(kind_of_model(VerificationSummary).path_for())
    # The decisions by single rules are proven by that about the release, whose digest is of all of them.
    numbers = ledger.append(project, [*proven.values(), *rule_entries(gate, source), *used])
    for name, proof in zip(proven, ledger.prove_all(project, numbers[: len(proven)]), strict=True):
        context.writer.add_bytes(proof, name)


def seal(context: Context, project: Project, final: Path) -> Release:
    """Seal the bundle, log that the release key signed it, and give it its final name, in the place of a bundle that has it.

    Args:
        context: The run.
        project: The product as the user's repository has it, where its log is.
        final: The final name.

    Returns:
        The release statement.

    Raises:
        IntegrityError: A file was changed behind the writer's back, or the log is not to be trusted.
        UsageError: The final name cannot be made.
        BenchError: A signing device failed.
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
    name, key = f"{release.product} {release.version}", context.keys.release.public
    statement = hashlib.sha256(context.bundle.read(RELEASE_STATEMENT)).hexdigest()
    use = use_of_key(key.keyid, "release statement", name, statement, at=release.sealed_on, release=name)
    ledger.append(project, [use])
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
