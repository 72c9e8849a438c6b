"""What a gate judges: the evidence of a release as typed values, and as the plain data that rules in CEL read.

What always holds of the plain data: evidence that is missing has no key, so that a rule which needs it cannot be evaluated (and
so fails) instead of finding an empty list; lists hold sentences or names, never whole records; counts stand beside lists, so
that a rule can ask for what must be there and not only for the absence of what must not. The size does not grow with the number
of requirements that are verified: CEL ends an evaluation after 10,000 steps, and 2,000 requirements on 4 boards are 8,000.

The shape, with the keys that rules use:

    release.source         product, version, commit, dirty, boards (names)
    release.evidence       boards (how many), missing (sentences)
    release.requirements   total and verified (pairs of requirement and board), unverified (sentences),
                           byRecord (names of requirements verified by analysis or inspection)
    release.hazards        total, open (sentences: hazards without a control, controls without a requirement)
    release.tests          unknownItems (sentences); only where every board has a test run
    board.name
    board.build            payloadDigest (of the application's binary)
    board.reproducibility  builds, compared (names), identical, differences (sentences)
    board.signing          payloadDigest, imageDigest
    board.image            verified, message
    board.tests            collected, passed (counts), failed, error, notRun (sentences), payloadDigest, imageDigest,
                           before and after (board, version, commit, digest), identityErrors (sentences)
    board.analysis         tools, unproven (names), checks (count), failedChecks, errors (sentences)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from devicepipe.evidence.predicates import (
    REQUIREMENT,
    BuildResult,
    Check,
    Identity,
    ImageSigning,
    Reproducibility,
    SourceInfo,
    StaticAnalysis,
    TestRun,
    Traceability,
    Verdict,
)

Plain = dict[str, Any]
"""Data of maps, lists, strings, integers and booleans, as CEL reads it."""


@dataclass(frozen=True, slots=True)
class BoardEvidence:
    """The evidence of one board; None is evidence that does not exist.

    Attributes:
        board: The board's name.
        build: What was built.
        reproducibility: How two builds compare.
        signing: The image that was signed.
        image: What became of verifying that image again with the public key, for this gate.
        tests: The test session.
        analysis: The static analysis.
    """

    board: str
    build: BuildResult | None = None
    reproducibility: Reproducibility | None = None
    signing: ImageSigning | None = None
    image: Check | None = None
    tests: TestRun | None = None
    analysis: StaticAnalysis | None = None


@dataclass(frozen=True, slots=True)
class GateInput:
    """All evidence of a release; None is evidence that does not exist."""

    source: SourceInfo | None
    traceability: Traceability | None
    boards: tuple[BoardEvidence, ...]


def release_data(evidence: GateInput) -> Plain:
    """The variable `release`."""
    data: Plain = {"evidence": {"boards": len(evidence.boards), "missing": list(_missing(evidence))}}
    if (source := evidence.source) is not None:
        data["source"] = {
            "product": source.product,
            "version": source.version,
            "commit": source.commit,
            "dirty": source.dirty,
            "boards": list(source.boards),
        }
    if (traced := evidence.traceability) is not None:
        data["requirements"] = _requirements(traced)
        data["hazards"] = _hazards(traced)
        runs = [board.tests for board in evidence.boards if board.tests is not None]
        if len(runs) == len(evidence.boards):
            data["tests"] = {"unknownItems": _unknown_items(traced, runs)}
    return data


def board_data(evidence: BoardEvidence) -> Plain:
    """The variable `board`."""
    data: Plain = {"name": evidence.board}
    if evidence.build is not None:
        data["build"] = _build(evidence.build)
    if (builds := evidence.reproducibility) is not None:
        data["reproducibility"] = {
            "builds": builds.builds,
            "compared": list(builds.compared),
            "identical": builds.identical,
            "differences": [
                f"{found.artifact} from byte {found.offset}" + (f" ({found.symbol})" if found.symbol else "")
                for found in builds.differences
            ],
        }
    if (signing := evidence.signing) is not None:
        data["signing"] = {"payloadDigest": signing.payload_digest, "imageDigest": signing.image_digest}
    if evidence.image is not None:
        data["image"] = {"verified": evidence.image.passed, "message": evidence.image.message}
    if evidence.tests is not None:
        data["tests"] = _tests(evidence.tests)
    if evidence.analysis is not None:
        data["analysis"] = _analysis(evidence.analysis)
    return data


def _missing(evidence: GateInput) -> Iterator[str]:
    if evidence.source is None:
        yield "no source attestation"
    if evidence.traceability is None:
        yield "no traceability"
    present = {board.board for board in evidence.boards}
    for name in evidence.source.boards if evidence.source else ():
        if name not in present:
            yield f"{name}: no evidence at all"
    for board in evidence.boards:
        parts = {
            "build": board.build,
            "second build to compare": board.reproducibility,
            "signed image": board.signing,
            "verification of the image": board.image,
            "test run": board.tests,
            "static analysis": board.analysis,
        }
        for name, part in parts.items():
            if part is None:
                yield f"{board.board}: no {name}"


def _hazards(traced: Traceability) -> Plain:
    """Read from the matrix: a hazard whose line ends before a requirement is open."""
    open_lines = {
        f"{row.risk_control}, which mitigates {row.hazard}, has no requirement"
        if row.risk_control
        else f"{row.hazard} has no risk control": None
        for row in traced.matrix
        if row.hazard and not row.requirement
    }
    return {"total": len({row.hazard for row in traced.matrix if row.hazard}), "open": list(open_lines)}


def _requirements(traced: Traceability) -> Plain:
    """Counted from the matrix, not from the absence of findings: what no row shows as passed is not verified."""
    passed = {
        (row.requirement, board)
        for row in traced.matrix
        for board, verdict in row.verdicts.items()
        if verdict == Verdict.PASSED
    }
    reasons = {(found.item, found.board): found.message for found in traced.findings}
    requirements = [item for item in traced.items if item.type == REQUIREMENT]
    total = 0
    unverified: list[str] = []
    by_record: list[str] = []
    for item in requirements:
        total += len(item.boards)
        gaps = [board for board in item.boards if (item.id, board) not in passed]
        if gaps and item.record:
            by_record.append(item.id)
        else:
            unverified += [
                f"{item.id} on {board}: {reasons.get((item.id, board), 'no passing test')}" for board in gaps
            ]
    return {"total": total, "verified": total - len(unverified), "unverified": unverified, "byRecord": by_record}


def _unknown_items(traced: Traceability, runs: Sequence[TestRun]) -> list[str]:
    known = {item.id for item in traced.items}
    found = {
        f"{name} in {case.procedure_file}:{case.procedure_line}": None
        for run in runs
        for case in run.cases
        for name in case.verifies
        if name not in known
    }
    return list(found)


def _build(build: BuildResult) -> Plain:
    """Without the application's binary there is no digest, and a rule that compares it cannot hold."""
    try:
        return {"payloadDigest": build.firmware("application").artifact("bin").sha256}
    except KeyError:
        return {}


