"""The trace: hazard → risk control → requirement → test → verdict per board, and what does not hold in it.

What always holds: only Verdict.PASSED counts as passed, and only in a run whose device was what it should be
(`TestRun.identity_errors` is empty); a passed verdict of any other run appears as `error`, because nobody can say what was
tested. One in quarantine appears as `quarantined`. Every hazard, risk control, requirement and test appears in at least one row.
The result depends on nothing but the arguments.

How a requirement is verified (its `verification` field):

- `test` (the default): at least one passing test on every board it applies to.
- `host-test`: a test of another framework that passed on a host verifies it on all its boards; so do tests on the devices. It
  never passes silently either: it is the finding `verified-on-host`. For other requirements, what ran on a host is shown, and
  counts nothing.
- `analysis` or `inspection`: a passing test does it as well; otherwise its `evidence` field names the record, whose digest is
  part of the item. That is a claim of the item's author, so it never passes silently: it is the finding `verified-by-record`,
  and without a record it is `untested-requirement` like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from devicepipe.evidence.words import (
    DESIGN,
    HAZARD,
    HOST,
    HOST_TEST,
    RATINGS,
    REQUIREMENT,
    RISK_CONTROL,
    TEST,
    USER_NEED,
    Verdict,
)
from devicepipe.traceability.coverage import RuleCheck
from devicepipe.traceability.fields import Scales
from devicepipe.traceability.findings import Found
from devicepipe.traceability.markers import UNKNOWN_ITEM, Markers
from devicepipe.traceability.schema import Schema, project_schema, shipped_schema
from devicepipe.traceability.soup import Locked

if TYPE_CHECKING:
    from devicepipe.evidence.results import TestCase, TestRun
    from devicepipe.evidence.risk import RiskMatrix
    from devicepipe.evidence.trace import Item, MatrixRow, Traceability, TraceFinding
    from devicepipe.project.config import Project
    from devicepipe.project.trace_schema import SafetyClass
    from devicepipe.traceability.currency import Stale
    from devicepipe.traceability.drafts import Traced

UNTESTED_REQUIREMENT = "untested-requirement"
UNVERIFIED_CONTROL = "unverified-control"
UNCONFIRMED_IDENTITY = "unconfirmed-identity"
VERIFIED_BY_RECORD = "verified-by-record"
VERIFIED_ON_HOST = "verified-on-host"
ORPHAN_TEST = "orphan-test"
UNREDUCED_HAZARD = "unreduced-hazard"
UNLISTED_SOUP = "unlisted-soup"

QUARANTINED = "quarantined"

# A test that ran twice on a board, or on two devices of it, is only as good as its worst verdict.
_WORST_FIRST: tuple[str, ...] = (Verdict.FAILED, Verdict.ERROR, Verdict.NOT_RUN, QUARANTINED, Verdict.PASSED)
_NAMED = 5
_IN_ROWS = (HAZARD, RISK_CONTROL, REQUIREMENT, USER_NEED, DESIGN)


@dataclass(frozen=True, slots=True)
class TracedTest:
    """One test over all boards: the items it names, where it stands, and its verdict on each board that has it.

    `boards` are those that it must be run on whatever it verifies: the ones of a written test. `effectiveness` are those of the
    items that are risk controls which it shows to work. One that is `on_host` is another framework's, and never runs on a board.
    `only` are the boards that it applies to, None for all; it is looked at before anything has run.
    """

    id: str
    verifies: tuple[str, ...]
    file: str
    line: int
    verdicts: dict[str, str]
    boards: tuple[str, ...] = ()
    effectiveness: tuple[str, ...] = ()
    on_host: bool = False
    only: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TraceRules:
    """What a trace is held to: the schema, the product's safety class, the words that rate hazards, and what is acceptable.

    Ratings are compared where the words are given, risks are judged where it is said what is acceptable.
    """

    schema: Schema
    safety_class: SafetyClass = "C"
    scales: Scales = field(default_factory=Scales)
    acceptability: RiskMatrix | None = None

    @classmethod
    def of(cls, project: Project) -> TraceRules:
        """Those of a project. Raises UsageError where its schema is wrong."""
        from devicepipe.traceability.risk import risk_matrix

        settings = project.traceability
        scales = Scales(settings.severities, settings.probabilities)
        return cls(project_schema(project), project.product.safety_class, scales, risk_matrix(project))


def trace(
    items: Sequence[Item],
    runs: Sequence[TestRun],
    boards: Sequence[str],
    *,
    rules: TraceRules | None = None,
    unlisted: Sequence[Locked] = (),
    markers: Markers | None = None,
    written: Mapping[str, Mapping[str, str]] | None = None,
    stale: Stale | None = None,
    foreign: Sequence[TracedTest] = (),
) -> Traceability:
    """Join items and test runs.

    Args:
        items: As `read_items` gives them.
        runs: The test sessions; a board without one has run nothing.
        boards: The product's boards in the order of the matrix's columns, and HOST where there are tests of other frameworks.
        rules: What the items are held to; the shipped schema if None.
        unlisted: The locked components that no SOUP item is about.
        markers: The markers in sources and commits.
        written: The verdicts of written tests, by id and board; a test that is not named has not been run.
        stale: The verdicts of these runs that are no longer about what they are shown for.
        foreign: The tests of other frameworks.

    Returns:
        The items, the matrix in the order of the items, and the findings: those of the schema's rules under the rules' names,
        `untested-requirement` (per board; the message begins with `no-test`, `not-run` or `not-passed`), `unverified-control`,
        `unknown-item` (with the test's or marker's file and line), `unknown-item-in-commit`, `unconfirmed-identity` (per board),
        `verified-by-record`, `verified-on-host`, `orphan-test`, `unreduced-hazard` (rated worse with its controls than
        without), `unlisted-soup`, `stale-evidence` (currency.py), and those of open risks (risk.py).
    """
    from devicepipe.evidence.trace import CodeMarker, Traceability
    from devicepipe.traceability.risk import risk_findings

    rules = rules or TraceRules(shipped_schema())
    tests = [*written_tests(items, written or {}), *(stale.part(_tests(runs)) if stale else _tests(runs)), *foreign]
    markers = markers or Markers()
    traced = _Trace(items, tests, boards, rules, markers)
    rows = list(traced.rows())
    findings = [
        *traced.findings(),
        *_identity_findings(runs),
        *_rating_findings(items, rules.scales),
        *map(_unlisted, unlisted),
    ]
    further = [*(stale.findings(items) if stale else []), *risk_findings(items, rows, rules.acceptability, tests)]
    return Traceability(
        items=list(items),
        matrix=[row.evidence() for row in rows],
        findings=[*(found.evidence() for found in findings), *further],
        code=None
        if markers.code is None
        else [one if isinstance(one, CodeMarker) else one.evidence() for one in markers.code],
        commits=None if markers.commits is None else list(markers.commits),
        risk=rules.acceptability,
    )


class Row(NamedTuple):
    """A line of the matrix before it is evidence: see `MatrixRow`."""

    verdicts: dict[str, str]
    test: str
    hazard: str = ""
    risk_control: str = ""
    requirement: str = ""
    user_needs: list[str] | None = None
    designs: list[str] | None = None
    effectiveness: Literal[True] | None = None

    def evidence(self) -> MatrixRow:
        """The line as a value of the evidence."""
        from devicepipe.evidence.trace import MatrixRow

        return MatrixRow(**self._asdict())


@dataclass(frozen=True, slots=True)
class StaticTrace:
    """The matrix and the findings of items before any test has run."""

    rows: list[Row]
    findings: list[Found | TraceFinding]


def trace_statically(
    items: Sequence[Traced],
    tests: Sequence[TracedTest],
    boards: Sequence[str],
    *,
    rules: TraceRules | None = None,
    unlisted: Sequence[Locked] = (),
    markers: Markers | None = None,
) -> StaticTrace:
    """Join items and tests before any of them has run, as `trace` does.

    A requirement has no finding of a board that any test of it applies to.
    """
    rules = rules or TraceRules(shipped_schema())
    tests = [*written_tests(items, {}), *tests]
    traced = _Trace(items, tests, boards, rules, markers or Markers(), judged=False)
    findings: list[Found | TraceFinding] = [*traced.findings(), *_rating_findings(items, rules.scales)]
    findings += map(_unlisted, unlisted)
    rows = list(traced.rows())
    if rules.acceptability is not None or any(test.effectiveness for test in tests):
        from devicepipe.traceability.risk import risk_findings

        findings += risk_findings(items, rows, rules.acceptability, tests, judged=False)
    return StaticTrace(rows, findings)


def written_tests(items: Sequence[Traced], verdicts: Mapping[str, Mapping[str, str]]) -> list[TracedTest]:
    """The tests that are written down as items, with the verdicts that are known of them."""
    return [
        TracedTest(
            item.id,
            tuple(dict.fromkeys([*item.links.get("verifies", ()), *item.links.get("demonstrates", ())])),
            item.file,
            item.line,
            dict(verdicts.get(item.id, {})),
            tuple(item.boards),
            tuple(item.links.get("demonstrates", ())),
            only=tuple(item.boards),
        )
        for item in items
        if item.type == TEST
    ]


class _Trace:
    """The links in the direction the matrix needs, looked up once."""

    def __init__(
        self,
        items: Sequence[Traced],
        tests: Sequence[TracedTest],
        boards: Sequence[str],
        rules: TraceRules,
        markers: Markers,
        *,
        judged: bool = True,
    ) -> None:
        self._items = items
        self._judged = judged
        self._tests = tests
        self._boards = boards
        self._markers = markers
        self._schema = rules.schema
        self._known = {item.id: item for item in items}
        self._in_rows = {item.id for item in items if item.type in _IN_ROWS}
        self._rules = RuleCheck(items, rules.schema, rules.safety_class, markers.places())
        self._types = {item.type for item in items}
        self._verifying: dict[str, list[TracedTest]] = {}
        for test in tests:
            for name in test.verifies:
                self._verifying.setdefault(name, []).append(test)
        self._gaps = {item.id: list(self._gaps_of(item)) for item in items if item.type == REQUIREMENT}

    def findings(self) -> Iterator[Found]:
        """What does not hold of the items, the tests and the markers."""
        yield from self._item_findings()
        yield from self._test_findings()
        yield from self._markers.findings(self._known, self._schema)

    def _sources(self, kind: str, target: str) -> list[Traced]:
        """The items that link to one by links of a kind."""
        return [self._known[name] for name in self._rules.index.sources(kind, target)]

    # --- matrix

    def rows(self) -> Iterator[Row]:
        """The lines of the matrix."""
        for item in self._items:
            if item.type == HAZARD:
                yield from self._hazard_rows(item)
            elif item.type == RISK_CONTROL and not item.links.get("mitigates"):
                yield from self._control_rows(item)
            elif item.type == REQUIREMENT and not item.links.get("implements"):
                yield from self._requirement_rows(item)
            elif item.type == USER_NEED:
                yield from self._apart_rows(item, self._rules.index.sources("satisfies", item.id), user_needs=[item.id])
            elif item.type == DESIGN:
                yield from self._apart_rows(item, item.links.get("realises", ()), designs=[item.id])
        for test in self._tests:
            if not any(name in self._in_rows for name in test.verifies):
                yield self._row(test, ())

    def _hazard_rows(self, hazard: Traced) -> Iterator[Row]:
        yield from self._test_rows(hazard, hazard=hazard.id, needed=())
        controls = self._sources("mitigates", hazard.id)
        if not controls and hazard.id not in self._verifying:
            yield self._row(None, (), hazard=hazard.id)
        for control in controls:
            yield from self._control_rows(control, hazard=hazard.id)

    def _control_rows(self, control: Traced, hazard: str = "") -> Iterator[Row]:
        for test in self._verifying.get(control.id, ()):
            shows: Literal[True] | None = True if control.id in test.effectiveness else None
            yield self._row(test, (), hazard=hazard, risk_control=control.id, effectiveness=shows)
        requirements = self._sources("implements", control.id)
        if not requirements and control.id not in self._verifying:
            yield self._row(None, (), hazard=hazard, risk_control=control.id)
        for requirement in requirements:
            yield from self._requirement_rows(requirement, hazard=hazard, risk_control=control.id)

    def _apart_rows(self, item: Traced, shown_in: Sequence[str], **above: list[str]) -> Iterator[Row]:
        """The rows of a user need or a design item: of its own tests, and one where no requirement's row shows it."""
        yield from self._test_rows(item, needed=(), **above)
        if not shown_in and item.id not in self._verifying:
            yield self._row(None, (), **above)

    def _requirement_rows(self, requirement: Traced, hazard: str = "", risk_control: str = "") -> Iterator[Row]:
        above: dict[str, Any] = {"hazard": hazard, "risk_control": risk_control, "requirement": requirement.id}
        if USER_NEED in self._types:
            above["user_needs"] = requirement.links.get("satisfies", [])
        if DESIGN in self._types:
            above["designs"] = list(self._rules.index.sources("realises", requirement.id))
        needed = (HOST,) if _on_host(requirement) else requirement.boards
        if requirement.id not in self._verifying:
            row = self._row(None, () if requirement.record else needed, **above)
            yield row._replace(test=requirement.record)
        yield from self._test_rows(requirement, needed=needed, **above)

    def _test_rows(self, item: Traced, *, needed: Sequence[str], **above: Any) -> Iterator[Row]:
        for test in self._verifying.get(item.id, ()):
            yield self._row(test, () if test.on_host else needed, **above)

    def _row(self, test: TracedTest | None, needed: Sequence[str], **above: Any) -> Row:
        """A row; a board that has no verdict but needs one shows `not_run`."""
        seen: Mapping[str, str] = test.verdicts if test else {}
        needed = needed or (test.boards if test else ())
        verdicts = {
            board: str(seen[board]) if board in seen else str(Verdict.NOT_RUN) if board in needed else ""
            for board in self._boards
        }
        return Row(verdicts, test.id if test else "", **above)

    # --- findings

    def _gaps_of(self, requirement: Traced) -> Iterator[tuple[str, str]]:
        """The boards on which a requirement is not verified, each with the reason."""
        if requirement.record:
            return
        tests = self._verifying.get(requirement.id, ())
        on_host = _on_host(requirement)
        if on_host and (self._host_tests(requirement) or not self._judged):
            return  # what a host's tests name is known when they have run
        if tests and not self._judged:
            for board in requirement.boards:
                if all(test.only is not None and board not in test.only for test in tests):
                    yield board, f"no-test: none of its tests applies to it: {_names([test.id for test in tests])}"
            return
        counted = [test for test in tests if on_host or not test.on_host]
        for board in requirement.boards:
            seen = {test.id: test.verdicts.get(HOST if test.on_host else board, Verdict.NOT_RUN) for test in counted}
            if Verdict.PASSED in seen.values():
                continue
            others = [f"{name} {verdict}" for name, verdict in seen.items() if verdict != Verdict.NOT_RUN]
            if not counted:
                yield board, f"no-test: {_nothing(requirement, on_host=bool(tests))}"
            elif others:
                yield board, f"not-passed: {_names(others)}"
            else:
                yield board, f"not-run: {_names(list(seen))}"

    def _host_tests(self, requirement: Traced) -> list[str]:
        """The tests that passed on the host."""
        tests = self._verifying.get(requirement.id, ())
        return [test.id for test in tests if test.verdicts.get(HOST) == Verdict.PASSED]

    def _item_findings(self) -> Iterator[Found]:
        for item in self._items:
            yield from self._rules.findings(item)
            if item.type == RISK_CONTROL:
                requirements = self._sources("implements", item.id)
                gaps = [f"{one.id} on {board}" for one in requirements for board, _ in self._gaps[one.id]]
                if gaps:
                    yield _finding(UNVERIFIED_CONTROL, item, f"its requirements are not verified: {_names(gaps)}")
            elif item.type == REQUIREMENT:
                for board, reason in self._gaps[item.id]:
                    yield _finding(UNTESTED_REQUIREMENT, item, reason, board)
                if item.record:
                    yield _finding(VERIFIED_BY_RECORD, item, f"not verified by a test, but by {item.record}")
                if _on_host(item) and (names := self._host_tests(item)):
                    said = f"verified on a host, not on a device, as it says: {_names(names)}"
                    yield _finding(VERIFIED_ON_HOST, item, said)

    def _test_findings(self) -> Iterator[Found]:
        for test in self._tests:
            for name in test.verifies:
                if name not in self._known:
                    yield Found(
                        kind=UNKNOWN_ITEM,
                        item=name,
                        message=f"{test.id} verifies {name}, but there is no such item",
                        file=test.file,
                        line=test.line,
                    )
            if not test.verifies and test.id not in self._known:
                yield Found(
                    kind=ORPHAN_TEST, item=test.id, message="the test verifies no item", file=test.file, line=test.line
                )


