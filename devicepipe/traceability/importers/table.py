"""What CSV and Excel share: a heading row names the columns, each further row is an item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from devicepipe.errors import UsageError
from devicepipe.project.toml_file import Table
from devicepipe.traceability.importers.importer import Foreign, Imported
from devicepipe.traceability.loss import Loss


class Columns(Table):
    """The names of the columns that hold ids, types, titles and statements; in the file they may be written in any case."""

    id: str = "id"
    type: str = "type"
    title: str = "title"
    text: str = "text"


def take_rows(rows: Iterable[tuple[int, Sequence[str]]], columns: Columns, path: Path, into: Imported) -> None:
    """Add the items of a table.

    Args:
        rows: Line and cells of each row, the heading row first; rows without any text are passed over.
        columns: What is in which column.
        path: The file.
        into: What gets items and losses.

    Raises:
        UsageError: There is no heading row, a column stands twice, the column of ids is missing, or a row has text but no id.
    """
    filled = ((line, cells) for line, cells in rows if any(cell.strip() for cell in cells))
    line, heading = next(filled, (1, ()))
    names = [cell.strip() for cell in heading]
    while names and not names[-1]:
        names.pop()
    lower = [name.lower() for name in names]
    if columns.id.lower() not in lower:
        found = ", ".join(name for name in names if name) or "nothing"
        raise UsageError(
            f"its heading row has no column '{columns.id}', but: {found}",
            file=path,
            line=line,
            remedy="name the column of the ids in the options: id = '…'",
        )
    for name in lower:
        if name and lower.count(name) > 1:
            raise UsageError(f"the column '{name}' stands twice", file=path, line=line, remedy="give each its own name")
    roles = {role: lower.index(name.lower()) for role, name in columns if name.lower() in lower}
    for number, cells in filled:
        values = {role: cells[index] if index < len(cells) else "" for role, index in roles.items()}
        own = values["id"].strip()
        if not own:
            raise UsageError(
                "a row without an id", file=path, line=number, remedy="give the item an id, or remove the row"
            )
        fields = {}
        for index, cell in enumerate(cells):
            if index in roles.values() or not cell.strip():
                continue
            if index < len(names) and names[index]:
                fields[names[index]] = cell
            else:
                into.losses.append(Loss(path, number, own, "a cell in a column without a name: left out"))
        kind, title, text = (values.get(role, "") for role in ("type", "title", "text"))
        into.items.append(Foreign(own, kind.strip(), title, text, path, number, fields))
