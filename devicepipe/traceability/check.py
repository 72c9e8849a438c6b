"""Everything that is wrong with a product's items and links as they stand in the working tree, before anything is built or run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from devicepipe.traceability.device_tests import DeviceTest
from devicepipe.traceability.findings import Found
from devicepipe.traceability.markers import Markers
from devicepipe.traceability.matrix import (
    ORPHAN_TEST,
    VERIFIED_BY_RECORD,
    VERIFIED_ON_HOST,
    StaticTrace,
    TracedTest,
    TraceRules,
    trace_statically,
)
from devicepipe.traceability.soup import Locked

if TYPE_CHECKING:
    from devicepipe.evidence.trace import TraceFinding
    from devicepipe.traceability.drafts import Traced

ERROR, WARNING = "error", "warning"

_WARNINGS = (ORPHAN_TEST, VERIFIED_BY_RECORD, VERIFIED_ON_HOST)


def severity_of(finding: Found | TraceFinding) -> str:
    """Whether a finding is an `error` or a `warning`, which is told only."""
    return finding.severity or (WARNING if finding.kind in _WARNINGS else ERROR)


def check_items(
    items: Sequence[Traced],
    tests: Sequence[DeviceTest],
    boards: Sequence[str],
    *,
    rules: TraceRules,
    unlisted: Sequence[Locked] = (),
    markers: Markers | None = None,
) -> StaticTrace:
    """The matrix and the findings that need no results: see `matrix.trace`.

    A requirement is tested on each board that a test of it applies to.
    """
    traced = [
        TracedTest(one.id, one.verifies, one.file, one.line, {}, effectiveness=one.effectiveness, only=one.only)
        for one in tests
    ]
    found = trace_statically(items, traced, boards, rules=rules, unlisted=unlisted, markers=markers)
    undecided = {one.id for one in tests if not one.decided}
    kept = [one for one in found.findings if not (one.kind == ORPHAN_TEST and one.item in undecided)]
    return StaticTrace(found.rows, kept)
