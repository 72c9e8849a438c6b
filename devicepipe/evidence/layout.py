"""Where things lie in a bundle, and which attestation is which.

The table below is closed: a bundle holds exactly these attestations, one of each product kind and one of each board kind for every
board; of an optional kind, where the source attestation says so. An attestation of a known type under another name is refused, so
that there is never a second one to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass

from devicepipe.evidence import (
    campaigns,
    coverage,
    decisions,
    findings,
    foreign_results,
    history,
    memory,
    predicates,
    results,
    secrets,
    trace,
    vulnerabilities,
)
from devicepipe.evidence.model import Model

RELEASE_STATEMENT = "release.json"
RELEASE_ENVELOPE = "release.json.dsse"
IMAGE_KEY = "keys/image.pub.pem"
RELEASE_KEY = "keys/release.pub.pem"
SOURCE_FILES = "evidence/source/files.sha256"
"""The SHA-256 of every source file, as sha256sum prints it."""
SOURCE_CONFIG = "evidence/source/devicepipe.toml"
PYTHON_ENVIRONMENT = "evidence/source/python-environment.txt"
"""The Python packages that the release was made with."""
ATTESTATIONS = "attestations/"
SUFFIX = ".dsse.json"
PROOF_SUFFIX = ".tlog-proof"
"""Of what proves that something is in the log, beside a bundle or a history of keys."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of attestation: name, predicate type and model (None: JSON of a foreign schema), and whether each board has one.

    Of an `optional` kind, the source attestation says which boards have one.
    """

    name: str
    predicate_type: str
    model: type[Model] | None
    per_board: bool
    optional: bool = False

    def path_for(self, board: str = "") -> str:
        """The attestation's file in the bundle."""
        folder = f"{board}/" if self.per_board else ""
        return f"{ATTESTATIONS}{folder}{self.name}{SUFFIX}"


KINDS: tuple[Kind, ...] = (
    Kind("source", predicates.SOURCE, predicates.SourceInfo, per_board=False),
    Kind("build", predicates.PROVENANCE, predicates.Provenance, per_board=True),
    Kind("reproducibility", predicates.REPRODUCIBILITY, predicates.Reproducibility, per_board=True),
    Kind("analysis", predicates.STATIC_ANALYSIS, findings.StaticAnalysis, per_board=True),
    Kind("memory", predicates.MEMORY, memory.Memory, per_board=True),
    Kind("sbom", predicates.SBOM, None, per_board=True),
    Kind("build-sbom", predicates.SBOM, None, per_board=False),
    Kind("signing", predicates.IMAGE_SIGNING, predicates.ImageSigning, per_board=True),
    Kind("test", predicates.TEST_RESULT, results.TestResult, per_board=True),
    Kind("coverage", coverage.COVERAGE, coverage.CoverageResult, per_board=True, optional=True),
    Kind("merged-coverage", coverage.MERGED_COVERAGE, coverage.MergedCoverage, per_board=False, optional=True),
    Kind("campaigns", campaigns.CAMPAIGNS, campaigns.Campaigns, per_board=True, optional=True),
    Kind(
        "vulnerabilities",
        vulnerabilities.VULNERABILITIES,
        vulnerabilities.Vulnerabilities,
        per_board=False,
        optional=True,
    ),
    Kind("history", history.HISTORY, history.History, per_board=False, optional=True),
    Kind(
        "foreign-results",
        foreign_results.FOREIGN_RESULTS,
        foreign_results.ForeignResults,
        per_board=False,
        optional=True,
    ),
    Kind("secrets", secrets.SECRETS, secrets.Secrets, per_board=False),
    Kind("traceability", predicates.TRACEABILITY, trace.Traceability, per_board=False),
    Kind("gate", predicates.VERIFICATION_SUMMARY, decisions.VerificationSummary, per_board=False),
)

_BY_NAME = {kind.name: kind for kind in KINDS}
_BY_MODEL = {kind.model: kind for kind in KINDS if kind.model is not None}


def sbom_file(board: str = "") -> str:
    """The file of a board's bill of materials; without a board, that of what built and tested the product."""
    return f"evidence/{board}/sbom.cdx.json" if board else "evidence/build-sbom.cdx.json"


def kind_named(name: str) -> Kind:
    """The kind of that name; KeyError if there is none."""
    return _BY_NAME[name]


def kind_of_model(model: type[Model]) -> Kind:
    """The kind whose predicate is that model; KeyError if there is none."""
    return _BY_MODEL[model]


def kind_of_path(path: str) -> tuple[Kind, str] | None:
    """Kind and board ("" for a product kind) of an attestation's file; None where no attestation belongs there."""
    if not path.startswith(ATTESTATIONS) or not path.endswith(SUFFIX):
        return None
    *folders, name = path.removeprefix(ATTESTATIONS).removesuffix(SUFFIX).split("/")
    kind = _BY_NAME.get(name)
    if kind is None or len(folders) != int(kind.per_board):
        return None
    return kind, "".join(folders)
