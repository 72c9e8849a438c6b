"""What a gate judges: the evidence of a release as typed values, and as the plain data that rules in CEL read.

What always holds of the plain data: evidence that is missing has no key, so that a rule which needs it cannot be evaluated (and
so fails) instead of finding an empty list; lists hold sentences or names, never whole records; counts stand beside lists, so
that a rule can ask for what must be there and not only for the absence of what must not. The size does not grow with the number
of requirements that are verified: CEL ends an evaluation after 10,000 steps, and 2,000 requirements on 4 boards are 8,000.

The shape, with the keys that rules use:

    release.source         product, version, commit, dirty, boards (names)
    release.secrets        searched (count of files), found and unproven (sentences), in words: told
    release.evidence       boards (how many), missing (sentences)
    release.requirements   total and verified (pairs of requirement and board), unverified (sentences),
                           byRecord (names of requirements verified by analysis or inspection),
                           onHost (names of those verified on a host, as they say)
    release.requirements   also unstated (sentences: requirements that do not say how, or on which boards, they are verified)
    release.hazards        total, open (sentences: hazards without a control, controls without a requirement),
                           unrated and worse (sentences: no ratings, or worse ones with the controls than without)
    release.needs          total, unmet (sentences: user needs without a requirement)
    release.design         total, unrealised (sentences: requirements without a design item, where there are design items),
                           unjustified (design items without a requirement), uncoded (ones that no marker in the sources names,
                           where there are markers)
    release.code           markers (count), unknownItems (sentences)
    release.soup           total, unlisted (sentences: locked components that no SOUP item is about)
    release.anomalies      total, open (sentences), unassessed (sentences: open ones without cause, impact or rationale)
    release.tests          unknownItems (sentences); only where every board has a test run
    release.risk, release.reviews          policy/closure.py
    release.controls       policy/controls.py
    release.vulnerabilities, board.sbom    policy/supply.py
    board.name
    board.build            payloadDigest (of the application's binary)
    board.reproducibility  builds, compared (names), identical, differences (sentences),
                           varied (names: what the builds' surroundings differed in)
    board.signing          payloadDigest, imageDigest
    board.image            verified, message
    board.tests            collected, passed (counts), failed, error, notRun (sentences), payloadDigest, imageDigest,
                           before and after (board, version, commit, digest), identityErrors (sentences),
                           failedBefore and erredBefore (sentences: passed on retry, after an attempt that failed, or erred only),
                           quarantined (sentences)
    board.memory           programs (count), stacks (in words), overflow, recursion, unbounded (sentences), spare and spareWanted
                           (percent of the slot)
    release.coverage       wanted (whether any board records it), judged (whether the product keeps a list of reasons), never
                           (count), unexplained, stale (sentences: functions without a reason, reasons that do not hold)
    board.coverage         wanted, and where it is so: tests (count), figures (in words), short (sentences: below the minimum)
    board.campaigns        wanted (count), told (in words), failures, missing (sentences)
    board.analysis         tools, unproven (names), checks (count), failedChecks, errors (sentences), deviated (count),
                           wanted (count), absent (sentences: wanted tools that did not run), undisposed (findings that the
                           baseline has no decision about, in sentences; only where the product has one),
                           open (MISRA findings without a deviation, in sentences; only where the product has a file of them),
                           misra and others (counts of findings), claimed and baseline (whether the product has a file of
                           deviations, and a baseline: where not, `open` and `undisposed` are empty whatever was found)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from devicepipe.evidence.campaigns import Campaigns, as_wished
from devicepipe.evidence.coverage import METRICS, CoverageResult, MergedCoverage
from devicepipe.evidence.findings import SETTLED, Check, StaticAnalysis
from devicepipe.evidence.foreign_results import ForeignResults
from devicepipe.evidence.memory import Memory
from devicepipe.evidence.predicates import BuildResult, CampaignWish, ImageSigning, Reproducibility, SourceInfo
from devicepipe.evidence.results import Identity, TestRun, Verdict
from devicepipe.evidence.secrets import Secrets
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.vulnerabilities import Assessment
from devicepipe.policy.closure import reviews_data, risk_data
from devicepipe.policy.controls import controls_data
from devicepipe.policy.matrix import foreign_data, matrix_data, unknown_items
from devicepipe.policy.secrets import secrets_data
from devicepipe.policy.supply import SbomEvidence, sbom_data, vulnerability_data
from devicepipe.policy.trace import trace_data

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
        memory: What the programs take of the memories.
        coverage: What the tests executed, where the source says that it is recorded.
        campaigns: What became of injected faults, where the source asks for campaigns.
        sbom: The bill of materials of what is linked in.
    """

    board: str
    build: BuildResult | None = None
    reproducibility: Reproducibility | None = None
    signing: ImageSigning | None = None
    image: Check | None = None
    tests: TestRun | None = None
    analysis: StaticAnalysis | None = None
    memory: Memory | None = None
    coverage: CoverageResult | None = None
    campaigns: Campaigns | None = None
    sbom: SbomEvidence | None = None


