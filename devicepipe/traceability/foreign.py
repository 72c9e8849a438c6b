"""Tests of other frameworks in the trace: each case that verifies something is a test of its own, with a verdict on the host."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from devicepipe.evidence.currency import STALE
from devicepipe.evidence.foreign_results import ShownCase
from devicepipe.evidence.results import Verdict
from devicepipe.evidence.words import HOST
from devicepipe.traceability.matrix import TracedTest


def foreign_tests(shown: Iterable[ShownCase], suspect: Collection[str] = ()) -> list[TracedTest]:
    """The cases as tests; those that verify nothing stay in the evidence and out of the matrix.

    What passed is `stale` for the items of `suspect`: those with a change, or resting on one, that nobody reviewed.
    """
    tests = []
    for one in shown:
        suspects = tuple(name for name in one.verifies if name in suspect and one.verdict == Verdict.PASSED)
        others = tuple(name for name in one.verifies if name not in suspects)
        for names, verdict in ((others, one.verdict), (suspects, STALE)):
            if names:
                place = (one.case.file, one.case.line)
                tests.append(TracedTest(one.case.id, names, *place, {HOST: verdict}, on_host=True))
    return tests
