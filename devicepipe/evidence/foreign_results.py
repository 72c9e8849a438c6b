"""The results of other test frameworks as evidence: which files, what they say of which tests, and whether that is of this commit.

They were run on a computer, not on a device through the image that ships: so they stand in a column of their own, HOST, and count
only for requirements whose `verification` says `host-test` (docs/adr/0034). What always holds: a case is `passed` only where its
file says so plainly (`junit.py`) and the file is of the released commit; otherwise it is `stale`, and verifies nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from devicepipe.evidence.currency import STALE
from devicepipe.evidence.junit import read_junit
from devicepipe.evidence.model import Model
from devicepipe.evidence.predicates import ResultsWish, Subject
from devicepipe.evidence.results import Verdict
from devicepipe.evidence.trace import Item
from devicepipe.evidence.words import HOST, TEST

FOREIGN_RESULTS = "urn:devicepipe:predicate:foreign-results:v1"

RESULTS_FOLDER = "evidence/results/"

WORST_FIRST: tuple[str, ...] = (Verdict.FAILED, Verdict.ERROR, Verdict.NOT_RUN, STALE, Verdict.PASSED)


class ForeignCase(Model):
    """A test of another framework.

    Attributes:
        id: The set's name, its class and its own name.
        name: Its own name.
        verdict: What its file says of it.
        reason: Why it did not pass.
        names: The ids of items that its file names for it.
        file: The file, in the bundle.
        line: Its line there.
        seconds: How long it took, where the file says it.
    """

    id: str
    name: str
    verdict: Verdict
    reason: str = ""
    names: list[str]
    file: str
    line: int
    seconds: float | None = None


class ForeignSet(Model):
    """One [[traceability.results]]: its files and cases.

    Attributes:
        name: Its name.
        format: The format of its files.
        files: The files.
        command: What made them, where devicepipe had them made in the released sources.
        exit_code: With which code that ended.
        log: Its output.
        commits: The commits that the files say they are of.
        current: Whether they are of the released commit: made from it by devicepipe, or all say so themselves.
        why: Why they are, or are not.
        started_on: What the files say of when they were made (any form), "" where nothing.
        host: The machine that devicepipe ran the command on.
        cases: What they say.
    """

    name: str
    format: str
    files: list[Subject]
    command: list[str] | None = None
    exit_code: int | None = None
    log: Subject | None = None
    commits: list[str] = Field(default_factory=list)
    current: bool
    why: str
    started_on: str = ""
    host: str = ""
    cases: list[ForeignCase]

    def counts(self) -> dict[Verdict, int]:
        """Number of cases by verdict, zeros included."""
        counts = dict.fromkeys(Verdict, 0)
        for case in self.cases:
            counts[case.verdict] += 1
        return counts


class ForeignResults(Model):
    """Predicate FOREIGN_RESULTS: all results of other frameworks, and who is answerable for them."""

    tester: str
    sets: list[ForeignSet]


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A case as the matrix has it: what it verifies, and with what verdict it counts."""

    case: ForeignCase
    verifies: tuple[str, ...]
    written: tuple[str, ...]
    verdict: str


def shown_cases(results: ForeignResults, items: Iterable[Item]) -> list[ShownCase]:
    """The cases as they count.

    A case verifies the items that its file names. Where it names a test that is written down as an item, or is called as that item
    is (its id or its title), it is a run of that test: it gives the test a verdict, and verifies what the test verifies.

    Args:
        results: The results.
        items: The product's items.
    """
    tests = {item.id: item for item in items if item.type == TEST}
    called = {item.title: item.id for item in tests.values()}
    shown = []
    for one in results.sets:
        for case in one.cases:
            written = [name for name in (*case.names, case.name, called.get(case.name, "")) if name in tests]
            verifies = [name for name in case.names if name not in tests]
            verifies += [target for name in written for target in tests[name].links.get("verifies", ())]
            verdict = str(case.verdict)
            if case.verdict is Verdict.PASSED and not one.current:
                verdict = STALE
            shown.append(ShownCase(case, tuple(dict.fromkeys(verifies)), tuple(dict.fromkeys(written)), verdict))
    return shown


def worst(verdicts: Sequence[str]) -> str:
    """The worst of some verdicts."""
    return min(verdicts, key=WORST_FIRST.index)


def written_verdicts(shown: Iterable[ShownCase]) -> dict[str, dict[str, str]]:
    """By test that is written down as an item: its verdict on the host, the worst of its runs."""
    found: dict[str, list[str]] = {}
    for one in shown:
        for name in one.written:
            found.setdefault(name, []).append(one.verdict)
    return {name: {HOST: worst(verdicts)} for name, verdicts in found.items()}


def cases_of(
    wish: ResultsWish, files: Mapping[str, bytes], exit_code: int | None
) -> tuple[list[ForeignCase], list[str], str]:
    """What the files of a set say: its cases, the commits that each file says it is of ("" for one that says none), and when.

    It is the same whoever looks: the release that attests it, and whoever verifies the bundle.

    Args:
        wish: The set.
        files: Name in the bundle → content.
        exit_code: With which code the command ended that made them; None without one.

    Raises:
        UsageError: A file is no JUnit XML; with file and line.
    """
    found: dict[str, ForeignCase] = {}
    commits: list[str] = []
    started = ""
    for name, data in sorted(files.items()):
        said = read_junit(data, Path(name), properties=wish.properties, items=wish.items)
        commits += sorted(set(said.commits)) or [""]
        started = started or said.started_on
        for case in said.cases.values():
            one = ForeignCase(
                id=f"{wish.name}: {case.id}",
                name=case.name,
                verdict=case.verdict,
                reason=case.reason,
                names=case.names,
                file=name,
                line=case.line,
                seconds=case.seconds,
            )
            before = found.get(one.id)
            if before is None:
                found[one.id] = one
            else:
                worse = min(before, one, key=lambda each: WORST_FIRST.index(each.verdict))
                names = list(dict.fromkeys((*before.names, *one.names)))
                found[one.id] = worse.model_copy(update={"names": names})
    bad = any(case.verdict in (Verdict.FAILED, Verdict.ERROR) for case in found.values())
    if exit_code and not bad:
        why = f"its command ended with {exit_code}, though no test says that it failed"
        for own, made in found.items():
            if made.verdict is Verdict.PASSED:
                found[own] = made.model_copy(update={"verdict": Verdict.ERROR, "reason": why})
    return list(found.values()), list(dict.fromkeys(commits)), started


def currency_of(wish: ResultsWish, commits: Sequence[str], commit: str) -> tuple[bool, str]:
    """Whether results are of a commit, and why."""
    if wish.command:
        return True, "made by devicepipe in the released sources"
    if list(commits) == [commit]:
        return True, "each file says that it is of the released commit"
    others = [one[:12] for one in commits if one not in ("", commit)]
    if others:
        return False, f"a file says that it is of another commit ({', '.join(others)})"
    return False, "a file does not say of which commit it is"