@dataclass(frozen=True, slots=True)
class GateInput:
    """All evidence of a release; None is evidence that does not exist."""

    source: SourceInfo | None
    traceability: Traceability | None
    boards: tuple[BoardEvidence, ...]
    coverage: MergedCoverage | None = None
    vulnerabilities: Assessment | None = None
    secrets: Secrets | None = None
    foreign: ForeignResults | None = None

    @property
    def wishes(self) -> list[CampaignWish]:
        """The campaigns that each board must have run."""
        return self.source.wishes if self.source else []

    @property
    def day(self) -> str:
        """The day (YYYY-MM-DD) that the release is made on; "9999-12-31" where nothing says it: every support has ended then."""
        return self.source.started_on[:10] if self.source else "9999-12-31"

    @property
    def covered(self) -> list[str]:
        """The boards whose coverage is recorded."""
        return (self.source.coverage or []) if self.source else []


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
    if evidence.secrets is not None:
        data["secrets"] = secrets_data(evidence.secrets)
    if (traced := evidence.traceability) is not None:
        data |= matrix_data(traced)
        data |= trace_data(traced)
        data["risk"] = risk_data(traced)
        data["reviews"] = reviews_data(traced)
        data["controls"] = controls_data(traced)
        runs = [board.tests for board in evidence.boards if board.tests is not None]
        if len(runs) == len(evidence.boards):
            data["tests"] = {"unknownItems": unknown_items(traced, runs, evidence.foreign)}
    if evidence.foreign is not None:
        data["foreign"] = foreign_data(evidence.foreign)
    elif evidence.source is not None and not evidence.source.results:
        data["foreign"] = {"wanted": False}
    if (merged := evidence.coverage) is not None:
        data["coverage"] = _never_executed(merged)
    elif not evidence.covered:
        data["coverage"] = {"wanted": False}
    if evidence.source is not None:
        data |= _vulnerabilities(evidence, evidence.source)
    return data


def _vulnerabilities(evidence: GateInput, source: SourceInfo) -> Plain:
    """What is asked for and not there is no data."""
    if evidence.vulnerabilities is not None and evidence.traceability is not None:
        items = evidence.traceability.items
        return {"vulnerabilities": vulnerability_data(evidence.vulnerabilities, source.started_on, items)}
    return {} if source.vulnerabilities is not None else {"vulnerabilities": {"wanted": False}}


