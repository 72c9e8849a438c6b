"""Everything that `devicepipe trace check` looks at, read from the working tree; mistakes are collected, not raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.evidence.predicates import TraceFinding
from devicepipe.project.config import Project
from devicepipe.stages.items import product_commits, unlisted_soup
from devicepipe.traceability.cache import FileCache
from devicepipe.traceability.check import check_items
from devicepipe.traceability.code_markers import read_markers
from devicepipe.traceability.device_tests import DeviceTest, test_files, tests_of
from devicepipe.traceability.drafts import Draft
from devicepipe.traceability.items import CACHE, read_drafts
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.markdown import read_bytes
from devicepipe.traceability.markers import Markers
from devicepipe.traceability.matrix import Row, TraceRules

INVALID = "invalid"
"""The kind of a finding that is a mistake in a file: what stands there cannot be read or breaks the schema."""


@dataclass(frozen=True)
class WorkingTree:
    """What the working tree holds of items, tests and markers, the matrix before any test has run, and what is wrong."""

    items: Sequence[Draft]
    tests: Sequence[DeviceTest]
    markers: Markers
    boards: Sequence[str]
    rules: TraceRules
    rows: Sequence[Row]
    findings: Sequence[TraceFinding]


def check_working_tree(project: Project, commits: str = "", *, cached: bool = True) -> WorkingTree:
    """Read and check a project as it stands.

    Args:
        project: The project.
        commits: The range of commits whose trailers are read; "" for those since the last tag.
        cached: Do not read anew what has not changed since the last time.

    Raises:
        UsageError: The schema is wrong, or git does not know the range; anything else is a finding.
    """
    rules = TraceRules.of(project)
    problems: list[UsageError] = []
    losses: list[Loss] = []
    items = read_drafts(project, schema=rules.schema, problems=problems, losses=losses, cached=cached)
    unlisted = unlisted_soup(project, items, problems)
    tests = _tests(project, problems, cached=cached)
    markers = Markers(read_markers(project, problems), product_commits(project.root, commits))
    boards = [board.name for board in project.boards]
    findings = [_of_problem(problem, project.root) for problem in problems]
    if losses:
        from devicepipe.traceability.sources import loss_findings

        findings += loss_findings(losses, project.root)
    checked = check_items(items, tests, boards, rules=rules, unlisted=unlisted, markers=markers)
    findings += checked.findings
    findings += _review_findings(project, items)
    return WorkingTree(items, tests, markers, boards, rules, checked.rows, findings)


def _tests(project: Project, problems: list[UsageError], *, cached: bool) -> list[DeviceTest]:
    folder = project.root / project.tests.path
    cache = FileCache(project.state / CACHE, "tests") if cached else None
    found: list[DeviceTest] = []
    for path in test_files(folder):
        try:
            data = read_bytes(path)
            entry = cache.entry(path.relative_to(project.root).as_posix(), data) if cache else None
            kept = entry.content() if entry else None
            if kept is not None:
                found += [DeviceTest(one[0], tuple(one[1]), one[2], one[3], one[4], tuple(one[5])) for one in kept]
                continue
            made = tests_of(data, path, folder, project.root)
        except UsageError as error:
            problems.append(error)
            continue
        found += made
        if entry:
            entry.keep([[one.id, one.verifies, one.file, one.line, one.decided, one.effectiveness] for one in made])
    if cache:
        cache.tidy()
    return found


def _review_findings(project: Project, items: Sequence[Draft]) -> list[TraceFinding]:
    from devicepipe.traceability.reviews import read_reviews

    try:
        reviews = read_reviews(project)
    except UsageError as error:
        return [_of_problem(error, project.root)]
    return reviews.findings([draft.item() for draft in items]) if reviews.kept else []


def _of_problem(problem: UsageError, root: Path) -> TraceFinding:
    """A mistake in a file as a finding; what to do about it stands behind it."""
    remedy = f" ({problem.remedy})" if problem.remedy else ""
    file = problem.file.resolve() if problem.file else root
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    return TraceFinding(
        kind=INVALID, item=problem.key or "", message=f"{problem.message}{remedy}", file=name, line=problem.line or 0
    )
