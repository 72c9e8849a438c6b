"""History: the versions and commits before this release, and what the bundles of earlier ones say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from devicepipe.build.history import read_history
from devicepipe.build.source import Commit
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.coverage import CoverageResult
from devicepipe.evidence.decisions import VerificationSummary
from devicepipe.evidence.history import HISTORY, BoardFigures, EarlierRelease
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.layout import RELEASE_STATEMENT, SOURCE_FILES
from devicepipe.evidence.predicates import SBOM, ImageSigning, Provenance, SourceInfo
from devicepipe.evidence.results import TestResult, Verdict
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.verify import verify_bundle
from devicepipe.evidence.words import ANOMALY, OPEN, REQUIREMENT
from devicepipe.signing.keys import PublicKey
from devicepipe.stages.context import Context


def attest_history(context: Context, commit: Commit, earlier: Sequence[EarlierRelease]) -> None:
    """Write the history attestation.

    Args:
        context: The run.
        commit: The commit that is released.
        earlier: The releases whose bundles were given, as `read_earlier` has them.

    Raises:
        BenchError: git fails.
    """
    items = {item.id for item in context.bundle.predicate(Traceability).items}
    history = read_history(context.home, commit.id, items)
    context.writer.attest("history", HISTORY, history.model_copy(update={"earlier": list(earlier)}), [SOURCE_FILES])


def read_earlier(folders: Sequence[Path], product: str, key: PublicKey | KeyTrust) -> list[EarlierRelease]:
    """What earlier bundles say, oldest first; each is verified with the release key before it is believed.

    Raises:
        UsageError: A bundle of another product, or one given twice.
        IntegrityError: A bundle does not hold, or is not signed with that key.
    """
    found: dict[str, EarlierRelease] = {}
    for folder in folders:
        release = _read(folder, key)
        if release.product != product:
            raise UsageError(f"is a release of '{release.product}', not of '{product}'", file=folder)
        if release.statement in found:
            raise UsageError("is given twice", file=folder)
        found[release.statement] = release
    return sorted(found.values(), key=lambda one: one.started_on)


def _read(folder: Path, key: PublicKey | KeyTrust) -> EarlierRelease:
    try:
        bundle = verify_bundle(folder, key)
    except IntegrityError as error:
        raise IntegrityError(
            f"the earlier release in {folder} cannot be believed: {error.message}", link=error.link
        ) from error
    source = bundle.predicate(SourceInfo)
    trace = bundle.predicate(Traceability)
    tests = {board: bundle.predicate(TestResult, board).devicepipe for board in source.boards}
    wanted = [item for item in trace.items if item.type == REQUIREMENT]
    passed: dict[str, set[str]] = {}
    for row in trace.matrix:
        boards = {board for board, verdict in row.verdicts.items() if row.test and verdict == Verdict.PASSED}
        passed.setdefault(row.requirement, set()).update(boards)
    return EarlierRelease(
        product=source.product,
        version=source.version,
        commit=source.commit,
        started_on=source.started_on,
        statement=hashlib.sha256(bundle.read(RELEASE_STATEMENT)).hexdigest(),
        releasable=bundle.predicate(VerificationSummary).devicepipe.releasable,
        development_keys=source.image_key.development or source.release_key.development,
        requirements=len(wanted),
        verified=sum(1 for item in wanted if item.record or set(item.boards) <= passed.get(item.id, set())),
        open_anomalies=[item.id for item in trace.items if item.type == ANOMALY and item.fields.get("status") == OPEN],
        items={item.id: item.fingerprint for item in trace.items},
        titles={item.id: item.title for item in trace.items},
        tests={case.id: case.procedure_sha256 for run in tests.values() for case in run.cases},
        images={board: bundle.predicate(ImageSigning, board).image_digest for board in source.boards},
        components=_components(bundle),
        boards=[_figures(bundle, board, source) for board in source.boards],
    )


def _components(bundle: Bundle) -> dict[str, str]:
    """The components of all boards' bills of materials, with their versions."""
    return {
        str(component.get("name", "")): str(component.get("version", ""))
        for attestation in bundle.statements(SBOM)
        if attestation.board
        for component in attestation.statement.predicate.get("components", [])
    }


def _figures(bundle: Bundle, board: str, source: SourceInfo) -> BoardFigures:
    cases = bundle.predicate(TestResult, board).devicepipe.cases
    firmwares = bundle.predicate(Provenance, board).devicepipe.firmwares
    lines = None
    if board in (source.coverage or []):
        share = bundle.predicate(CoverageResult, board).total.lines
        lines = (share.executed, share.all)
    return BoardFigures(
        board=board,
        cases=len(cases),
        passed=sum(1 for case in cases if case.verdict is Verdict.PASSED),
        flash=sum(firmware.flash.used for firmware in firmwares),
        ram=max((firmware.ram.used for firmware in firmwares), default=0),
        lines=lines,
    )
