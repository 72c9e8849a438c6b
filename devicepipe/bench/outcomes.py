"""Outcomes of tests that pytest does not know: a retried attempt, and a test in quarantine that did not pass."""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol

from devicepipe.bench.recorder import QUARANTINED, Recorder, set_outcome
from devicepipe.project.sections import Retries

RETRIED = "retried"


class Outcomes:
    """pytest's words for them. Neither counts as a failure: not for -x, not for the exit status; nor as passed."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Name them in pytest's account."""
        letter = {RETRIED: "R", QUARANTINED: "Q"}.get(report.outcome)
        return (report.outcome, letter, (report.outcome.upper(), {"yellow": True})) if letter else None


class Retrying:
    """Runs each test as often as the policy says. Every attempt is in the record, and begins with a device as new."""

    def __init__(self, policy: Retries, recorder: Recorder) -> None:
        self._policy = policy
        self._recorder = recorder

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """As pytest's own, but for the attempts."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for left in range(self._policy.times, -1, -1):
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            ends = item.session.shouldfail or item.session.shouldstop
            again = left and not ends and self._recorder.attempt_verdict(item) in self._policy.verdicts
            for report in reports:
                if again and not report.passed:
                    set_outcome(report, RETRIED)
                item.ihook.pytest_runtest_logreport(report=report)
            if not again:
                break
            self._recorder.retry(item)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
