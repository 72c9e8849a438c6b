"""What an older bundle still proves of the working tree: the tree's items joined with the bundle's results.

What always holds: a result counts for an item only where the item, the test, the image and the board are what they were, and
nobody has to review a change first; everything else that passed is shown as `stale`, with what changed.

The image that the tree would give is not built: it counts as the bundle's where all that images are made of is what it was (the
files of the firmware's project, the boards' manifests, and what devicepipe.toml says of images). Version and commit, which every
image has in it, are left aside: a release tests its own image in any case.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from devicepipe.build.source import files_git_sees
from devicepipe.errors import UsageError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.currency import Expected
from devicepipe.evidence.facts import sha256_of
from devicepipe.evidence.foreign_results import ForeignResults, shown_cases, written_verdicts
from devicepipe.evidence.layout import SOURCE_CONFIG, SOURCE_FILES, kind_of_model
from devicepipe.evidence.predicates import ImageSigning, SourceInfo
from devicepipe.evidence.results import TestResult, TestRun
from devicepipe.evidence.review_links import suspects
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.words import HOST
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.stages.items import read_product_items
from devicepipe.traceability.currency import Stale
from devicepipe.traceability.foreign import foreign_tests
from devicepipe.traceability.matrix import TraceRules, trace
from devicepipe.traceability.procedures import procedures_of, shared_files
from devicepipe.traceability.reviews import read_reviews

_OF_IMAGES = ("firmware", "image", "data")
"""The tables of devicepipe.toml that what is in an image follows from, beside each board's."""


def still_proven(project: Project, bundle: Bundle) -> Traceability:
    """Join the items of the working tree with the results of a bundle.

    Args:
        project: The product, as it stands in the working tree.
        bundle: A release's bundle; whether it is intact is not checked here.

    Returns:
        The trace, with `stale` where a result is no longer about what it is shown for, and a finding `stale-evidence` for each
        cause.

    Raises:
        UsageError: The items are wrong, or the bundle is none of a release.
        IntegrityError: The bundle does not hold what it must.
    """
    items, unlisted = read_product_items(project)
    boards = [board.name for board in project.boards]
    source = bundle.predicate(SourceInfo)
    tested = [board for board in source.boards if board in boards]
    runs = [bundle.predicate(TestResult, board).devicepipe for board in tested]
    reviews = read_reviews(project)
    reviewed = reviews.findings(items)
    fingerprints = {item.id: item.fingerprint for item in items}
    expected = _expected(project, bundle, runs, tested, fingerprints, suspects(reviewed))
    foreign = shown_cases(bundle.predicate(ForeignResults), items) if source.results else []
    traced = trace(
        items,
        runs,
        [*boards, HOST] if source.results else boards,
        rules=TraceRules.of(project),
        unlisted=unlisted,
        stale=Stale(runs, expected),
        foreign=foreign_tests(foreign, _changed_items(expected)),
        written=written_verdicts(foreign),
    )
    return traced.model_copy(update={"findings": [*traced.findings, *reviewed], "reviews": reviews.evidence})


def _expected(
    project: Project,
    bundle: Bundle,
    runs: Sequence[TestRun],
    tested: Sequence[str],
    fingerprints: dict[str, str],
    reviews: dict[str, str],
) -> Expected:
    manifest = _manifest(bundle)
    recorded = {}
    if bundle.exists(kind_of_model(Traceability).path_for()):
        recorded = {item.id: item.fingerprint for item in bundle.predicate(Traceability).items}
    return Expected(
        fingerprints=fingerprints,
        recorded=recorded,
        procedures=procedures_of(project.root, (case.procedure_file for run in runs for case in run.cases)),
        changed_files=_changed_shared(project, manifest),
        images={board: bundle.predicate(ImageSigning, board).image_digest for board in tested},
        other_sources=_changed_sources(project, bundle, manifest, tested),
        reviews=reviews,
    )


def _changed_items(expected: Expected) -> set[str]:
    """The items that results of other frameworks no longer prove: their sources are the firmware's, as far as anybody knows."""
    changed = {name for name, now in expected.fingerprints.items() if expected.recorded.get(name) != now}
    return {*expected.fingerprints} if expected.other_sources else changed | {*expected.reviews}


def _manifest(bundle: Bundle) -> dict[str, str]:
    """File → SHA-256 of the sources that the bundle was made from."""
    lines = bundle.read(SOURCE_FILES).decode().splitlines() if bundle.exists(SOURCE_FILES) else []
    if not lines:
        raise UsageError(
            "this bundle does not say which sources it was made from",
            file=bundle.folder,
            remedy="name the bundle of a release, not that of a development run",
        )
    return dict(line.split("  ", 1)[::-1] for line in lines)


def _changed_shared(project: Project, manifest: dict[str, str]) -> tuple[str, ...]:
    """The files that tests share and that are not what they were, in one sentence."""
    now = shared_files(project.root / project.tests.path, project.root)
    before = {
        name: digest
        for name, digest in manifest.items()
        if name.startswith(f"{project.tests.path}/") and name.endswith(".py") and not _is_test(name)
    }
    changed = sorted(name for name in {*now, *before} if now.get(name) != before.get(name))
    return (f"{_some(changed)}, which tests share, changed",) if changed else ()


def _is_test(name: str) -> bool:
    stem = PurePosixPath(name).stem
    return stem.startswith("test_") or stem.endswith("_test")


def _changed_sources(
    project: Project, bundle: Bundle, manifest: dict[str, str], boards: Sequence[str]
) -> dict[str, str]:
    """Board → which of what its image is made of changed."""
    common = list(_changed_files(project, manifest))
    before = tomllib.loads(bundle.read(SOURCE_CONFIG).decode())
    now = tomllib.loads((project.root / CONFIG_NAME).read_text(encoding="utf-8"))
    common += [f"[{table}] of {CONFIG_NAME}" for table in _OF_IMAGES if before.get(table) != now.get(table)]
    found = {}
    for board in boards:
        manifest_file = project.board(board).entry.manifest
        own = [manifest_file] if sha256_of(project.root / manifest_file) != manifest.get(manifest_file) else []
        entries = [[one for one in config.get("board", []) if one.get("name") == board] for config in (before, now)]
        own += [f"[[board]] of {CONFIG_NAME}"] if entries[0] != entries[1] else []
        if common or own:
            found[board] = f"it was made of other sources: {_some([*own, *common])}"
    return found


def _changed_files(project: Project, manifest: dict[str, str]) -> Iterator[str]:
    """The files of the firmware's project that are not what they were; what only judges the firmware is left out."""
    folder = project.firmware.project
    judging = {
        project.firmware.deviations,
        project.firmware.stack,
        project.analysis.baseline,
        project.coverage.never_executed,
    }
    now = set(files_git_sees(project.root, folder))
    before = {name for name in manifest if name.startswith(f"{folder}/")}
    for name in sorted(now | before):
        if name in judging or name.endswith(".md"):
            continue
        if name not in now or sha256_of(project.root / name) != manifest.get(name):
            yield name


def _some(names: Sequence[str]) -> str:
    more = len(names) - 2
    return ", ".join(names[:2]) + (f" and {more} more" if more > 0 else "")
