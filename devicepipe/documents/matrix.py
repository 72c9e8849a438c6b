"""The traceability matrix: hazard → risk control → requirement → test → verdict per board, as a table and as CSV rows."""

from __future__ import annotations

from dataclasses import replace

from devicepipe.documents import anchors
from devicepipe.documents.cells import NOT_APPLICABLE, verdict_cell
from devicepipe.documents.csv_table import render_csv
from devicepipe.documents.model import Cell, Column, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.trace import Item, MatrixRow


def matrix_table(record: ReleaseRecord) -> Table:
    """The matrix as a table whose first three columns are groups."""
    items = {item.id: item for item in record.traceability.items}
    boards = tuple(record.source.columns)
    columns = (
        Column("Hazard", 17),
        Column("Risk control", 19),
        Column("Requirement", 24),
        Column("Test", 40),
        *(Column(board, 9.2) for board in boards),
    )
    rows = tuple(_row(row, items, boards) for row in record.traceability.matrix)
    return Table(
        "Traceability matrix",
        columns,
        rows,
        group_columns=3,
        row_header=2,
        empty="The evidence holds no traceability items.",
    )


def _row(row: MatrixRow, items: dict[str, Item], boards: tuple[str, ...]) -> tuple[Cell, ...]:
    test = row.test
    return (
        _item(row.hazard, items),
        _item(row.risk_control, items, missing="no risk control" if row.hazard and not row.test else ""),
        _requirement(row, items),
        Cell(test, _shows(row), links=((test, f"#{anchors.test_procedure(test)}"),))
        if test
        else _absent("no test" if row.requirement else ""),
        *(_verdict(row, board) for board in boards),
    )


def _shows(row: MatrixRow) -> str:
    return "shows the effectiveness of the risk control" if row.effectiveness else ""


def _requirement(row: MatrixRow, items: dict[str, Item]) -> Cell:
    """The requirement, with the user needs that it satisfies and the design items that realise it."""
    cell = _item(row.requirement, items, missing="no requirement" if row.risk_control and not row.test else "")
    about = [("satisfies", row.user_needs or []), ("realised by", row.designs or [])]
    if not any(found for _, found in about):
        return cell
    lines = [f"{words} {', '.join(found)}" for words, found in about if found]
    links = anchors.to_items(one for _, found in about for one in found)
    detail = "\n".join(filter(None, (cell.detail, *lines)))
    return replace(cell, detail=detail, links=(*cell.links, *links))


def _verdict(row: MatrixRow, board: str) -> Cell:
    verdict = row.verdicts.get(board, "")
    cell = verdict_cell(verdict)
    if not verdict or not row.test:
        return cell
    return Cell(cell.text, cell.detail, cell.tone, cell.strong, ((cell.text, f"#{anchors.result(board, row.test)}"),))


def _item(identifier: str, items: dict[str, Item], *, missing: str = "") -> Cell:
    if not identifier:
        return _absent(missing)
    item = items.get(identifier)
    title = item.title if item else "unknown item"
    return Cell(
        identifier, title, strong=True, links=anchors.to_items((identifier,)), anchor=anchors.mention(identifier)
    )


def _absent(missing: str) -> Cell:
    return Cell(missing, tone=Tone.WARNING) if missing else NOT_APPLICABLE


def matrix_csv(record: ReleaseRecord) -> bytes:
    """The matrix as CSV: every cell filled, ids and titles apart, one verdict column per board, the verdicts' own words.

    Each row says of what release it is and whether that is releasable: a CSV file has no other place for it.
    """
    titles = {item.id: item.title for item in record.traceability.items}
    source = record.source
    header = [
        "hazard", "hazard title", "risk control", "risk control title", "requirement", "requirement title", "test",
        *(f"verdict {board}" for board in source.columns),
        "product", "version", "commit", "status",
    ]  # fmt: skip
    rows = (
        [
            row.hazard,
            titles.get(row.hazard, ""),
            row.risk_control,
            titles.get(row.risk_control, ""),
            row.requirement,
            titles.get(row.requirement, ""),
            row.test,
            *(row.verdicts.get(board, "") for board in source.columns),
            source.product,
            source.version,
            source.commit,
            record.status,
        ]
        for row in record.traceability.matrix
    )
    return render_csv([header, *rows])
