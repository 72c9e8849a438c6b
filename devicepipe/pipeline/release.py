"""One release: the graph of all stages over all boards, from a commit to a sealed bundle.

What always holds: the bundle appears under its final name complete and sealed, or not at all; nothing is left running and
no working folder is left behind, however the run ends; nothing uncommitted enters a bundle that is not marked.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from devicepipe.build.source import Commit, export_tree, read_commit
from devicepipe.durable import alone
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Bundle, BundleWriter
from devicepipe.evidence.decisions import Decisions, VerificationSummary
from devicepipe.evidence.history import EarlierRelease
from devicepipe.evidence.layout import RELEASE_STATEMENT, SUFFIX
from devicepipe.evidence.predicates import Release
from devicepipe.evidence.production import production_folder, unshippable
from devicepipe.evidence.results import TestResult, Verdict
from devicepipe.evidence.signatures import record_folder
from devicepipe.evidence.statement import parse_pretty
from devicepipe.pipeline.graph import Progress, Step, Timing, quietly, run
from devicepipe.pipeline.workspace import workspace
from devicepipe.policy.rules import load_policy
from devicepipe.project.config import CONFIG_NAME, Project, load_project
from devicepipe.project.quarantine import load_quarantine
from devicepipe.project.state import locked_in_state
from devicepipe.signing.image import check_release_version
from devicepipe.stages import ledger
from devicepipe.stages.analyse import analyse
from devicepipe.stages.build import build, rebuild
from devicepipe.stages.campaign import run_campaigns
from devicepipe.stages.context import Context, default_tester, open_keys
from devicepipe.stages.coverage import measure_coverage, merge_coverage
from devicepipe.stages.declarations import read_declarations
from devicepipe.stages.document import check_documents, document
from devicepipe.stages.foreign_results import attest_foreign_results, check_results
from devicepipe.stages.gate import gate
from devicepipe.stages.history import attest_history, read_earlier
from devicepipe.stages.items import read_product_items
from devicepipe.stages.memory import measure_memory
from devicepipe.stages.sbom import build_bill_of_materials
from devicepipe.stages.seal import log_evidence, seal, settle
from devicepipe.stages.secrets import find_secrets
from devicepipe.stages.sign import sign
from devicepipe.stages.source import attest_source, lay_down_libraries
from devicepipe.stages.test import run_tests
from devicepipe.stages.trace import trace_release
from devicepipe.stages.vulnerabilities import check_vulnerabilities
from devicepipe.stages.vulnerability_data import check_inputs

_NAMED = 5


@dataclass(frozen=True)
class Outcome:
    """What a release came to.

    Attributes:
        bundle: The sealed bundle's folder.
        release: The release statement.
        decisions: The gate's decisions.
        verdicts: Number of cases by verdict, per board.
        seconds: Wall time of the whole run.
        peak_bytes: The largest resident set of any one process of the run, in bytes.
        steps: When each step ran.
        unshippable: Why it cannot ship, whoever approves it: it names no production key; "" where it does.
    """

    bundle: Path
    release: Release
    decisions: Decisions
    verdicts: dict[str, dict[Verdict, int]]
    seconds: float
    peak_bytes: int
    steps: dict[str, Timing]
    unshippable: str = ""


def make_release(
    project: Project,
    version: str,
    *,
    allow_dirty: bool,
    replace_existing: bool,
    devices: Mapping[str, str] | None = None,
    earlier: Sequence[Path] = (),
    progress: Progress,
    cancel: threading.Event,
) -> Outcome:
    """Make the release bundle `<output>/<product>-<version>`.

    Args:
        project: The product, as the working tree has it; everything released is read again from the commit.
        version: Semantic version, as `check_release_version` asks for it.
        allow_dirty: Take the working tree instead of the commit; the bundle is marked as not releasable.
        replace_existing: Replace a bundle of that version that is already there, unless people signed it.
        devices: Board → the id of the device that its tests run on, where one is wanted.
        earlier: Bundles of earlier releases, which the version history and the figures of trends tell of.
        progress: Where to report.
        cancel: Set to stop the run.

    Raises:
        UsageError: Bad version, dirty tree, an existing bundle, or one that was signed, or a mistake in the product's files.
        ProductError: The product does not compile or does not fit.
        BenchError: A tool or device failed; says nothing about the product.
        IntegrityError: Evidence does not hold.
        KeyboardInterrupt: The user stopped it.
    """
    start = time.monotonic()
    check_release_version(version)
    commit = read_commit(project.root)
    if commit.dirty and not allow_dirty:
        more = len(commit.dirty) - _NAMED
        raise UsageError(
            f"the working tree differs from the commit: {', '.join(commit.dirty[:_NAMED])}"
            + (f" and {more} more" if more > 0 else ""),
            remedy="commit or stash it, or pass --allow-dirty for a bundle that is marked NOT RELEASABLE",
        )
    final = project.root / project.output / f"{project.product.name}-{version}"
    with locked_in_state(project, "publish"):  # what looks half done may be what another run is just doing
        settle(final)
    _check_final(project, version, final, replace_existing)
    # Read again from the commit when they are traced; here only so that a mistake in them is told at once and where it was made.
    read_product_items(project)
    check_results(project)
    load_quarantine(project)
    load_policy(project)
    check_documents(project)
    read_declarations(project)
    ledger.check(project)
    with workspace(project.state / "work") as work:
        context = replace(_prepare(project, version, commit, work, cancel), devices=dict(devices or {}))
        before = read_earlier(earlier, project.product.name, context.keys.trust)
        timings = dict(run(_steps(context, commit, before), progress, cancel, os.cpu_count() or 1))
        decisions = context.bundle.predicate(VerificationSummary).devicepipe
        boards = [board.name for board in context.project.boards]
        verdicts = {board: context.bundle.predicate(TestResult, board).devicepipe.counts() for board in boards}
        without_key = unshippable(context.bundle)
        release = _put_in_place(context, project, final, replace_existing=replace_existing)
    seconds = time.monotonic() - start
    return Outcome(final, release, decisions, verdicts, seconds, _peak_bytes(), timings, without_key)


def _prepare(project: Project, version: str, commit: Commit, work: Path, cancel: threading.Event) -> Context:
    """Export the commit and write the source attestation; everything after reads the project from that copy."""
    keys = open_keys(project)
    copy = work / "source"
    export_tree(project.root, copy, commit=commit)
    try:
        committed = load_project(copy / CONFIG_NAME)
    except UsageError as error:
        raise UsageError(
            f"{error.message} in the commit",
            file=project.root / CONFIG_NAME,
            line=error.line,
            key=error.key,
            remedy="commit it, or take it out: no commit holds empty folders and what .gitignore names",
        ) from error
    if [board.name for board in committed.boards] != [board.name for board in project.boards]:
        raise UsageError("the commit's boards differ from the working tree's", file=project.root / CONFIG_NAME)
    context = Context(
        project=committed,
        home=project.root,
        work=work,
        version=version,
        writer=BundleWriter(work / "bundle", keys.release.signer, keys.release.public),
        keys=keys,
        tester=default_tester(),
        cancel=cancel,
    )
    files = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()]
    attest_source(context, commit, files, dirty=bool(commit.dirty))
    lay_down_libraries(committed, context.cache)
    check_inputs(committed, context.home)
    return context


def _steps(context: Context, commit: Commit, before: list[EarlierRelease]) -> list[Step]:
    """The graph. Its order is the order in which ready steps are started: what testing waits for comes first."""
    boards, covered = context.project.boards, context.project.covered_boards
    first: list[Step] = []
    second: list[Step] = []
    for board in boards:
        name = board.name
        first += [
            Step(f"build {name}", quietly(build, context, board, commit)),
            Step(f"sign {name}", quietly(sign, context, board), (f"build {name}",)),
            Step(
                f"test {name}",
                partial(run_tests, context, board, coverage=name in covered),
                (f"sign {name}",),
                kind="wait",
            ),
        ]
        if context.project.campaigns.runs:
            second.append(Step(f"campaign {name}", partial(run_campaigns, context, board), (f"sign {name}",)))
        second += [
            Step(f"analyse {name}", quietly(analyse, context, board), (f"sign {name}",)),
            Step(f"measure {name}", quietly(measure_memory, context, board), (f"sign {name}",)),
            Step(f"rebuild {name}", quietly(rebuild, context, board, commit), (f"build {name}",)),
        ]
        if name in covered:
            second.append(Step(f"coverage {name}", quietly(measure_coverage, context, board), (f"test {name}",)))
    if covered:
        measured = tuple(f"coverage {name}" for name in covered)
        second.append(Step("coverage", quietly(merge_coverage, context), measured))
    second.append(
        Step("build-sbom", quietly(build_bill_of_materials, context), tuple(f"build {board.name}" for board in boards))
    )
    if context.project.vulnerabilities is not None:
        listed = tuple(f"analyse {board.name}" for board in boards)
        second.append(Step("vulnerabilities", quietly(check_vulnerabilities, context), listed))
    traced = tuple(f"test {board.name}" for board in boards)
    if context.project.traceability.results:
        second.append(Step("results", quietly(attest_foreign_results, context)))
        traced += ("results",)
    last = [
        Step("trace", quietly(trace_release, context), traced),
        Step("history", quietly(attest_history, context, commit, before), ("trace",)),
        Step("secrets", quietly(find_secrets, context), ("trace", "history", *(step.name for step in second))),
        Step("gate", quietly(gate, context), ("trace", "secrets", *(step.name for step in second))),
        Step("document", quietly(document, context), ("gate",)),
    ]
    return [*first, *second, *last]


def _put_in_place(context: Context, project: Project, final: Path, *, replace_existing: bool) -> Release:
    """Log and seal the bundle and give it its final name, one run at a time.

    Raises:
        UsageError, IntegrityError, BenchError: As `_check_final`, `log_evidence` and `seal`.
    """
    # Asked once no other run puts one there: nobody signs what is replaced while it is. Beside a new bundle there is nothing to
    # sign yet, and no lock file to leave.
    with locked_in_state(project, "publish"), alone(record_folder(final)) if final.exists() else nullcontext():
        # Another run may have released the version in the meantime.
        _check_final(project, context.version, final, replace_existing)
        log_evidence(context, project)
        return seal(context, project, final)


def _check_final(project: Project, version: str, final: Path, replace_existing: bool) -> None:
    """A version is released once. What was never fit to ship (development keys, not releasable) is replaced without asking.

    What people signed, or what ships was made of, is never replaced: their signatures are about that very release statement. Who
    deletes them, or the bundle with them, makes no rejected version one that nobody judged: the log has them.
    """
    signatures, production = record_folder(final), production_folder(final)
    title = f"{project.product.name} {version}"
    logged = ledger.entries_with(project, (b'"kind":"approval"',))
    signed = next((number for number, one in logged.items() if (one.kind, one.subject) == ("approval", title)), None)
    for there, what in (
        (any(signatures.glob(f"*{SUFFIX}")), f"people signed this version ({signatures.name})"),
        (signed is not None, f"people signed this version, as the log has it (entry {signed})"),
        (os.path.lexists(production), f"what ships of this version is made ({production.name})"),
    ):
        if there:
            raise UsageError(
                f"{what}: it is not made anew, not by --replace either", file=final, remedy="release a new version"
            )
    if not final.exists() or replace_existing or _is_rehearsal(Bundle(final)):
        return
    raise UsageError(
        "this version has been released already",
        file=final,
        remedy="release a new version; or make this one anew with --replace: nobody has signed it yet",
    )


def _is_rehearsal(bundle: Bundle) -> bool:
    try:
        statement = parse_pretty(bundle.read(RELEASE_STATEMENT), RELEASE_STATEMENT)
        release = Release.from_json(statement.predicate)
    except (IntegrityError, ValidationError):
        return False
    return release.development_keys or not release.releasable


def _peak_bytes() -> int:
    """The largest resident set of this process or any process it waited for (getrusage counts kibibytes on Linux)."""
    return 1024 * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
