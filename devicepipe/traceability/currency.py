"""Stale evidence: which verdicts are no longer about the items that they are shown for, and why (`evidence/currency.py`).

What always holds: a verdict that is stale for an item appears as `stale` in the item's rows and verifies nothing there. Only what
passed becomes stale: a test that failed has failed, and no failure is hidden.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from devicepipe.evidence.currency import STALE, Cause, Expected
from devicepipe.evidence.results import TestCase, TestRun, Verdict
from devicepipe.evidence.trace import Item, TraceFinding

if TYPE_CHECKING:
    from devicepipe.traceability.matrix import TracedTest

STALE_EVIDENCE = "stale-evidence"

_NAMED = 3
_WORDS: Mapping[Cause, str] = {
    "item": "the item",
    "test": "the test",
    "image": "the image",
    "board": "the board",
    "review": "the item or what it rests on",
}


class Stale:
    """The stale evidence of some test runs."""

    def __init__(self, runs: Iterable[TestRun], expected: Expected) -> None:
        self._causes: dict[tuple[str, str, str], dict[Cause, str]] = {}
        self._cases: dict[str, TestCase] = {}
        for run in runs:
            for case in run.cases:
                if case.verdict is not Verdict.PASSED:
                    continue
                for item in case.verifies:
                    causes = expected.stale(run, case, item, run.board)
                    if causes:
                        self._causes[case.id, item, run.board] = causes
                        self._cases[case.id] = case

    def __bool__(self) -> bool:
        return bool(self._causes)

    def part(self, tests: Sequence[TracedTest]) -> list[TracedTest]:
        """The tests, each in as many parts as it needs to have other verdicts for one item than for another."""
        parted: list[TracedTest] = []
        for test in tests:
            groups: dict[tuple[str, ...], list[str]] = {}
            for item in test.verifies:
                stale = tuple(board for board in test.verdicts if self._is_stale(test, item, board))
                groups.setdefault(stale, []).append(item)
            if not any(groups):
                parted.append(test)
                continue
            for boards, items in groups.items():
                verdicts = {board: STALE if board in boards else said for board, said in test.verdicts.items()}
                parted.append(dataclasses.replace(test, verifies=tuple(items), verdicts=verdicts))
        return parted

    def findings(self, items: Sequence[Item]) -> list[TraceFinding]:
        """What changed, for each item: a finding a cause, with the boards and the first tests; at the test where that changed."""
        by_item: dict[str, dict[tuple[Cause, str], tuple[set[str], list[str]]]] = {}
        for (test, item, board), causes in self._causes.items():
            for cause, said in causes.items():
                boards, tests = by_item.setdefault(item, {}).setdefault((cause, said), (set(), []))
                boards.add(board)
                if test not in tests:
                    tests.append(test)
        found: list[TraceFinding] = []
        for one in items:
            for (cause, said), (boards, tests) in by_item.get(one.id, {}).items():
                more = f" and {len(tests) - _NAMED} more" if len(tests) > _NAMED else ""
                case = self._cases[tests[0]]
                at_test = cause == "test"
                found.append(
                    TraceFinding(
                        kind=STALE_EVIDENCE,
                        item=one.id,
                        message=f"{_WORDS[cause]} changed: {said} (on {', '.join(sorted(boards))}: "
                        f"{', '.join(tests[:_NAMED])}{more})",
                        file=case.procedure_file if at_test else one.file,
                        line=case.procedure_line if at_test else one.line,
                    )
                )
        return found

    def _is_stale(self, test: TracedTest, item: str, board: str) -> bool:
        proves = test.verdicts[board] in (Verdict.PASSED, "quarantined")
        return proves and (test.id, item, board) in self._causes
