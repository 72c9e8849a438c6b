"""What the end of one phase of a test says: who is accused, the product or the bench."""

from __future__ import annotations

from collections.abc import Iterator

import pexpect
import pytest
from _pytest.outcomes import Failed, Skipped

from devicepipe.bench.faults import LockupError, UnaskedReplyError, UnexpectedResetError
from devicepipe.errors import DevicepipeError
from devicepipe.evidence.results import Verdict


def phase_verdict(report: pytest.TestReport, error: BaseException | None) -> tuple[Verdict, str]:
    """The verdict of one phase, and the reason where it is not `passed`.

    Args:
        report: What pytest makes of the phase, after marks and hooks had their say.
        error: What was raised in it.
    """
    said = f"{type(error).__name__}: {error}" if error is not None else report.longreprtext
    marked = getattr(report, "wasxfail", None)
    if error is None and report.passed and marked is None:
        return Verdict.PASSED, ""
    if error is None and marked is not None:
        return Verdict.ERROR, f"passed, but is marked xfail ({marked}): remove the mark"
    if error is None:
        return Verdict.ERROR, f"nothing was raised, but pytest reports '{report.outcome}': {said}"
    if any(isinstance(cause, DevicepipeError) for cause in _chain(error)):
        return Verdict.ERROR, said
    if isinstance(error, Skipped) or (marked is not None and marked.startswith("[NOTRUN]")):
        return Verdict.NOT_RUN, said
    return _accuse(report, error), said if marked is None else f"marked xfail ({marked}), and failed: {said}"


def _accuse(report: pytest.TestReport, error: BaseException) -> Verdict:
    """The product, where an assertion of the test itself does not hold or the device did what none may; otherwise the harness."""
    in_test = report.when == "call" and isinstance(error, AssertionError | Failed | pexpect.TIMEOUT | pexpect.EOF)
    faults = (LockupError, UnexpectedResetError, UnaskedReplyError)
    in_device = report.when != "setup" and isinstance(error, faults)
    return Verdict.FAILED if in_test or in_device else Verdict.ERROR


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, all that it was raised from or while handling, and the members of groups."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
