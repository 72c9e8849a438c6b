"""The Software Verification Report, put together from a release's record."""

from __future__ import annotations

from devicepipe.documents import details
from devicepipe.documents.campaigns import campaigns
from devicepipe.documents.coverage import coverage
from devicepipe.documents.furniture import running
from devicepipe.documents.identity import title_page
from devicepipe.documents.matrix import matrix_table
from devicepipe.documents.measurements import measurements_table
from devicepipe.documents.memory import memory
from devicepipe.documents.model import Block, Contents, Document, Heading, PageBreak
from devicepipe.documents.record import ReleaseRecord
from devicepipe.documents.risks import risks, soup_table
from devicepipe.documents.summary import deviations, summary
from devicepipe.documents.texts import to_blocks
from devicepipe.documents.vulnerabilities import vulnerabilities


def verification_report(record: ReleaseRecord) -> Document:
    """The report as a document, to be rendered as PDF or HTML."""
    source = record.source
    identifier = f"SVR-{source.product}-{source.version}"
    return Document(
        identifier=identifier,
        title=f"Software Verification Report: {source.product} {source.version}",
        subject=f"{source.title}, commit {source.commit}, {record.status}",
        author=source.manufacturer,
        created=source.started_on,
        paper=record.paper,
        running=running(record, identifier, "Software Verification Report"),
        blocks=_blocks(record, identifier),
    )


def _blocks(record: ReleaseRecord, identifier: str) -> tuple[Block, ...]:
    def section(number: str, title: str, text: str, *blocks: Block) -> tuple[Block, ...]:
        return (Heading(1, title, number), *to_blocks(record.texts.get(text, "")), *blocks)

    return (
        *title_page(record, identifier),
        Contents(),
        PageBreak(),
        *section("1", "Scope", "scope.md"),
        *section("2", "Method", "method.md"),
        *section("3", "Summary", "summary.md", *summary(record)),
        PageBreak(landscape=True),
        *section("4", "Hazards and anomalies", "risks.md", *risks(record, "4")),
        *section("5", "Traceability", "traceability.md", matrix_table(record)),
        PageBreak(landscape=False),
        *section("6", "Deviations", "deviations.md", *deviations(record, "6")),
        *section("7", "Gate decisions", "gate.md", *details.gate(record)),
        *section("8", "Builds", "builds.md", *details.builds(record, "8")),
        *section("9", "Memory and stack", "memory.md", *memory(record, "9")),
        PageBreak(landscape=True),
        *section("10", "Test procedures and results", "tests.md", *details.tests(record, "10")),
        *section("11", "Coverage", "coverage.md", *coverage(record, "11")),
        *section("12", "Measurements", "measurements.md", measurements_table(record)),
        *section("13", "Fault injection", "campaigns.md", *campaigns(record, "13")),
        *section(
            "14",
            "SOUP and vulnerabilities",
            "software-items.md",
            soup_table(record),
            *details.software_items(record),
            *vulnerabilities(record),
        ),
        PageBreak(landscape=False),
        *section("15", "Static analysis", "static-analysis.md", *details.static_analysis(record, "15")),
        PageBreak(),
        *section("A", "Files of the bundle", "files.md", *details.bundle_files(record)),
    )
