"""What a document is made from: a release's evidence as values, put together by a stage from the bundle alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from devicepipe.documents.definition import DocumentSet
from devicepipe.documents.model import Logo
from devicepipe.evidence.campaigns import Campaigns
from devicepipe.evidence.components import read_component
from devicepipe.evidence.coverage import CoverageResult, MergedCoverage
from devicepipe.evidence.decisions import Decisions
from devicepipe.evidence.findings import StaticAnalysis
from devicepipe.evidence.foreign_results import ForeignResults
from devicepipe.evidence.history import History
from devicepipe.evidence.memory import Memory
from devicepipe.evidence.predicates import BuildResult, ImageSigning, KeyInfo, Reproducibility, SourceInfo
from devicepipe.evidence.results import TestRun
from devicepipe.evidence.secrets import Secrets
from devicepipe.evidence.trace import Item, Traceability
from devicepipe.evidence.vulnerabilities import Assessment
from devicepipe.evidence.words import HOST, REQUIREMENT

PASSED = "passed"


@dataclass(frozen=True, slots=True)
class SoftwareItem:
    """A component of the SBOM: what IEC 62304 8.1.2 asks of SOUP (title, manufacturer, unique designator) and its digest."""

    name: str
    version: str
    kind: str = ""
    supplier: str = ""
    licences: str = ""
    purl: str = ""
    sha256: str = ""
    support: str = ""
    linked: bool = True

    @classmethod
    def from_cyclonedx(cls, component: Mapping[str, Any]) -> SoftwareItem:
        """Read a component of a CycloneDX JSON SBOM (1.4 or later); what it does not say stays empty."""
        read = read_component(component)
        support = [read.support_level.replace("-", " "), f"until {read.end_of_support}" if read.end_of_support else ""]
        return cls(
            name=str(component.get("name", "")),
            version=str(component.get("version", "")),
            kind=str(component.get("type", "")),
            supplier=_supplier(component),
            licences=", ".join(_licences(component.get("licenses", []))),
            purl=str(component.get("purl", "")),
            sha256=read.sha256,
            support=", ".join(filter(None, support)).replace("until not announced", "no end announced"),
            linked=read.linked,
        )


def _supplier(component: Mapping[str, Any]) -> str:
    for key in ("supplier", "manufacturer"):
        name = component.get(key, {}).get("name", "")
        if name:
            return str(name)
    authors = [author.get("name", "") for author in component.get("authors", [])]
    return ", ".join(filter(None, authors)) or str(component.get("author", "") or component.get("publisher", ""))


def _licences(choices: Iterable[Mapping[str, Any]]) -> list[str]:
    found = []
    for choice in choices:
        licence = choice.get("license", {})
        found.append(str(choice.get("expression") or licence.get("id") or licence.get("name", "")))
    return [name for name in found if name]


@dataclass(frozen=True, slots=True)
class SignedLine:
    """A signature of a person, as an approved copy shows it.

    Attributes:
        role: The role that it was given in.
        meaning: What it means.
        done: What it does, in a word.
        counts: Whether it still counts; an approval does not that was taken back, or that a rejection made void.
        name: The signer's printed name.
        account: The signer's account.
        on: When, in UTC.
        file: Its file in the record of signatures.
        sha256: The SHA-256 of that.
    """

    role: str
    meaning: str
    done: str
    counts: bool
    name: str
    account: str
    on: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SignedBy:
    """The signatures of people under a release: where it stands by them, the SHA-256 of the release statement, and each."""

    state: str
    release: str
    lines: tuple[SignedLine, ...]


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file of the bundle: bundle-relative path and SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """A release as its documents tell it.

    Per-board evidence may be missing (a build failed, a device never answered): documents then say so, and never leave it out.
    `texts` are the sections' texts by file name (devicepipe.documents.texts); one that is missing stays empty. `documents` are the
    definitions, None for those of this version of devicepipe, `logo` what they name as one. `level` is the documentation level that
    the product's rule sets judge for, "" where they judge for none. `preview` says that texts or definitions are not the bundle's.
    `people` are the signatures of people; None in the documents of the bundle, which is sealed before anybody signs.
    `files` are the bundle's files that existed before the documents. `boms` are the boards' bills of materials as CycloneDX JSON.
    """

    source: SourceInfo
    traceability: Traceability
    decisions: Decisions
    builds: tuple[BuildResult, ...] = ()
    reproducibility: tuple[Reproducibility, ...] = ()
    signing: tuple[ImageSigning, ...] = ()
    runs: tuple[TestRun, ...] = ()
    analyses: tuple[StaticAnalysis, ...] = ()
    memories: tuple[Memory, ...] = ()
    coverages: tuple[CoverageResult, ...] = ()
    merged_coverage: MergedCoverage | None = None
    campaigns: tuple[Campaigns, ...] = ()
    software_items: tuple[SoftwareItem, ...] = ()
    boms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    vulnerabilities: Assessment | None = None
    history: History | None = None
    level: Literal["", "basic", "enhanced"] = ""
    secrets: Secrets | None = None
    foreign: ForeignResults | None = None
    files: tuple[FileDigest, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    paper: Literal["A4", "Letter"] = "A4"
    documents: DocumentSet | None = None
    logo: Logo | None = None
    preview: bool = False
    people: SignedBy | None = None

    @property
    def releasable(self) -> bool:
        """The gate's word, unless the record itself speaks against it: a dirty tree, a failed rule, or no decision at all."""
        decided = self.decisions.decisions
        held = bool(decided) and not any(decision.stops for decision in decided)
        return self.decisions.releasable and held and not self.source.dirty

    @property
    def status(self) -> str:
        """RELEASABLE or NOT RELEASABLE."""
        return "RELEASABLE" if self.releasable else "NOT RELEASABLE"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not releasable; empty when it is."""
        if self.releasable:
            return ()
        reasons = tuple(self.decisions.reasons)
        if self.source.dirty and not any("dirty" in reason or "modified" in reason for reason in reasons):
            reasons = ("The source tree differed from the commit (dirty).", *reasons)
        return reasons or ("The gate did not decide for release and gave no reason.",)

    @property
    def development_keys(self) -> bool:
        """Whether the images or the release are signed with development keys."""
        keys = [self.source.image_key, self.source.release_key, *(signing.key for signing in self.signing)]
        return any(key.development for key in keys)

    @property
    def changes(self) -> dict[str, str]:
        """Item -> how it changed since the last earlier release that was given; unchanged ones are left out."""
        previous = self.history.previous if self.history else None
        if previous is None:
            return {}
        return {
            item.id: f"{'changed' if item.id in previous.items else 'new'} since {previous.version}"
            for item in self.traceability.items
            if previous.items.get(item.id) != item.fingerprint
        }

    def build(self, board: str) -> BuildResult | None:
        """The board's build, or None."""
        return next((build for build in self.builds if build.board == board), None)

    def reproduced(self, board: str) -> Reproducibility | None:
        """The comparison of the board's two builds, or None."""
        return next((result for result in self.reproducibility if result.board == board), None)

    def signed(self, board: str) -> ImageSigning | None:
        """The board's signed image, or None."""
        return next((signing for signing in self.signing if signing.board == board), None)

    def run(self, board: str) -> TestRun | None:
        """The board's test run, or None."""
        return next((run for run in self.runs if run.board == board), None)

    def analysis(self, board: str) -> StaticAnalysis | None:
        """The board's static analysis, or None."""
        return next((analysis for analysis in self.analyses if analysis.board == board), None)

    def memory(self, board: str) -> Memory | None:
        """The measurement of the board's memories, or None."""
        return next((memory for memory in self.memories if memory.board == board), None)

    def coverage(self, board: str) -> CoverageResult | None:
        """What the board's tests executed, or None."""
        return next((coverage for coverage in self.coverages if coverage.board == board), None)

    def campaign(self, board: str) -> Campaigns | None:
        """The board's fault-injection campaigns, or None."""
        return next((campaigns for campaigns in self.campaigns if campaigns.board == board), None)


