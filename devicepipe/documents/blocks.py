"""The blocks that a definition may name: what each shows, and how it is built from a release's record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from devicepipe.documents import (
    anomalies,
    control,
    details,
    figures,
    identity,
    protocol,
    release_notes,
    risk_closure,
    risk_control,
    risks,
    security,
    specification,
    submission,
    summary,
    versions,
)
from devicepipe.documents.campaigns import campaigns
from devicepipe.documents.coverage import coverage
from devicepipe.documents.foreign import foreign
from devicepipe.documents.matrix import matrix_table
from devicepipe.documents.measurements import measurements_table
from devicepipe.documents.memory import memory
from devicepipe.documents.model import Block
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.scope import Scope
from devicepipe.documents.secrets import secrets_found
from devicepipe.documents.vulnerabilities import vulnerabilities

_Built = tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A block: what it shows, how it is built, and whether it depends on the document it stands in (`own`)."""

    about: str
    build: Callable[[Scope], _Built]
    own: bool = False


def _of(about: str, build: Callable[[ReleaseRecord], Block | _Built]) -> Kind:
    """A block that depends on the record alone."""

    def built(scope: Scope) -> _Built:
        found = build(scope.record)
        return found if isinstance(found, tuple) else (found,)

    return Kind(about, built)


def _own(about: str, build: Callable[[Scope], _Built]) -> Kind:
    return Kind(about, build, own=True)


# Numbers of headings inside a block are given by the document that it stands in, whatever the builder says.
BLOCKS: Final[dict[str, Kind]] = {
    "title": _own("the title, with the manufacturer and the product", control.title),
    "control": _own("number, revision and status of the document, product, version and commit", control.control),
    "approval": _own("a line for each role that signs", control.approval),
    "status": _of("whether the release may be released, and why not", identity.release_status),
    "identity": _of("product, version, commit, boards, tester, times", identity.identity),
    "images": _of("the signed images with their digests", identity.images),
    "keys": _of("the public keys", identity.keys),
    "tools": _of("every tool that took part, with version and digest", identity.tools),
    "results": _of("test results by board", summary.results),
    "results-figure": _of("test results by board, as a figure and a table", figures.results_figure),
    "software": _of("memory, reproducibility and image digest by board", summary.software),
    "requirement-figure": _of("verified requirements by topic, as a figure and a table", figures.requirement_figure),
    "hazards": _of("hazards as they are rated", risks.hazards),
    "residual-risks": _of("hazards with their risk before and after control", risk_control.residual_table),
    "risk-controls": _of(
        "risk controls with what implements them and shows that they work", risk_control.control_table
    ),
    "reviews": _of("who reviewed which item, and what is open", risk_closure.reviews_table),
    "open-anomalies": _of("open anomalies as a table", risks.open_anomalies),
    "resolved-anomalies": _of("resolved anomalies as a table", risks.resolved_anomalies),
    "unresolved-anomalies": _of("open anomalies, each in full", anomalies.unresolved),
    "known-anomalies": _of("open anomalies with their impact, in short", release_notes.known_anomalies),
    "matrix": _of("the traceability matrix", matrix_table),
    "requirements": _of("the requirements by topic, in full", specification.specification),
    "other-items": _of("user needs, design items, written tests, change requests", specification.other_items),
    "not-passed": _of("tests with another verdict than passed", summary.not_passed),
    "identity-errors": _of("devices that were not what was to be tested", summary.identity_errors),
    "untested": _of("requirements without a passed test", summary.untested_requirements),
    "trace-findings": _of("what does not hold in the trace", summary.trace_findings),
    "evidence-deviations": _of("evidence that is missing or bad", summary.evidence_deviations),
    "gate": _of("every rule's decision", details.gate),
    "security-decisions": _of("decisions of the rules for security", security.security_decisions),
    "builds": _of("outputs, compilers and reproducibility by board", lambda record: details.builds(record, "0")),
    "memory": _of("flash, RAM, stack and slot", lambda record: memory(record, "0")),
    "tests": _of("procedures and results by board", lambda record: details.tests(record, "0")),
    "test-levels": _of("what evidence there is of each level of testing", protocol.levels),
    "test-protocol": _of("each test once: procedure, expected result, what it verifies", protocol.protocol),
    "test-results": _of("configuration and results by board", protocol.results),
    "foreign-results": _of("results of other test frameworks, run on a host", foreign),
    "retests": _of("repeated tests, and tests in quarantine", protocol.retests),
    "logs": _of("the serial logs with their digests", protocol.logs),
    "measurements": _of("measured values with their limits", measurements_table),
    "measurement-curves": _of("series of measured values, as figures and tables", figures.measurement_curves),
    "coverage": _of("what the device tests executed", lambda record: coverage(record, "0")),
    "coverage-figure": _of("executed lines by component, as a figure and a table", figures.coverage_figure),
    "campaigns": _of("fault-injection campaigns", lambda record: campaigns(record, "0")),
    "campaign-maps": _of("fault-injection campaigns as maps, with tables", figures.campaign_maps),
    "soup": _of("SOUP as it was reviewed", risks.soup_table),
    "components": _of("the components of the bill of materials", details.software_items),
    "vulnerabilities": _of("known vulnerabilities of the components", vulnerabilities),
    "static-analysis": _of(
        "findings, deviations and checks by board", lambda record: details.static_analysis(record, "0")
    ),
    "program-checks": _of("checks of the linked programs, over all boards", security.program_checks),
    "secrets": _of("the search for private keys and tokens", lambda record: secrets_found(record.secrets)),
    "security-controls": _of("requirements of each category of security controls", security.controls),
    "versions": _of("this version and earlier ones", versions.versions),
    "change-impact": _of("what changed since the last release, and what that touches", versions.change_impact),
    "changes": _of("the commits since the last version", versions.changes),
    "trend": _of("figures from release to release", figures.trend),
    "news": _of("what is new", release_notes.news),
    "deliverables": _of("the files that are delivered", release_notes.deliverables),
    "files": _of("every file of the bundle with its digest", details.bundle_files),
    "submission-level": _own("the documentation level, and the guidances", submission.submission_level),
    "submission-index": _own("what the guidances ask for, and where it is", submission.submission_index),
    "missing-items": _own("what is still to be written", submission.missing_items),
    "document-list": _own("the documents of the set", submission.document_list),
}
