"""JUnit XML, read strictly: what many test frameworks write of a test run, and what each of them means by it.

There is no standard; this knows what pytest, GoogleTest, CTest, Ceedling, Maven and Gradle write. What always holds: a case is
`passed` only if nothing inside it and no attribute of it says otherwise, and its suites hold as many cases, and no more failures
and errors, than they say themselves. Skipped, disabled and "not run" are `not_run`; a status that is not known is `error`; a case
that passed only when it was tried again (Maven's flakyFailure) has `failed`. Of two results with one id, the worse counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devicepipe.errors import UsageError
from devicepipe.evidence.results import Verdict
from devicepipe.evidence.safe_xml import child, children, local_name, parse_xml

_PASSED = frozenset(("run", "passed", "pass", "success", "successful", "completed", "ok"))
_NOT_RUN = frozenset(
    ("notrun", "not_run", "disabled", "skipped", "skip", "suppressed", "ignored", "inactive", "pending")
)
_FAILED = frozenset(("fail", "failed", "failure"))
_INSIDE: dict[str, tuple[Verdict, str]] = {
    "failure": (Verdict.FAILED, "failed"),
    "error": (Verdict.ERROR, "error"),
    "skipped": (Verdict.NOT_RUN, "skipped"),
    "rerunFailure": (Verdict.FAILED, "failed again"),
    "rerunError": (Verdict.FAILED, "failed again"),
    "flakyFailure": (Verdict.FAILED, "passed only when it was tried again"),
    "flakyError": (Verdict.FAILED, "passed only when it was tried again"),
}
_WORST_FIRST = (Verdict.FAILED, Verdict.ERROR, Verdict.NOT_RUN, Verdict.PASSED)
_COMMIT_KEYS = frozenset(("commit", "git.commit", "git_commit", "revision", "sha"))
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ITEM_SEPARATOR = re.compile(r"[,;\s]+")
_LONGEST = 300


@dataclass(slots=True)
class JUnitCase:
    """A case: its id in the file (class and name), its verdict and why, the items that it names, its line."""

    id: str
    name: str
    verdict: Verdict
    reason: str
    names: list[str]
    line: int
    seconds: float | None


@dataclass(slots=True)
class JUnitFile:
    """What a file says: cases by id, the commits that it says it is of, and when it was made."""

    cases: dict[str, JUnitCase] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    started_on: str = ""


def read_junit(data: bytes, path: Path, *, properties: Sequence[str], items: str | None = None) -> JUnitFile:
    """Read a file.

    Args:
        data: Its bytes.
        path: Its name, for errors.
        properties: The names of properties (or attributes of a case) that hold ids of items.
        items: A pattern with one group that finds ids of items in a case's id; "_" in them stands for "-".

    Raises:
        UsageError: It is no JUnit XML, or has no cases; with file and line.
    """
    root = parse_xml(data, path)
    if local_name(root) not in ("testsuites", "testsuite"):
        raise UsageError(f"is no JUnit XML: its root is <{local_name(root)}>", file=path, line=1)
    reader = _Reader(path, frozenset(properties), re.compile(items) if items else None)
    reader.suite(root, (), "")
    if not reader.found.cases:
        raise UsageError("holds no test case", file=path, line=1, remedy="see whether the tests ran at all")
    return reader.found


class _Reader:
    def __init__(self, path: Path, properties: frozenset[str], items: re.Pattern[str] | None) -> None:
        self._path = path
        self._properties = properties
        self._items = items
        self.found = JUnitFile()

    def suite(self, suite: Any, inherited: tuple[str, ...], name: str) -> list[JUnitCase]:
        """Read a suite and those inside it; its cases."""
        name = suite.get("name", "") or name
        self.found.started_on = self.found.started_on or suite.get("timestamp", "")
        names = inherited
        for key, value in _properties(suite):
            if key.lower() in _COMMIT_KEYS and _COMMIT.fullmatch(value.strip().lower()):
                self.found.commits.append(value.strip().lower())
            if key in self._properties:
                names += tuple(filter(None, _ITEM_SEPARATOR.split(value)))
        cases: list[JUnitCase] = []
        for one in children(suite):
            if local_name(one) == "testsuite":
                cases += self.suite(one, names, name)
            elif local_name(one) == "testcase":
                cases.append(self._case(one, names, name))
        self._hold(suite, cases)
        return cases

    def _hold(self, suite: Any, cases: list[JUnitCase]) -> None:
        """A suite that says more of its cases than they do themselves has lost some of what happened."""
        said = {key: self._count(suite, key) for key in ("tests", "failures", "errors")}
        failures = sum(case.verdict is Verdict.FAILED for case in cases)
        errors = sum(case.verdict is Verdict.ERROR for case in cases)
        broken = child(suite, "error") is not None or child(suite, "failure") is not None
        why = ""
        if said["tests"] is not None and said["tests"] != len(cases):
            why = f"its suite says that it has {said['tests']} tests, but has {len(cases)}"
        elif (said["failures"] or 0) + (said["errors"] or 0) > failures + errors:
            why = "its suite says that more tests failed than do"
        elif broken:
            why = "its suite says that it broke"
        for case in cases if why else ():
            if case.verdict is Verdict.PASSED:
                case.verdict, case.reason = Verdict.ERROR, why

    def _count(self, suite: Any, key: str) -> int | None:
        text = suite.get(key)
        if text is None or not text.strip():
            return None
        try:
            return int(text)
        except ValueError as error:
            raise UsageError(
                f"'{key}' of a suite is no number: '{text}'", file=self._path, line=suite.sourceline
            ) from error

    def _case(self, element: Any, inherited: tuple[str, ...], suite: str) -> JUnitCase:
        name = element.get("name", "").strip()
        line = element.sourceline or 1
        if not name:
            raise UsageError("a test case without a name", file=self._path, line=line)
        own = f"{element.get('classname', '').strip() or suite}.{name}".lstrip(".")
        names = [*inherited]
        stated = [*_properties(element), *element.attrib.items()]
        for key, value in stated:
            if key in self._properties:
                names += filter(None, _ITEM_SEPARATOR.split(value))
        if self._items is not None:
            names += [found.group(1).replace("_", "-") for found in self._items.finditer(own)]
        verdict, reason = _verdict(element)
        case = JUnitCase(own, name, verdict, reason, list(dict.fromkeys(names)), line, _seconds(element))
        before = self.found.cases.get(own)
        if before is None:
            self.found.cases[own] = case
        else:
            before.names = list(dict.fromkeys((*before.names, *case.names)))
            if _WORST_FIRST.index(verdict) < _WORST_FIRST.index(before.verdict):
                before.verdict, before.reason = verdict, reason
            # Both count towards what the suite says, and both are what the worse is.
            return before
        return case


def _verdict(element: Any) -> tuple[Verdict, str]:
    found: list[tuple[Verdict, str]] = []
    for one in children(element):
        if local_name(one) in _INSIDE:
            verdict, word = _INSIDE[local_name(one)]
            told = " ".join((one.get("message") or one.text or "").split())[:_LONGEST]
            found.append((verdict, f"{word}: {told}" if told else word))
    for key in ("status", "result"):
        said = element.get(key)
        word = (said or "").strip().lower()
        if word in _NOT_RUN:
            found.append((Verdict.NOT_RUN, f"{key}: {said}"))
        elif word in _FAILED:
            found.append((Verdict.FAILED, f"{key}: {said}"))
        elif word == "error":
            found.append((Verdict.ERROR, f"{key}: {said}"))
        elif word and word not in _PASSED:
            found.append((Verdict.ERROR, f"{key} '{said}' is not known"))
    if not found:
        return Verdict.PASSED, ""
    return min(found, key=lambda one: _WORST_FIRST.index(one[0]))


def _properties(element: Any) -> Iterator[tuple[str, str]]:
    for one in children(child(element, "properties")):
        yield one.get("name", ""), one.get("value") or (one.text or "").strip()


def _seconds(element: Any) -> float | None:
    try:
        seconds = float(element.get("time", "").replace(",", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
