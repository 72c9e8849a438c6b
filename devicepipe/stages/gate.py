"""Gate: the rules judge the evidence; the decisions become a SLSA verification summary."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files

from devicepipe.errors import IntegrityError
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.layout import kind_of_model
from devicepipe.evidence.predicates import (
    VERIFICATION_SUMMARY,
    Check,
    ImageSigning,
    Provenance,
    Reproducibility,
    SourceInfo,
    StaticAnalysis,
    TestResult,
    Traceability,
    VerificationSummary,
)
from devicepipe.policy.evidence import BoardEvidence, GateInput
from devicepipe.policy.gate import decide
from devicepipe.policy.rules import load_rule_set
from devicepipe.signing.image import verify_image
from devicepipe.stages.context import Context

RULE_SET = "release"
_RULES = f"evidence/policy/{RULE_SET}.toml"


def gate(context: Context) -> None:
    """Judge all attestations so far, and write the decisions with the rules they were made by.

    Raises:
        IntegrityError: An attestation is missing or malformed.
    """
    bundle, writer = context.bundle, context.writer
    source = bundle.predicate(SourceInfo)
    evidence = GateInput(
        source=source,
        traceability=bundle.predicate(Traceability),
        boards=tuple(_board_evidence(context, board) for board in source.boards),
    )
    decisions = decide(evidence, load_rule_set(RULE_SET))
    rules = writer.add_bytes((files("devicepipe.policy") / "rule_sets" / f"{RULE_SET}.toml").read_bytes(), _RULES)
    own = kind_of_model(VerificationSummary).path_for()
    summary = VerificationSummary(
        verifier={"id": "urn:devicepipe:gate", "version": {"devicepipe": version("devicepipe")}},
        time_verified=utc_now(),
        resource_uri=f"urn:devicepipe:release:{source.product}:{source.version}",
        policy={"uri": rules.name, "digest": rules.digest.to_json()},
        input_attestations=[other.as_input() for other in bundle.attestations() if other.path != own],
        verification_result="PASSED" if decisions.releasable else "FAILED",
        verified_levels=["SLSA_BUILD_LEVEL_1"] if decisions.releasable else ["FAILED"],
        devicepipe=decisions,
    )
    images = [bundle.predicate(ImageSigning, board) for board in source.boards]
    subjects = [name for image in images for name in (image.image, image.factory_image)]
    writer.attest("gate", VERIFICATION_SUMMARY, summary, subjects)


def _board_evidence(context: Context, board: str) -> BoardEvidence:
    bundle = context.bundle
    signing = bundle.predicate(ImageSigning, board)
    return BoardEvidence(
        board=board,
        build=bundle.predicate(Provenance, board).devicepipe,
        reproducibility=bundle.predicate(Reproducibility, board),
        signing=signing,
        image=_verified(context, signing),
        tests=bundle.predicate(TestResult, board).devicepipe,
        analysis=bundle.predicate(StaticAnalysis, board),
    )


def _verified(context: Context, signing: ImageSigning) -> Check:
    """Whether the bundle's image verifies, seen with our own eyes and not taken from the signing attestation."""
    name = f"{signing.image} verifies"
    try:
        image = verify_image(context.bundle.path(signing.image), context.keys.image.public)
    except IntegrityError as error:
        return Check(name=name, passed=False, message=str(error))
    return Check(name=name, passed=True, message=f"imgtool verifies it under the key {image.keyid[:16]}")
