"""Everything that `devicepipe trace check` looks at, read from the working tree; mistakes are collected, not raised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.evidence.predicates import Item, TraceFinding
from devicepipe.project.config import Project
from devicepipe.stages.items import product_commits, read_product_items
from devicepipe.traceability.check import check_items
from devicepipe.traceability.code_markers import read_markers
from devicepipe.traceability.device_tests import DeviceTest, test_files, tests_in
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.markers import Markers
from devicepipe.traceability.matrix import TraceRules
from devicepipe.traceability.reviews import read_reviews
from devicepipe.traceability.sources import loss_findings

INVALID = "invalid"
"""The kind of a finding that is a mistake in a file: what stands there cannot be read or breaks the schema."""


@dataclass(frozen=True)
class WorkingTree:
    """What the working tree holds of items, tests and markers, and what is wrong with it."""

    items: tuple[Item, ...]
    tests: tuple[DeviceTest, ...]
    markers: Markers
    findings: tuple[TraceFinding, ...]


def check_working_tree(project: Project, commits: str = "") -> WorkingTree:
    """Read and check a project as it stands.

    Args:
        project: The project.
        commits: The range of commits whose trailers are read; "" for those since the last tag.

    Raises:
        UsageError: The schema is wrong, or git does not know the range; anything else is a finding.
    """
    rules = TraceRules.of(project)
    problems: list[UsageError] = []
    losses: list[Loss] = []
    items, unlisted = read_product_items(project, schema=rules.schema, problems=problems, losses=losses)
    tests = _tests(project, problems)
    markers = Markers(read_markers(project, problems), product_commits(project.root, commits))
    boards = [board.name for board in project.boards]
    findings = [_of_problem(problem, project.root) for problem in problems]
    findings += loss_findings(losses, project.root)
    findings += check_items(items, tests, boards, rules=rules, unlisted=unlisted, markers=markers)
    try:
        findings += read_reviews(project).findings(items)
    except UsageError as error:
        findings.append(_of_problem(error, project.root))
    return WorkingTree(items, tests, markers, tuple(findings))


def _tests(project: Project, problems: list[UsageError]) -> tuple[DeviceTest, ...]:
    folder = project.root / project.tests.path
    found: list[DeviceTest] = []
    for path in test_files(folder):
        try:
            found += tests_in(path, folder, project.root)
        except UsageError as error:
            problems.append(error)
    return tuple(found)


def _of_problem(problem: UsageError, root: Path) -> TraceFinding:
    """A mistake in a file as a finding; what to do about it stands behind it."""
    remedy = f" ({problem.remedy})" if problem.remedy else ""
    file = problem.file.resolve() if problem.file else root
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    return TraceFinding(
        kind=INVALID, item=problem.key or "", message=f"{problem.message}{remedy}", file=name, line=problem.line or 0
    )