def _rating_findings(items: Sequence[Traced], scales: Scales) -> Iterator[Found]:
    for item in items:
        if item.type != HAZARD or not {*RATINGS} <= item.fields.keys():
            continue
        for before, after in (("severity", "severity-after"), ("probability", "probability-after")):
            order = scales.of(before)
            words = (item.fields[before], item.fields[after])
            if all(word in order for word in words) and order.index(words[1]) > order.index(words[0]):
                yield _finding(
                    UNREDUCED_HAZARD, item, f"its {before} is {words[1]} with its risk controls, but {words[0]} without"
                )


def _unlisted(component: Locked) -> Found:
    file, _, line = component.place.rpartition(":")
    return Found(kind=UNLISTED_SOUP, item=component.name, message="no SOUP item is about it", file=file, line=int(line))


def _identity_findings(runs: Sequence[TestRun]) -> Iterator[Found]:
    for run in runs:
        if run.identity_errors:
            yield Found(
                kind=UNCONFIRMED_IDENTITY,
                item=run.device.serial,
                board=run.board,
                message=f"no verdict of this run counts as passed: {_names(run.identity_errors)}",
            )


def _finding(kind: str, item: Traced, message: str, board: str = "") -> Found:
    return Found(kind=kind, item=item.id, board=board, message=message, file=item.file, line=item.line)


