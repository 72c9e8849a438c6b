"""Document: the release's documents, from nothing but what the bundle holds."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from devicepipe.documents.definition import shipped_definitions
from devicepipe.documents.model import Document
from devicepipe.documents.pdfa import Attachment
from devicepipe.documents.record import FileDigest, ReleaseRecord, SignedBy, SoftwareItem, empty_record
from devicepipe.documents.release import compose_documents, record_copies, render_documents
from devicepipe.documents.sources import Sources, load_sources
from devicepipe.documents.texts import default_texts
from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.campaigns import Campaigns
from devicepipe.evidence.coverage import CoverageResult, MergedCoverage
from devicepipe.evidence.decisions import VerificationSummary
from devicepipe.evidence.findings import StaticAnalysis
from devicepipe.evidence.foreign_results import ForeignResults
from devicepipe.evidence.history import History
from devicepipe.evidence.layout import RELEASE_ENVELOPE, RELEASE_STATEMENT
from devicepipe.evidence.log_proofs import LOG
from devicepipe.evidence.memory import Memory
from devicepipe.evidence.predicates import SBOM, ImageSigning, Provenance, Reproducibility, SourceInfo
from devicepipe.evidence.results import TestResult
from devicepipe.evidence.secrets import Secrets
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.vulnerabilities import Vulnerabilities
from devicepipe.project.config import Project
from devicepipe.stages.context import Context
from devicepipe.stages.source import CONFIG, check_source

T = TypeVar("T")

FOLDER = "documents/"
_TEXTS = "evidence/texts/"
_SHIPPED = f"{_TEXTS}definitions/"
_OWN = f"{_TEXTS}own/"


def _folder(project: Project) -> Path | None:
    return project.root / project.documents.path if project.documents.path is not None else None


def check_documents(project: Project) -> None:
    """Check the texts and definitions of a project before anything is built: each document is put together once, without evidence.

    Raises:
        UsageError: A mistake in them.
    """
    boards = [board.name for board in project.boards]
    compose_documents(empty_record(load_sources(_folder(project)).documents(), boards))


def document(context: Context) -> None:
    """Add what people edit of the documents (texts, definitions, the logo), and the documents.

    Raises:
        UsageError: A mistake in a text or a definition.
    """
    check_source(context)
    sources = load_sources(_folder(context.project))
    add = context.writer.add_bytes
    for name, text in sources.texts.items():
        add(text.encode(), f"{_TEXTS}{name}")
    for name, text in sources.shipped.items():
        add(text.encode(), f"{_SHIPPED}{name}")
    for name, text in sources.definitions.items():
        add(text.encode(), f"{_OWN}{name}")
    for name, data in sources.logos.items():
        add(data, f"{_OWN}{name}")
    for name, data in documents_of(context.bundle).items():
        add(data, name)


def documents_of(bundle: Bundle) -> dict[str, bytes]:
    """The documents of a bundle by name, made from its evidence alone: the same bytes each time, sealed or not.

    Raises:
        IntegrityError: Evidence is missing or malformed.
        UsageError: A mistake in a definition.
    """
    return Documents(bundle).render()


class Documents:
    """The documents of a bundle. Its evidence is read once, however often they are made.

    Where `reports` is given, the texts and definitions of that folder are taken instead of the bundle's: a preview.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._evidence: ReleaseRecord | None = None

    def names(self, reports: Path | None = None) -> tuple[str, ...]:
        """The names of the documents.

        Raises:
            UsageError: A mistake in a definition.
        """
        return tuple(definition.name for definition in _sources(self._bundle, reports).documents().documents)

    def compose(self, reports: Path | None = None) -> tuple[Document, ...]:
        """The documents as blocks. Raises as `render`."""
        return self._made(reports, compose_documents)

    def render(self, names: tuple[str, ...] = (), reports: Path | None = None) -> dict[str, bytes]:
        """The files of the documents of those names (all, where there is none), by name.

        Raises:
            IntegrityError: Evidence is missing or malformed.
            UsageError: A mistake in a definition.
        """
        made = self._made(reports, lambda record: render_documents(record, names))
        return {f"{FOLDER}{name}": data for name, data in made.items()}

    def record_copies(self, people: SignedBy | None = None, extra: Sequence[Attachment] = ()) -> dict[str, bytes]:
        """The record copies by document, with the signatures of people shown and files attached. Raises as `render`."""
        return self._made(None, lambda record: record_copies(replace(record, people=people), extra))

    def _made(self, reports: Path | None, make: Callable[[ReleaseRecord], T]) -> T:
        sources = _sources(self._bundle, reports)
        try:
            if self._evidence is None:
                self._evidence = _evidence(self._bundle)
            record = replace(
                self._evidence,
                texts=sources.texts,
                documents=sources.documents(),
                logo=sources.logo(),
                preview=reports is not None,
            )
            return make(record)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # A bundle that nobody verified may hold anything: texts that are no text, an SBOM that is none.
            raise IntegrityError(
                f"holds evidence that no document can be made of: {error}",
                link=str(self._bundle.folder),
                remedy="verify the bundle",
            ) from error


