"""The test protocol and report: what is done and expected, level by level, and what came of it on each board (IEC 62304, 5.7.5)."""

from __future__ import annotations

from devicepipe.documents import anchors
from devicepipe.documents.cells import time_text, verdict_cell
from devicepipe.documents.details import case_verdict, log_cell, session
from devicepipe.documents.measurements import number_text
from devicepipe.documents.model import Block, Cell, Column, Heading, Paragraph, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.foreign_results import ForeignSet
from devicepipe.evidence.results import TestCase, TestRun, Verdict


def levels(record: ReleaseRecord) -> Table:
    """What the evidence has of each level of testing: what it has not is said, not left out."""
    cases = {case.id for run in record.runs for case in run.cases}
    passed = sum(1 for run in record.runs for case in run.cases if case.verdict == "passed")
    whole = sum(len(run.cases) for run in record.runs)
    none = Cell("NO EVIDENCE", "no results of this level are in the bundle", tone=Tone.WARNING)
    system = (
        Cell(f"{len(cases):,} tests on {len(record.runs):,} boards", f"{passed:,} of {whole:,} cases passed")
        if cases
        else none
    )
    sets = list(record.foreign.sets) if record.foreign else []
    rows: list[tuple[Cell, ...]] = []
    for level, what in _HOST_LEVELS.items():
        own = [one for one in sets if level.lower() in one.name.lower()]
        sets = [one for one in sets if one not in own]
        where = Cell("this report, tests of other frameworks" if own else "manufacturer's record")
        rows.append((Cell(level, strong=True), Cell(what), _host_cell(own) if own else none, where))
    if sets:
        rows.append(
            (
                Cell("On a host", strong=True),
                Cell("what the set's own name says"),
                _host_cell(sets),
                Cell("this report, tests of other frameworks"),
            )
        )
    rows.append(
        (
            Cell("System", strong=True),
            Cell("the signed image on a device, through its own interfaces"),
            system,
            Cell("this report"),
        )
    )
    columns = (Column("Level", 14), Column("What is tested", 36), Column("Evidence", 30), Column("Where", 20))
    return Table("Levels of testing", columns, tuple(rows))


_HOST_LEVELS = {
    "Unit": "units of the source, on a host",
    "Integration": "units together, and with their libraries, on a host",
}
"""Levels that results of other frameworks may be of: a set is of the level that its name has."""


def _host_cell(sets: list[ForeignSet]) -> Cell:
    """How many cases of sets passed, and whether they are of the released commit."""
    passed = sum(one.counts()[Verdict.PASSED] for one in sets)
    whole = sum(len(one.cases) for one in sets)
    told = f"{', '.join(one.name for one in sets)}: {passed:,} of {whole:,} cases passed"
    if stale := [one.name for one in sets if not one.current]:
        return Cell(
            f"{whole:,} cases, STALE", f"{told}; not of the released commit: {', '.join(stale)}", tone=Tone.WARNING
        )
    return Cell(f"{whole:,} cases", told, tone=Tone.PLAIN if passed == whole else Tone.WARNING)


def protocol(record: ReleaseRecord) -> Table:
    """Each test once: what is done, what is expected, and what it verifies."""
    seen: dict[str, TestCase] = {}
    boards: dict[str, list[str]] = {}
    for run in record.runs:
        for case in run.cases:
            seen.setdefault(case.id, case)
            boards.setdefault(case.id, []).append(run.board)
    every = [run.board for run in record.runs]
    rows = tuple(
        (
            Cell(case.id, strong=True, anchor=anchors.test_procedure(case.id)),
            Cell(case.expected or "not stated", tone=Tone.PLAIN if case.expected else Tone.WARNING),
            Cell(f"{case.procedure_file}:{case.procedure_line}", case.procedure_sha256),
            Cell(", ".join(case.verifies) or "no requirement", links=anchors.to_items(case.verifies)),
            Cell("all" if boards[case.id] == every else ", ".join(boards[case.id])),
        )
        for case in seen.values()
    )
    columns = (
        Column("Test", 26),
        Column("Expected result", 33),
        Column("Procedure", 21),
        Column("Verifies", 11),
        Column("Boards", 9),
    )
    return Table("Test procedures", columns, rows, empty="No test case was collected.")


