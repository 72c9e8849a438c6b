"""Document: the release's documents, from nothing but what the bundle holds."""

from __future__ import annotations

import tomllib
from typing import Any, Literal

from devicepipe.documents.record import FileDigest, ReleaseRecord, SoftwareItem
from devicepipe.documents.release import render_documents
from devicepipe.documents.texts import TEXT_NAMES, load_texts
from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.campaigns import Campaigns
from devicepipe.evidence.coverage import CoverageResult, MergedCoverage
from devicepipe.evidence.decisions import VerificationSummary
from devicepipe.evidence.layout import RELEASE_ENVELOPE, RELEASE_STATEMENT
from devicepipe.evidence.predicates import (
    SBOM,
    ImageSigning,
    Memory,
    Provenance,
    Reproducibility,
    SourceInfo,
    StaticAnalysis,
    Traceability,
)
from devicepipe.evidence.results import TestResult
from devicepipe.evidence.secrets import Secrets
from devicepipe.evidence.vulnerabilities import Vulnerabilities
from devicepipe.stages.context import Context
from devicepipe.stages.source import CONFIG, check_source

FOLDER = "documents/"
_TEXTS = "evidence/texts/"


def document(context: Context) -> None:
    """Add the texts that people edit, and the documents.

    Raises:
        UsageError: A text is of an unknown name or not UTF-8.
    """
    check_source(context)
    project = context.project
    folder = project.root / project.documents.path if project.documents.path is not None else None
    for name, text in load_texts(folder).items():
        context.writer.add_bytes(text.encode(), f"{_TEXTS}{name}")
    for name, data in documents_of(context.bundle).items():
        context.writer.add_bytes(data, name)


def documents_of(bundle: Bundle) -> dict[str, bytes]:
    """The documents of a bundle by name, made from its evidence alone: the same bytes each time, sealed or not.

    Raises:
        IntegrityError: Evidence is missing or malformed.
    """
    try:
        rendered = render_documents(_record(bundle))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        # A bundle that nobody verified may hold anything: texts that are no text, an SBOM that is none.
        raise IntegrityError(
            f"holds evidence that no document can be made of: {error}",
            link=str(bundle.folder),
            remedy="verify the bundle",
        ) from error
    return {f"{FOLDER}{name}": data for name, data in rendered.items()}


def _record(bundle: Bundle) -> ReleaseRecord:
    source = bundle.predicate(SourceInfo)
    boards = source.boards
    after = (RELEASE_STATEMENT, RELEASE_ENVELOPE)
    files = [name for name in bundle.names() if not name.startswith(FOLDER) and name not in after]
    return ReleaseRecord(
        source=source,
        traceability=bundle.predicate(Traceability),
        decisions=bundle.predicate(VerificationSummary).devicepipe,
        builds=tuple(bundle.predicate(Provenance, board).devicepipe for board in boards),
        reproducibility=tuple(bundle.predicate(Reproducibility, board) for board in boards),
        signing=tuple(bundle.predicate(ImageSigning, board) for board in boards),
        runs=tuple(bundle.predicate(TestResult, board).devicepipe for board in boards),
        analyses=tuple(bundle.predicate(StaticAnalysis, board) for board in boards),
        campaigns=tuple(bundle.predicate(Campaigns, board) for board in boards) if source.wishes else (),
        memories=tuple(bundle.predicate(Memory, board) for board in boards),
        coverages=tuple(bundle.predicate(CoverageResult, board) for board in source.coverage or ()),
        merged_coverage=bundle.predicate(MergedCoverage) if source.coverage else None,
        software_items=_software_items(bundle),
        boms={found.board: found.statement.predicate for found in bundle.statements(SBOM) if found.board},
        vulnerabilities=bundle.predicate(Vulnerabilities).devicepipe if source.vulnerabilities is not None else None,
        secrets=bundle.predicate(Secrets),
        files=tuple(FileDigest(name, bundle.sha256(name)) for name in files),
        # A bundle of an earlier version lacks the texts of sections that came later: they stay empty.
        texts={
            name: bundle.read(f"{_TEXTS}{name}").decode() for name in TEXT_NAMES if bundle.exists(f"{_TEXTS}{name}")
        },
        paper=_paper(bundle),
    )


def _software_items(bundle: Bundle) -> tuple[SoftwareItem, ...]:
    """Every component that the SBOM of any board has, once; what built and tested the product is no part of it."""
    found: dict[SoftwareItem, None] = {}
    for attestation in bundle.statements(SBOM):
        if not attestation.board:
            continue
        components: list[dict[str, Any]] = attestation.statement.predicate.get("components", [])
        found.update(dict.fromkeys(SoftwareItem.from_cyclonedx(component) for component in components))
    return tuple(found)


def _paper(bundle: Bundle) -> Literal["A4", "Letter"]:
    """The paper size that the released devicepipe.toml asked for."""
    documents = tomllib.loads(bundle.read(CONFIG).decode()).get("documents", {})
    return "Letter" if documents.get("paper") == "Letter" else "A4"
