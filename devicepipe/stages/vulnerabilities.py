"""Vulnerabilities: every component that the boards' bills of materials show as linked in, against the pinned snapshot."""

from __future__ import annotations

import json
from importlib.metadata import version

from devicepipe.evidence.components import components_of
from devicepipe.evidence.facts import utc_now
from devicepipe.evidence.layout import kind_named, sbom_file
from devicepipe.evidence.predicates import ImageSigning, SourceInfo
from devicepipe.evidence.vulnerabilities import RECORDS, VULNERABILITIES, Vulnerabilities, results_of
from devicepipe.stages.context import Context
from devicepipe.stages.vulnerability_data import assessment_of, statements_of

SCANNER = "urn:devicepipe:vulnerabilities"


def check_vulnerabilities(context: Context) -> None:
    """Assess the components of all boards, and attest it with the records and VEX statements that it rests on.

    Raises:
        UsageError, BenchError, IntegrityError: As `vulnerability_data.check_inputs`.
    """
    bundle, writer = context.bundle, context.writer
    source = bundle.predicate(SourceInfo)
    boards = {}
    for board in source.boards:
        sbom = bundle.attestation(kind_named("sbom").path_for(board))
        boards[board] = components_of(sbom.statement.predicate, sbom.path)
    started = utc_now()
    assessment, records = assessment_of(context.project, context.home, boards, source.version)
    text = json.dumps(records, indent=1, sort_keys=True, ensure_ascii=False)
    files = [writer.add_bytes(text.encode() + b"\n", RECORDS).name]
    for document, told in zip(statements_of(context.project), assessment.vex, strict=True):
        files.append(writer.add_bytes(document.text, told.file).name)
    snapshot = assessment.snapshot
    predicate = Vulnerabilities(
        scanner={
            "uri": SCANNER,
            "version": version("devicepipe"),
            "db": {
                "uri": f"urn:devicepipe:vulnerability-snapshot:{snapshot.format}:sha256:{snapshot.sha256}",
                "version": snapshot.date,
                "lastUpdate": snapshot.newest_record,
            },
            "result": results_of(assessment.components),
        },
        metadata={"scanStartedOn": started, "scanFinishedOn": utc_now()},
        devicepipe=assessment,
    )
    about = [sbom_file(board) for board in source.boards]
    about += [bundle.predicate(ImageSigning, board).factory_image for board in source.boards]
    writer.attest("vulnerabilities", VULNERABILITIES, predicate, [*files, *about])