def _sources(bundle: Bundle, reports: Path | None) -> Sources:
    """The texts and definitions of a folder, else those in the bundle."""
    if reports is not None:
        return load_sources(reports)
    names = bundle.names()
    texts = {name.removeprefix(_TEXTS): bundle.read(name).decode() for name in names if _is_text(name)}
    shipped = {name.removeprefix(_SHIPPED): bundle.read(name).decode() for name in names if name.startswith(_SHIPPED)}
    if not shipped:
        # A bundle of a version that had no definitions: this version's, with its texts where the bundle has none of the name.
        return Sources(default_texts() | texts)
    own = {name.removeprefix(_OWN): bundle.read(name) for name in names if name.startswith(_OWN)}
    order = [name for name in shipped_definitions() if name in shipped]
    return Sources(
        texts,
        {name: data.decode() for name, data in own.items() if name.endswith(".toml")},
        {name: data for name, data in own.items() if not name.endswith(".toml")},
        shipped={name: shipped[name] for name in (*order, *sorted(shipped.keys() - set(order)))},
        folder=bundle.folder / _OWN,
    )


def _is_text(name: str) -> bool:
    return name.startswith(_TEXTS) and "/" not in name.removeprefix(_TEXTS) and name.endswith(".md")


def _evidence(bundle: Bundle) -> ReleaseRecord:
    """The record of a bundle, without texts and definitions."""
    source = bundle.predicate(SourceInfo)
    boards = source.boards
    after = (RELEASE_STATEMENT, RELEASE_ENVELOPE)
    files = [name for name in bundle.names() if not name.startswith((FOLDER, LOG)) and name not in after]
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
        foreign=bundle.predicate(ForeignResults) if source.results else None,
        files=tuple(FileDigest(name, bundle.sha256(name)) for name in files),
        history=bundle.predicate(History) if source.history else None,
        level=_level(bundle),
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


def _level(bundle: Bundle) -> Literal["", "basic", "enhanced"]:
    """The documentation level that the released devicepipe.toml has judged for: that of its rule sets for a submission."""
    named = tomllib.loads(bundle.read(CONFIG).decode()).get("policy", {}).get("rule-sets", [])
    sets = [str(name).rpartition("/")[2].removesuffix(".toml") for name in named]
    if "fda-premarket-enhanced" in sets:
        return "enhanced"
    return "basic" if "fda-premarket-basic" in sets else ""


def _paper(bundle: Bundle) -> Literal["A4", "Letter"]:
    """The paper size that the released devicepipe.toml asked for."""
    documents = tomllib.loads(bundle.read(CONFIG).decode()).get("documents", {})
    return "Letter" if documents.get("paper") == "Letter" else "A4"
