"""Everything that `devicepipe trace check` looks at, read from the working tree; mistakes are collected, not raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devicepipe.errors import UsageError
from devicepipe.stages.items import product_commits, unlisted_soup
from devicepipe.stages.trace_project import TraceProject
from devicepipe.traceability.cache import FileCache
from devicepipe.traceability.check import check_items
from devicepipe.traceability.code_markers import folders_of, read_markers
from devicepipe.traceability.device_tests import DeviceTest, test_files, tests_of
from devicepipe.traceability.findings import Found
from devicepipe.traceability.items import live_items, read_drafts
from devicepipe.traceability.markdown import read_bytes
from devicepipe.traceability.markers import Markers
from devicepipe.traceability.matrix import Row

if TYPE_CHECKING:
    from devicepipe.evidence.trace import TraceFinding
    from devicepipe.traceability.drafts import Draft
    from devicepipe.traceability.loss import Loss

REVIEWS = "reviews.jsonl"
"""The file of reviews, beside the items (traceability/reviews.py)."""

INVALID = "invalid"
"""The kind of a finding that is a mistake in a file: what stands there cannot be read or breaks the schema."""


@dataclass(frozen=True)
class WorkingTree:
    """What the working tree holds of items, tests and markers, the matrix before any test has run, and what is wrong."""

    items: Sequence[Draft]
    tests: Sequence[DeviceTest]
    markers: Markers
    rows: Sequence[Row]
    findings: Sequence[Found | TraceFinding]


def check_working_tree(project: TraceProject, commits: str = "", *, cached: bool = True) -> WorkingTree:
    """Read and check a project as it stands.

    Args:
        project: The project.
        commits: The range of commits whose trailers are read; "" for those since the last tag.
        cached: Do not read anew what has not changed since the last time.

    Raises:
        UsageError: Git does not know the range; anything else is a finding.
    """
    rules, root = project.rules, project.root
    cache_folder = project.cache_folder if cached else None
    problems: list[UsageError] = []
    losses: list[Loss] = []
    items = read_drafts(
        root,
        project.items,
        schema=rules.schema,
        prefixes=rules.schema.prefixes,
        boards=project.boards,
        scales=rules.scales,
        problems=problems,
        live=live_items(project.whole(), rules.schema, problems, losses) if project.has_sources else (),
        cache_folder=cache_folder,
    )
    unlisted = unlisted_soup(root, project.soup, items, problems, cache_folder)
    tests = _tests(project, problems, cache_folder)
    folders = folders_of(root, project.code, project.firmware)
    markers = Markers(read_markers(folders, root, problems), product_commits(root, commits))
    findings: list[Found | TraceFinding] = [_of_problem(problem, root) for problem in problems]
    if losses:
        from devicepipe.traceability.sources import loss_findings

        findings += loss_findings(losses, root)
    checked = check_items(items, tests, project.boards, rules=rules, unlisted=unlisted, markers=markers)
    findings += checked.findings
    findings += _review_findings(project, items)
    return WorkingTree(items, tests, markers, checked.rows, findings)


def _kept(values: list[Any]) -> DeviceTest:
    name, verifies, file, line, decided, shows, only = values
    return DeviceTest(name, tuple(verifies), file, line, decided, tuple(shows), None if only is None else tuple(only))


def _tests(project: TraceProject, problems: list[UsageError], cache_folder: Path | None) -> list[DeviceTest]:
    folder = project.root / project.tests
    cache = FileCache(cache_folder, "tests") if cache_folder else None
    found: list[DeviceTest] = []
    for path in test_files(folder):
        try:
            data = read_bytes(path)
            entry = cache.entry(path.relative_to(project.root).as_posix(), data) if cache else None
            kept = entry.content() if entry else None
            if kept is not None:
                found += [_kept(one) for one in kept]
                continue
            made = tests_of(data, path, folder, project.root)
        except UsageError as error:
            problems.append(error)
            continue
        found += made
        if entry:
            entry.keep([[getattr(one, name) for name in DeviceTest.__slots__] for one in made])
    if cache:
        cache.tidy()
    return found


def _review_findings(project: TraceProject, items: Sequence[Draft]) -> Sequence[Found | TraceFinding]:
    if project.reviews != "required" and not (project.root / project.items / REVIEWS).exists():
        return ()
    from devicepipe.traceability.reviews import read_reviews

    try:
        return read_reviews(project.whole()).findings(items)
    except UsageError as error:
        return [_of_problem(error, project.root)]


def _of_problem(problem: UsageError, root: Path) -> Found:
    """A mistake in a file as a finding; what to do about it stands behind it."""
    remedy = f" ({problem.remedy})" if problem.remedy else ""
    file = problem.file.resolve() if problem.file else root
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    return Found(
        kind=INVALID, item=problem.key or "", message=f"{problem.message}{remedy}", file=name, line=problem.line or 0
    )