def _tests(run: TestRun) -> Plain:
    sentences: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    for case in run.cases:
        sentences[case.verdict].append(f"{case.id}: {case.reason}" if case.reason else case.id)
    data: Plain = {
        "collected": len(run.cases),
        "passed": len(sentences[Verdict.PASSED]),
        "failed": sentences[Verdict.FAILED],
        "error": sentences[Verdict.ERROR],
        "notRun": sentences[Verdict.NOT_RUN],
        "payloadDigest": run.payload_digest,
        "imageDigest": run.image_digest,
        "identityErrors": list(run.identity_errors),
    }
    if run.identity_before is not None:
        data["before"] = _identity(run.identity_before)
    if run.identity_after is not None:
        data["after"] = _identity(run.identity_after)
    return data


def _identity(identity: Identity) -> Plain:
    return {
        "board": identity.board,
        "version": identity.version,
        "commit": identity.commit,
        "digest": identity.digest,
    }


def _analysis(analysis: StaticAnalysis) -> Plain:
    tools = [tool.name for tool in analysis.tools]
    return {
        "tools": tools,
        "unproven": [name for name in tools if not analysis.proven_on.get(name)],
        "errors": [
            f"{found.file}:{found.line}: {found.message} ({found.tool} {found.rule})"
            for found in analysis.findings
            if found.level == "error"
        ],
        "checks": len(analysis.checks),
        "failedChecks": [f"{check.name}: {check.message}" for check in analysis.checks if not check.passed],
    }