def board_data(
    evidence: BoardEvidence, covered: Sequence[str] = (), wishes: Sequence[CampaignWish] = (), day: str = "9999-12-31"
) -> Plain:
    """The variable `board`.

    Args:
        evidence: The board's evidence.
        covered: The boards whose coverage is recorded.
        wishes: The campaigns that each must have run.
        day: The day of the release (YYYY-MM-DD).
    """
    data: Plain = {"name": evidence.board}
    if evidence.build is not None:
        data["build"] = _build(evidence.build)
    if (builds := evidence.reproducibility) is not None:
        data["reproducibility"] = {
            "builds": builds.builds,
            "compared": list(builds.compared),
            "identical": builds.identical,
            "differences": [found.told() for found in builds.differences],
            "varied": [one.what for one in builds.varied or []],
        }
    if (signing := evidence.signing) is not None:
        data["signing"] = {"payloadDigest": signing.payload_digest, "imageDigest": signing.image_digest}
    if evidence.image is not None:
        data["image"] = {"verified": evidence.image.passed, "message": evidence.image.message}
    if evidence.tests is not None:
        data["tests"] = _tests(evidence.tests)
    if evidence.analysis is not None:
        data["analysis"] = _analysis(evidence.analysis)
    if evidence.memory is not None:
        data["memory"] = _memory(evidence.memory)
    if evidence.sbom is not None:
        data["sbom"] = sbom_data(evidence.sbom, day)
    return data | _optional(evidence, covered, wishes)


def _optional(evidence: BoardEvidence, covered: Sequence[str], wishes: Sequence[CampaignWish]) -> Plain:
    """What a product may leave out, which is told as such; what it asks for and is not there is no data."""
    data: Plain = {}
    if evidence.coverage is not None:
        data["coverage"] = _coverage(evidence.coverage)
    elif evidence.board not in covered:
        data["coverage"] = {"wanted": False}
    if evidence.campaigns is not None or not wishes:
        data["campaigns"] = _campaigns(evidence.campaigns, wishes)
    return data


def _coverage(coverage: CoverageResult) -> Plain:
    shares = {metric: coverage.total.share(metric) for metric in METRICS}
    figures = {metric: f"{share.executed} of {share.all} {metric}" for metric, share in shares.items()}
    return {
        "wanted": True,
        "tests": coverage.tests,
        "figures": ", ".join(figures.values()),
        "short": [
            f"{figures[metric]} were executed, {coverage.minimum.percent(metric)} % are wanted"
            for metric in coverage.short
        ],
    }


def _campaigns(campaigns: Campaigns | None, wishes: Sequence[CampaignWish]) -> Plain:
    results = campaigns.results if campaigns else []
    missing = [f"{failed.kind}: {failed.message}" for failed in (campaigns.unprepared if campaigns else [])]
    missing += [
        f"no {wish.kind} campaign of {wish.points} points with seed {wish.seed}"
        for wish in wishes
        if not any(as_wished(result, wish) for result in results)
    ]
    return {
        "wanted": len(wishes),
        "told": ", ".join(f"{result.kind} at {result.points} points" for result in results),
        "missing": missing,
        "failures": [
            f"{result.kind} {failure.point}: {failure.message} (again: {result.again(failure)})"
            for result in results
            for failure in result.failures
        ],
    }


def _never_executed(merged: MergedCoverage) -> Plain:
    return {
        "wanted": True,
        "judged": merged.reasons,
        "never": len(merged.never_executed),
        "unexplained": [
            f"{one.file}:{one.function} on {', '.join(one.boards)}"
            for one in merged.never_executed
            if merged.reasons and not one.reason
        ],
        "stale": list(merged.stale),
    }


def _memory(memory: Memory) -> Plain:
    stacks = {program.role: program.stack for program in memory.programs}
    slot = memory.slot
    return {
        "programs": len(stacks),
        "stacks": ", ".join(f"{role} {stack.worst} of {stack.reserved} bytes" for role, stack in stacks.items()),
        "overflow": [
            f"{role}: {stack.worst} bytes in the worst case, {stack.reserved} are reserved"
            for role, stack in stacks.items()
            if stack.worst > stack.reserved
        ],
        "recursion": [f"{role}: {circle}" for role, stack in stacks.items() for circle in stack.recursion],
        "unbounded": [f"{role}: {reason}" for role, stack in stacks.items() for reason in stack.unbounded],
        # Rounded down: 14.9 % are not 15.
        "spare": 100 * (slot.limit - slot.used) // slot.limit if slot.limit else 0,
        "spareWanted": memory.slot_spare,
    }


