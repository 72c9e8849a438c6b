"""The links of results of other frameworks: they are those that the source asks for, and what their files say; no row says more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.checks import about, file_is, same
from devicepipe.evidence.files import size_of
from devicepipe.evidence.foreign_results import (
    ForeignResults,
    ForeignSet,
    ShownCase,
    cases_of,
    currency_of,
    written_verdicts,
)
from devicepipe.evidence.predicates import ResultsWish, SourceInfo, Subject
from devicepipe.evidence.results import Verdict
from devicepipe.evidence.review_links import review_findings, suspects
from devicepipe.evidence.trace import Traceability
from devicepipe.evidence.words import HOST

_MAXIMUM = 256 * 1024 * 1024


@dataclass(frozen=True)
class Foreign:
    """What the matrix may show of results of other frameworks."""

    shown: Sequence[ShownCase] = ()

    @cached_property
    def passed(self) -> set[str]:
        """The tests that passed: cases, and tests that are written down as items."""
        cases = {one.case.id for one in self.shown if one.verdict == Verdict.PASSED}
        written = written_verdicts(self.shown)
        return cases | {name for name, verdicts in written.items() if verdicts[HOST] == Verdict.PASSED}


def check_foreign(bundle: Bundle, attestation: Attestation, source: SourceInfo) -> str:
    """Check what is attested of results of other frameworks, by reading their files in the bundle once more.

    Raises:
        IntegrityError: A set is missing or another one, a file is, or what is attested is not what the files say.
    """
    results, link = attestation.read(ForeignResults), attestation.path
    wishes = source.results or []
    same("sets of results", [one.name for one in results.sets], [wish.name for wish in wishes], link, "the source")
    same("tester", results.tester, source.tester, link, "the source")
    for one, wish in zip(results.sets, wishes, strict=True):
        _check_set(bundle, one, wish, source, attestation)
    cases = sum(len(one.cases) for one in results.sets)
    return f"its {cases} results are what {sum(len(one.files) for one in results.sets)} files of other frameworks say"


def _check_set(
    bundle: Bundle, one: ForeignSet, wish: ResultsWish, source: SourceInfo, attestation: Attestation
) -> None:
    link = attestation.path
    same(f"{one.name}'s format", one.format, wish.format, link, "the source")
    same(f"{one.name}'s command", one.command, wish.command, link, "the source")
    if (one.exit_code is None) != (wish.command is None) or (one.log is None) != (wish.command is None):
        raise IntegrityError(f"does not say how the command of {one.name} ended", link=link)
    if not one.files:
        raise IntegrityError(f"has no files of {one.name}", link=link)
    files = {}
    for file in [*one.files, *([one.log] if one.log else [])]:
        _check_file(bundle, file, attestation)
        if size_of(bundle.folder, file.name) > _MAXIMUM:
            raise IntegrityError(f"is larger than {_MAXIMUM} bytes", link=file.name)
    for file in one.files:
        files[file.name] = bundle.read(file.name)
    try:
        cases, commits, started = cases_of(wish, files, one.exit_code)
    except UsageError as error:
        raise IntegrityError(error.message, link=str(error.file)) from error
    same(f"{one.name}'s cases", one.cases, cases, link, "its files")
    same(f"{one.name}'s commits", one.commits, commits, link, "its files")
    same(f"{one.name}'s time", one.started_on, started, link, "its files")
    current = currency_of(wish, commits, source.commit)
    same(f"{one.name}'s currency", (one.current, one.why), current, link, "its files and the source")


def _check_file(bundle: Bundle, file: Subject, attestation: Attestation) -> None:
    about(attestation, file.name)
    file_is(bundle, file.name, file.digest.sha256, attestation.path)


def check_foreign_rows(trace: Traceability, foreign: Foreign, link: str) -> None:
    """Check the matrix's column of the host: every case that verifies something has a row, and none verifies more than it does.

    Raises:
        IntegrityError: It is not so. That only what passed is shown as passed is checked with the device tests.
    """
    shown = {row.test for row in trace.matrix}
    cases = {one.case.id: one for one in foreign.shown}
    suspect = suspects([] if trace.reviews is None else review_findings(trace.items, trace.reviews))
    for name, one in cases.items():
        if one.verifies and name not in shown:
            raise IntegrityError(f"leaves out the test {name}", link=link)
    for row in trace.matrix:
        found = cases.get(row.test)
        if found is None:
            continue
        apart = [*(row.designs or []), *(row.user_needs or [])]
        item = row.requirement or row.risk_control or row.hazard or (apart[0] if apart else "")
        if item and item not in found.verifies:
            raise IntegrityError(f"shows {row.test} for {item}, which it does not verify", link=link)
        if row.verdicts.get(HOST) != Verdict.PASSED:
            continue
        if found.verdict != Verdict.PASSED:
            raise IntegrityError(f"shows {row.test} as passed, which is {found.verdict}", link=link)
        if item in suspect:
            raise IntegrityError(f"shows {row.test} as passed for {item}, a change of which nobody reviewed", link=link)
