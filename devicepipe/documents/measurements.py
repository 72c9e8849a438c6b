"""What device tests measured, with its limits: a table over all boards, and as CSV with every digit."""

from __future__ import annotations

from devicepipe.documents.cells import NOT_APPLICABLE
from devicepipe.documents.csv_table import render_csv
from devicepipe.documents.model import Cell, Column, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.results import Measurement, TestCase, TestRun, Verdict

_Key = tuple[tuple[str, ...], str, str, str, str, float | None, float | None]


def measurements_table(record: ReleaseRecord) -> Table:
    """One row for each value of a test and its limits, one column for each board."""
    boards = record.source.boards
    rows: dict[_Key, dict[str, Cell]] = {}
    for run in record.runs:
        for case in run.cases:
            for one in case.measurements:
                key = (tuple(case.verifies), case.id, one.name, one.where, one.unit, one.low, one.high)
                rows.setdefault(key, {})[run.board] = _value(run, case, one)
    columns = (
        Column("Requirement", 12),
        Column("Test", 28),
        Column("Measured", 22),
        Column("Unit", 6),
        Column("Limits", 13),
        *(Column(board, 11, "right") for board in boards),
    )
    cells = tuple(
        (
            Cell(", ".join(verifies) or "none", strong=True),
            Cell(test),
            Cell(name, where),
            Cell(unit),
            Cell(limits_text(low, high)),
            *(values.get(board, NOT_APPLICABLE) for board in boards),
        )
        for (verifies, test, name, where, unit, low, high), values in sorted(rows.items(), key=lambda item: item[0][:2])
    )
    return Table(
        "Measurements",
        columns,
        cells,
        group_columns=2,
        row_header=2,
        empty="No test measured a value with limits.",
    )


def _value(run: TestRun, case: TestCase, one: Measurement) -> Cell:
    text = number_text(one.value)
    if not one.within:
        return Cell(text, "OUTSIDE", tone=Tone.BAD)
    if case.verdict is not Verdict.PASSED or run.identity_errors:
        return Cell(text, "the test did not pass" if not run.identity_errors else "does not count", tone=Tone.WARNING)
    return Cell(text)


def number_text(value: float) -> str:
    """A number as people read it: six significant digits, no exponent where it can be avoided."""
    text = f"{value:.6g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < 1e15 else text  # noqa: PLR2004 - what a float holds exactly


def limits_text(low: float | None, high: float | None) -> str:
    """The limits in words, e.g. "0 to 100" or "at least 5"."""
    if low is not None and high is not None:
        return f"{number_text(low)} to {number_text(high)}"
    if low is not None:
        return f"at least {number_text(low)}"
    return f"at most {number_text(high)}" if high is not None else "none"


def measurements_csv(record: ReleaseRecord) -> bytes:
    """Every value of every board, one a row, as it stands in the evidence."""
    source = record.source
    header = [
        "requirements", "test", "board", "device", "measurement", "where", "value", "unit", "lower limit", "upper limit",
        "within", "verdict", "product", "version", "commit", "status",
    ]  # fmt: skip
    rows = [
        [
            " ".join(case.verifies),
            case.id,
            run.board,
            run.device.id,
            one.name,
            one.where,
            repr(one.value),
            one.unit,
            "" if one.low is None else repr(one.low),
            "" if one.high is None else repr(one.high),
            "yes" if one.within else "no",
            str(case.verdict),
            source.product,
            source.version,
            source.commit,
            record.status,
        ]
        for run in record.runs
        for case in run.cases
        for one in case.measurements
    ]
    return render_csv([header, *rows])
