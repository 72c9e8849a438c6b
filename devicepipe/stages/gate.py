"""Gate: the rules judge the evidence; the decisions become a SLSA verification summary."""

from __future__ import annotations

from datetime import date
from importlib.metadata import version
from pathlib import Path

from devicepipe.analysis.cyclonedx_text import schema_problem
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.campaigns import Campaigns
from devicepipe.evidence.checks import authors_of
from devicepipe.evidence.components import components_of
from devicepipe.evidence.coverage import CoverageResult, MergedCoverage
from devicepipe.evidence.decisions import WAIVER_SUFFIX, WAIVERS, VerificationSummary
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.findings import Check, StaticAnalysis
from devicepipe.evidence.foreign_results import ForeignResults
from devicepipe.evidence.layout import SOURCE_CONFIG, kind_named, kind_of_model
from devicepipe.evidence.ledger.proof import SUFFIX as PROOF_SUFFIX
from devicepipe.evidence.memory import Memory
from devicepipe.evidence.personal_waivers import beside, is_waiver, needed, waiver_policy
from devicepipe.evidence.predicates import VERIFICATION_SUMMARY, ImageSigning, Provenance, Reproducibility, SourceInfo
from devicepipe.evidence.results import TestResult
from devicepipe.evidence.secrets import Secrets
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.vulnerabilities import Vulnerabilities
from devicepipe.policy.evidence import BoardEvidence, GateInput
from devicepipe.policy.gate import decide
from devicepipe.policy.rules import load_policy
from devicepipe.policy.supply import SbomEvidence
from devicepipe.policy.waivers import GivenWaiver, read_waiver
from devicepipe.signing.image import verify_image
from devicepipe.signing.keys import PublicKey
from devicepipe.stages.context import Context

RULES = "evidence/policy/rules.toml"


def gate(context: Context) -> None:
    """Judge all attestations so far, and write the decisions with the rules they were made by.

    Raises:
        IntegrityError: An attestation is missing or malformed.
        UsageError: The product's rules are wrong.
    """
    bundle, writer = context.bundle, context.writer
    evidence = evidence_of(bundle, context.keys.image.public)
    source = bundle.predicate(SourceInfo)
    rule_set = load_policy(context.project)
    now = utc_now()
    decisions = decide(evidence, rule_set, _waivers(context), date.fromisoformat(now[:10]))
    rules = writer.add_bytes(rule_set.text.encode(), RULES)
    own = kind_of_model(VerificationSummary).path_for()
    summary = VerificationSummary(
        verifier={"id": "urn:devicepipe:gate", "version": {"devicepipe": version("devicepipe")}},
        time_verified=now,
        resource_uri=f"urn:devicepipe:release:{source.product}:{source.version}",
        policy={"uri": rules.name, "digest": rules.digest.to_json()},
        input_attestations=[other.as_input() for other in bundle.attestations() if other.path != own],
        verification_result="PASSED" if decisions.releasable else "FAILED",
        verified_levels=["SLSA_BUILD_LEVEL_1"] if decisions.releasable else ["FAILED"],
        devicepipe=decisions,
    )
    images = [bundle.predicate(ImageSigning, board) for board in source.boards]
    subjects = [name for signing in images for name in (*signing.images, signing.factory_image)]
    writer.attest("gate", VERIFICATION_SUMMARY, summary, subjects)


def evidence_of(bundle: Bundle, image_key: PublicKey) -> GateInput:
    """What a gate judges of a bundle: its attestations, and what becomes of verifying its images with that key.

    Raises:
        IntegrityError: An attestation is missing or malformed.
    """
    source = bundle.predicate(SourceInfo)
    return GateInput(
        source=source,
        traceability=bundle.predicate(Traceability),
        boards=tuple(_board_evidence(bundle, board, image_key) for board in source.boards),
        coverage=bundle.predicate(MergedCoverage) if source.coverage else None,
        secrets=bundle.predicate(Secrets),
        foreign=bundle.predicate(ForeignResults) if source.results else None,
        vulnerabilities=bundle.predicate(Vulnerabilities).devicepipe if source.vulnerabilities is not None else None,
    )


def _waivers(context: Context) -> list[GivenWaiver]:
    """The product's waivers, each copied into the bundle whatever it is worth."""
    folder = context.project.root / context.project.policy.waivers
    files = _files(folder)
    waivers = {name: data for name, data in files.items() if is_waiver(name)}
    around, source = beside(files), context.bundle.predicate(SourceInfo)
    policy = waiver_policy(context.bundle.read(SOURCE_CONFIG), authors_of(source, kind_of_model(SourceInfo).path_for()))
    for name in sorted(files.keys() & needed(waivers)):
        context.writer.add_bytes(files[name], f"{WAIVERS}{name}")
    given: list[GivenWaiver] = []
    for name, data in waivers.items():
        added = context.writer.add_bytes(data, f"{WAIVERS}{name}")
        key = context.keys.release.public
        given.append(read_waiver(data, key, added.name, added.digest.sha256, around, policy))
    return given


def _files(folder: Path) -> dict[str, bytes]:
    """The files of a product's waivers and of what may lie beside them, by name, sorted."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.endswith((WAIVER_SUFFIX, PROOF_SUFFIX)):
            try:
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
            except OSError as error:
                raise UsageError(f"cannot be read: {error.strerror}", file=path) from error
    return found


def _board_evidence(bundle: Bundle, board: str, image_key: PublicKey) -> BoardEvidence:
    signing = bundle.predicate(ImageSigning, board)
    covered = board in (bundle.predicate(SourceInfo).coverage or [])
    return BoardEvidence(
        board=board,
        build=bundle.predicate(Provenance, board).devicepipe,
        reproducibility=bundle.predicate(Reproducibility, board),
        signing=signing,
        image=_verified(bundle, signing, image_key),
        tests=bundle.predicate(TestResult, board).devicepipe,
        analysis=bundle.predicate(StaticAnalysis, board),
        memory=bundle.predicate(Memory, board),
        coverage=bundle.predicate(CoverageResult, board) if covered else None,
        campaigns=bundle.predicate(Campaigns, board) if bundle.predicate(SourceInfo).wishes else None,
        sbom=sbom_evidence(bundle, board),
    )


def sbom_evidence(bundle: Bundle, board: str) -> SbomEvidence:
    """A board's bill of materials, checked against the schema once more: what was attested counts, not who made it.

    Raises:
        IntegrityError: There is none, or it is none of CycloneDX.
    """
    attestation = bundle.attestation(kind_named("sbom").path_for(board))
    document = attestation.statement.predicate
    return SbomEvidence(tuple(components_of(document, attestation.path)), schema_problem(document))


def _verified(bundle: Bundle, signing: ImageSigning, key: PublicKey) -> Check:
    """Whether the bundle's images verify, seen with our own eyes and not taken from the signing attestation."""
    name = f"{', '.join(signing.images)} verify"
    try:
        for image in signing.images:
            verify_image(bundle.path(image), key)
    except IntegrityError as error:
        return Check(name=name, passed=False, message=str(error))
    names = ", ".join(image.rpartition("/")[2] for image in signing.images)
    return Check(name=name, passed=True, message=f"imgtool verifies {names} under the key {key.keyid[:16]}")