@dataclass(frozen=True, slots=True)
class Untested:
    """A requirement that no passed test verifies on a board that it applies to, and the verdicts that are there instead."""

    item: Item
    board: str
    seen: tuple[str, ...]


def requirements(record: ReleaseRecord) -> list[Item]:
    """The requirements among the items, in their order."""
    return [item for item in record.traceability.items if item.type == REQUIREMENT]


def untested(record: ReleaseRecord) -> list[Untested]:
    """Requirements and boards without a passed test or a record, read from the matrix itself: the documents' own look at it."""
    seen: dict[tuple[str, str], list[str]] = {}
    for row in record.traceability.matrix:
        for board, verdict in row.verdicts.items():
            if row.test and verdict:
                seen.setdefault((row.requirement, board), []).append(verdict)
    return [
        Untested(item, board, tuple(sorted(set(verdicts))))
        for item in requirements(record)
        if not item.record and not (item.on_host and PASSED in seen.get((item.id, HOST), []))
        for board in item.boards
        if PASSED not in (verdicts := seen.get((item.id, board), []))
    ]


def empty_record(documents: DocumentSet, boards: list[str]) -> ReleaseRecord:
    """A release without any evidence: what its documents are put together from to see whether their definitions hold."""
    key = KeyInfo(keyid="0" * 64, scheme="none", development=True)
    source = SourceInfo(
        product="product",
        title="title",
        manufacturer="manufacturer",
        safety_class="C",
        version="0.0.0",
        commit="0" * 40,
        commit_time="1970-01-01T00:00:00Z",
        dirty=False,
        boards=boards,
        started_on="1970-01-01T00:00:00Z",
        tester="",
        tools=[],
        image_key=key,
        release_key=key,
    )
    return ReleaseRecord(
        source=source,
        traceability=Traceability(items=[], matrix=[], findings=[]),
        decisions=Decisions(rule_set="", releasable=False, reasons=[], decisions=[]),
        documents=documents,
    )