def _missing(evidence: GateInput) -> Iterator[str]:
    if evidence.source is None:
        yield "no source attestation"
    if evidence.traceability is None:
        yield "no traceability"
    if evidence.secrets is None:
        yield "no search for secrets"
    present = {board.board for board in evidence.boards}
    absent = [name for name in (evidence.source.boards if evidence.source else ()) if name not in present]
    yield from (f"{name}: no evidence at all" for name in absent)
    for board in evidence.boards:
        parts: dict[str, object] = {
            "build": board.build,
            "second build to compare": board.reproducibility,
            "signed image": board.signing,
            "verification of the image": board.image,
            "test run": board.tests,
            "static analysis": board.analysis,
            "measurement of the memories": board.memory,
            "bill of materials": board.sbom,
        }
        if board.board in evidence.covered:
            parts["coverage"] = board.coverage
        if evidence.wishes:
            parts["campaign"] = board.campaigns
        yield from (f"{board.board}: no {name}" for name, part in parts.items() if part is None)
    if evidence.source and evidence.source.vulnerabilities is not None and evidence.vulnerabilities is None:
        yield "no check of the components' vulnerabilities"
    if evidence.covered and evidence.coverage is None:
        yield "no merged coverage"
    if evidence.source and evidence.source.results and evidence.foreign is None:
        yield "no results of other test frameworks"


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
        "failedBefore": _passed_on_retry(run, failed=True),
        "erredBefore": _passed_on_retry(run, failed=False),
        "quarantined": [
            f"{case.id}, {case.verdict}: {held.reason} (until {held.expires}, {held.owner}; {held.file}:{held.line})"
            for case in run.cases
            if (held := case.quarantine) is not None
        ],
    }
    if run.identity_before is not None:
        data["before"] = _identity(run.identity_before)
    if run.identity_after is not None:
        data["after"] = _identity(run.identity_after)
    return data


def _passed_on_retry(run: TestRun, *, failed: bool) -> list[str]:
    return [
        f"{case.id}: attempt {number} of {len(case.earlier_attempts) + 1} ended in {attempt.verdict}: {attempt.reason}"
        for case in run.cases
        if case.passed_on_retry and failed == any(one.verdict is Verdict.FAILED for one in case.earlier_attempts)
        for number, attempt in enumerate(case.earlier_attempts, start=1)
    ]


def _identity(identity: Identity) -> Plain:
    return {
        "board": identity.board,
        "version": identity.version,
        "commit": identity.commit,
        "digest": identity.digest,
    }


def _analysis(analysis: StaticAnalysis) -> Plain:
    tools = [tool.name for tool in analysis.tools]
    data: Plain = {
        "tools": tools,
        "unproven": [name for name in tools if not analysis.proven_on.get(name)],
        "absent": [
            f"{name}: {(analysis.absent or {}).get(name, 'it did not run')}"
            for name in analysis.wanted or []
            if name not in tools
        ],
        "wanted": len(analysis.wanted or []),
        "errors": [
            f"{found.file}:{found.line}: {found.message} ({found.tool} {found.rule})"
            for found in analysis.findings
            if found.level == "error" and found.disposition not in SETTLED
        ],
        "checks": len(analysis.checks),
        "failedChecks": [f"{check.name}: {check.message}" for check in analysis.checks if not check.passed],
        "deviated": sum(found.deviated for found in analysis.findings),
        "misra": sum(found.rule.startswith("misra") for found in analysis.findings),
        "others": sum(not found.rule.startswith("misra") for found in analysis.findings),
        "claimed": analysis.deviations is not None,
        "baseline": analysis.dispositions is not None,
        "open": [],
    }
    data["undisposed"] = [
        f"{found.tool} {found.rule} in {found.file}:{found.line}"
        for found in analysis.findings
        if analysis.dispositions is not None
        and found.level != "error"
        and not found.rule.startswith("misra")
        and found.disposition in (None, "unreviewed")
    ]
    if analysis.deviations is not None:
        data["open"] = [
            f"{found.rule} in {found.file}:{found.line}"
            for found in analysis.findings
            if found.rule.startswith("misra") and not found.deviated
        ]
    return data
