"""Everything that is wrong with a product's items and links as they stand in the working tree, before anything is built or run."""

from __future__ import annotations

from collections.abc import Sequence

from devicepipe.evidence.predicates import Item, TraceFinding
from devicepipe.traceability.device_tests import DeviceTest
from devicepipe.traceability.markers import Markers
from devicepipe.traceability.matrix import ORPHAN_TEST, VERIFIED_BY_RECORD, TracedTest, TraceRules, trace_statically
from devicepipe.traceability.soup import Locked

ERROR, WARNING = "error", "warning"

_WARNINGS = (ORPHAN_TEST, VERIFIED_BY_RECORD)


def severity_of(finding: TraceFinding) -> str:
    """Whether a finding is an `error` or a `warning`, which is told only."""
    return finding.severity or (WARNING if finding.kind in _WARNINGS else ERROR)


def check_items(
    items: Sequence[Item],
    tests: Sequence[DeviceTest],
    boards: Sequence[str],
    *,
    rules: TraceRules,
    unlisted: Sequence[Locked] = (),
    markers: Markers | None = None,
) -> list[TraceFinding]:
    """The findings that need no results: see `matrix.trace`; a requirement counts as tested where any test names it."""
    traced = [TracedTest(one.id, one.verifies, one.file, one.line, {}) for one in tests]
    found = trace_statically(items, traced, boards, rules=rules, unlisted=unlisted, markers=markers).findings
    undecided = {one.id for one in tests if not one.decided}
    return [finding for finding in found if not (finding.kind == ORPHAN_TEST and finding.item in undecided)]
