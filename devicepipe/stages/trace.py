"""Trace: the commit's items joined with the test results of all boards."""

from __future__ import annotations

from devicepipe.evidence.build_links import source_files
from devicepipe.evidence.currency import Expected
from devicepipe.evidence.foreign_results import ForeignResults, shown_cases, written_verdicts
from devicepipe.evidence.predicates import TRACEABILITY, ImageSigning, SourceInfo
from devicepipe.evidence.results import TestResult
from devicepipe.evidence.review_links import suspects
from devicepipe.stages.context import Context
from devicepipe.stages.items import product_commits, read_product_items
from devicepipe.stages.source import check_source
from devicepipe.traceability.code_markers import Marker, code_folders, read_markers
from devicepipe.traceability.currency import Stale
from devicepipe.traceability.foreign import foreign_tests
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.markers import Markers
from devicepipe.traceability.matrix import TraceRules, trace
from devicepipe.traceability.procedures import procedures_of
from devicepipe.traceability.reviews import read_reviews
from devicepipe.traceability.sources import loss_findings


def trace_release(context: Context) -> None:
    """Write the traceability attestation; its subjects are the images, the item files and the records that items name as evidence.

    Raises:
        UsageError: The item files or reviews are wrong: names file, line and key.
    """
    project, bundle, writer = context.project, context.bundle, context.writer
    source = bundle.predicate(SourceInfo)
    boards = source.boards
    check_source(context)
    losses: list[Loss] = []
    items, unlisted = read_product_items(project, losses=losses)
    runs = [bundle.predicate(TestResult, board).devicepipe for board in boards]
    subjects = [bundle.predicate(ImageSigning, board).image for board in boards]
    records = {item.fields["evidence"] for item in items if "evidence" in item.fields}
    files = sorted({item.file for item in items} | records)
    subjects += [writer.add_file(project.root / file, f"evidence/{file}").name for file in files]
    reviews = read_reviews(project)
    procedures = procedures_of(project.root, (case.procedure_file for run in runs for case in run.cases))
    reviewed = reviews.findings(items)
    expected = Expected(
        fingerprints={item.id: item.fingerprint for item in items},
        procedures=procedures,
        images={board: bundle.predicate(ImageSigning, board).image_digest for board in boards},
        reviews=suspects(reviewed),
    )
    rules, markers = TraceRules.of(project), Markers(_markers(context), product_commits(context.home))
    stale = Stale(runs, expected)
    foreign = shown_cases(bundle.predicate(ForeignResults), items) if source.results else []
    traced = trace(
        items,
        runs,
        source.columns,
        rules=rules,
        unlisted=unlisted,
        markers=markers,
        stale=stale,
        foreign=foreign_tests(foreign, expected.reviews),
        written=written_verdicts(foreign),
    )
    traced = traced.model_copy(
        update={
            "findings": [*traced.findings, *reviewed, *loss_findings(losses, project.root)],
            "reviews": reviews.evidence,
            "procedures": procedures,
        }
    )
    writer.attest("traceability", TRACEABILITY, traced, subjects)


def _markers(context: Context) -> list[Marker]:
    """The markers in the product's own sources: libraries that the lock file lays down beside them are not."""
    own = source_files(context.bundle)
    return [
        marker for marker in read_markers(code_folders(context.project), context.project.root) if marker.file in own
    ]
