"""What is told of a case to the person who runs the tests. Evidence has the reasons as they are, and no folder of a machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from devicepipe.evidence.results import TestCase, Verdict


def reason_told(reason: str, log: Path) -> str:
    """A reason in which pytest-embedded's "full log here: serial.log" names the file where it lies now."""
    return re.sub(rf"(?<=full log here: )\S*{re.escape(log.name)}", lambda _: str(log), reason)


def attempts_told(case: TestCase, log: Path) -> Iterator[str]:
    """The earlier attempts at a case: those that ended alike in one text, and the reason that the case ends with only once."""
    number = 1
    for (verdict, reason), same in groupby(case.earlier_attempts, lambda one: (one.verdict, one.reason)):
        last = number + len(list(same)) - 1
        numbers = f"attempt {number}" if last == number else f"attempts {number} to {last}"
        why = "as below" if reason == case.reason else reason_told(reason, log)
        yield f"{numbers}: {verdict}: {why}"
        number = last + 1


def alike(cases: Iterable[TestCase]) -> list[list[TestCase]]:
    """The cases that did not pass, those of one verdict and one reason together."""
    groups: dict[tuple[Verdict, str], list[TestCase]] = {}
    for case in cases:
        if case.verdict is not Verdict.PASSED:
            groups.setdefault((case.verdict, case.reason), []).append(case)
    return list(groups.values())