def _tests(runs: Sequence[TestRun]) -> list[TracedTest]:
    """The tests of all runs, in the order of their first appearance."""
    tests: dict[tuple[str, ...], TracedTest] = {}
    for run in runs:
        for case in run.cases:
            # The named items are part of the key: what a test names on one board says nothing about another one.
            key = (case.id, *case.verifies, "", *(case.effectiveness or ()))
            test = tests.get(key)
            if test is None:
                tests[key] = test = TracedTest(
                    case.id,
                    tuple(dict.fromkeys(case.verifies)),
                    case.procedure_file,
                    case.procedure_line,
                    {},
                    effectiveness=tuple(case.effectiveness or ()),
                )
            verdict = _verdict(run, case)
            before = test.verdicts.get(run.board, verdict)
            test.verdicts[run.board] = min(verdict, before, key=_WORST_FIRST.index)
    return list(tests.values())


def _verdict(run: TestRun, case: TestCase) -> str:
    if run.identity_errors and case.verdict == Verdict.PASSED:
        return Verdict.ERROR
    if case.quarantine is not None and case.verdict == Verdict.PASSED:
        return QUARANTINED
    return case.verdict


def _on_host(item: Traced) -> bool:
    """Whether tests on a host may verify a requirement."""
    return item.fields.get("verification") == HOST_TEST


def _nothing(requirement: Traced, *, on_host: bool = False) -> str:
    method = requirement.fields.get("verification", "test")
    if on_host and method == "test":
        return f"only tests on a host verify it, and its verification is not '{HOST_TEST}'"
    return (
        "nothing verifies it"
        if method in ("test", HOST_TEST)
        else f"no record of its {method} (field 'evidence'), and no test"
    )


def _names(names: Sequence[str]) -> str:
    """The names, or the first few and how many more: messages are read by people and stand in tables."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