def results(record: ReleaseRecord) -> tuple[Block, ...]:
    """For each board its configuration, and what came of each test: the verdict, what was measured, and where in the log."""
    blocks: list[Block] = []
    for board in record.source.boards:
        run = record.run(board)
        blocks.append(Heading(2, board))
        if run is None:
            blocks.append(Paragraph.plain("The evidence holds no test run of this board: nothing was tested on it."))
            continue
        blocks += [session(run), _results(run)]
    return tuple(blocks)


def _results(run: TestRun) -> Table:
    rows = tuple(
        (
            Cell(
                case.id,
                links=((case.id, f"#{anchors.test_procedure(case.id)}"),),
                anchor=anchors.result(run.board, case.id),
            ),
            case_verdict(case, run),
            _actual(case),
            Cell(_moment(case.started_on) if case.started_on else "not started", f"{case.duration_seconds:.2f} s"),
            log_cell(case, run),
        )
        for case in run.cases
    )
    columns = (
        Column("Test", 37),
        Column("Verdict", 10),
        Column("Actual result", 25),
        Column("Started, took", 16),
        Column("Log bytes", 12, "right"),
    )
    return Table(f"Results on {run.board}", columns, rows, empty="No test case was collected.")


def _moment(time: str) -> str:
    """A time to the second: the log has what is finer."""
    whole, _, fraction = time.partition(".")
    return time_text(f"{whole}Z" if fraction else whole)


def _actual(case: TestCase) -> Cell:
    """What was seen: the reason of what did not pass, and what was measured."""
    measured = [
        " ".join(filter(None, (one.name, f"({one.where})" if one.where else "", number_text(one.value), one.unit)))
        + ("" if one.within else ": OUTSIDE its limits")
        for one in case.measurements
    ]
    if case.verdict == "passed":
        return Cell("as expected", "\n".join(measured))
    return Cell(case.reason or "no reason given", "\n".join(measured))


def retests(record: ReleaseRecord) -> Table:
    """Every attempt that was repeated, and every test in quarantine."""
    rows: list[tuple[Cell, ...]] = []
    for run in record.runs:
        for case in run.cases:
            name = Cell(case.id, links=((case.id, f"#{anchors.result(run.board, case.id)}"),))
            for number, attempt in enumerate(case.earlier_attempts, start=1):
                rows.append(
                    (
                        Cell(run.board, strong=True),
                        name,
                        Cell(f"attempt {number} of {len(case.earlier_attempts) + 1}"),
                        verdict_cell(attempt.verdict.value),
                        Cell(attempt.reason or "no reason given"),
                    )
                )
            if (held := case.quarantine) is not None:
                told = f"{held.reason}; {held.owner}, until {held.expires}"
                rows.append(
                    (
                        Cell(run.board, strong=True),
                        name,
                        Cell("in quarantine"),
                        verdict_cell(case.verdict.value),
                        Cell(told),
                    )
                )
    columns = (
        Column("Board", 13),
        Column("Test", 35),
        Column("What", 15),
        Column("Verdict", 12),
        Column("Reason", 25),
    )
    return Table(
        "Tests that were repeated, or in quarantine",
        columns,
        tuple(rows),
        group_columns=1,
        row_header=1,
        empty="None: every verdict is that of the first attempt, and no test was in quarantine.",
    )


def logs(record: ReleaseRecord) -> Table:
    """The serial logs of all sessions, with their digests."""
    rows: list[tuple[Cell, ...]] = []
    for run in record.runs:
        name = Cell(run.board, strong=True)
        found = [("console", run.serial_log, run.serial_log_sha256)]
        found += [(", ".join(log.links), log.log, log.log_sha256) for log in run.uart_logs]
        rows += [
            (name, Cell(what), Cell(path, links=((path, path),), anchor=anchors.file(path)), Cell(digest))
            for what, path, digest in found
        ]
    columns = (Column("Board", 14), Column("Link", 12), Column("Log", 34), Column("SHA-256", 40))
    return Table("Logs", columns, tuple(rows), group_columns=1, row_header=2, empty="The evidence holds no log.")
