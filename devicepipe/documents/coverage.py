"""Coverage: what the device tests executed of the programs that ship, what they never did and why, and for which requirement."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from devicepipe.documents.cells import NONE
from devicepipe.documents.model import Block, Bullets, Cell, Column, Heading, Paragraph, Run, Table, Tone
from devicepipe.documents.record import ReleaseRecord, requirements
from devicepipe.evidence.coverage import (
    METRICS,
    CoverageResult,
    MergedCoverage,
    MergedFile,
    MergedShare,
    NeverExecuted,
    Share,
    added,
)

_OWN = 8
_Function = tuple[str, str]


def coverage(record: ReleaseRecord, number: str) -> tuple[Block, ...]:
    """The boards' figures, the source files merged, functions that were never executed, and requirements."""
    merged = record.merged_coverage
    if not record.coverages or merged is None:
        return (Paragraph.plain("Coverage was not recorded: devicepipe.toml does not ask for it."),)
    return (
        _boards(record),
        Heading(2, "Source files", f"{number}.1"),
        component_table(merged),
        _files(merged, record),
        Heading(2, "Functions that were never executed", f"{number}.2"),
        *_never(merged, record),
        Heading(2, "Requirements", f"{number}.3"),
        *_requirements(record),
    )


def _boards(record: ReleaseRecord) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for board in record.source.boards:
        result = record.coverage(board)
        if result is None:
            rows.append((Cell(board, strong=True), *[Cell("not recorded", tone=Tone.MUTED)] * 5))
        else:
            rows.append((Cell(board, strong=True), Cell(f"{result.tests:,}"), *_figures(result)))
    columns = (
        Column("Board", 15),
        Column("Tests", 8, "right"),
        Column("Instructions", 19),
        Column("Lines", 19),
        Column("Functions", 19),
        Column("Outcomes of decisions", 20),
    )
    return Table("Executed by the device tests, application and bootloader together", columns, tuple(rows))


def _figures(result: CoverageResult) -> Iterable[Cell]:
    for metric in METRICS:
        share, wanted = result.total.share(metric), result.minimum.percent(metric)
        detail = f"{share.executed:,} of {share.all:,}" + (f"; {wanted} % wanted" if wanted else "")
        yield Cell(share.percent, detail, tone=Tone.BAD if metric in result.short else Tone.PLAIN)


def component_table(merged: MergedCoverage) -> Table:
    """The sums of each folder."""
    folders: dict[str, list[MergedFile]] = {}
    for file in merged.files:
        folders.setdefault(folder_of(file), []).append(file)
    rows = [
        (Cell(folder, strong=True), Cell(f"{len(files):,}"), *_merged_cells(files))
        for folder, files in sorted(folders.items())
    ]
    rows.append((Cell("All", strong=True), Cell(f"{len(merged.files):,}"), *_merged_cells([merged.total])))
    columns = (Column("Component", 22), Column("Files", 7, "right"), *_MERGED_COLUMNS)
    return Table(f"Components, merged over {', '.join(merged.boards)}", columns, tuple(rows))


def _files(merged: MergedCoverage, record: ReleaseRecord) -> Table:
    rows = tuple(
        (
            Cell(folder_of(file)),
            Cell(PurePosixPath(file.file).name, strong=True),
            _where(file.boards, record),
            *_merged_cells([file]),
        )
        for file in sorted(merged.files, key=lambda file: (folder_of(file), file.file))
    )
    columns = (Column("Component", 18), Column("File", 15), Column("Boards", 13), *_MERGED_COLUMNS)
    return Table("Files, merged over the boards that have them", columns, rows, group_columns=1, row_header=1)


_MERGED_COLUMNS = (
    Column("Lines", 10, "right"),
    Column("any board", 10, "right"),
    Column("every board", 10, "right"),
    Column("Functions", 10, "right"),
    Column("any board", 10, "right"),
    Column("every board", 10, "right"),
    Column("Instructions", 12, "right"),
    Column("Outcomes", 11, "right"),
)


def _merged_cells(files: list[MergedFile]) -> tuple[Cell, ...]:
    return (
        *_merged(file.lines for file in files),
        *_merged(file.functions for file in files),
        _share(added(file.instructions for file in files)),
        _share(added(file.outcomes for file in files)),
    )


def _merged(shares: Iterable[MergedShare]) -> tuple[Cell, Cell, Cell]:
    listed = list(shares)
    whole = sum(share.all for share in listed)
    some, every = sum(share.any for share in listed), sum(share.every for share in listed)
    return Cell(f"{whole:,}"), _share(Share(executed=some, all=whole)), _share(Share(executed=every, all=whole))


def _share(share: Share) -> Cell:
    return Cell(share.percent, tone=Tone.MUTED if share.executed == share.all else Tone.PLAIN)


def folder_of(file: MergedFile) -> str:
    """The folder of a source file: its component."""
    return str(PurePosixPath(file.file).parent)


def _where(boards: list[str], record: ReleaseRecord) -> Cell:
    return Cell("all" if boards == record.source.boards else ", ".join(boards))


def _never(merged: MergedCoverage, record: ReleaseRecord) -> tuple[Block, ...]:
    rows = tuple(
        (
            _reason(one, merged),
            Cell(one.reviewer or NONE, one.date),
            Cell(one.function, f"{one.file}:{one.line}", strong=True),
            _where(one.boards, record),
        )
        for one in sorted(merged.never_executed, key=lambda one: (bool(one.reason), one.reason, one.file, one.line))
    )
    columns = (Column("Reason", 40), Column("Reviewed by", 14), Column("Function", 32), Column("Boards", 14))
    blocks: list[Block] = [
        Table(
            "", columns, rows, group_columns=2, row_header=2, empty="None: every function was executed on every board."
        )
    ]
    if merged.stale:
        blocks.append(Paragraph.plain("Reasons of the product's list that do not hold:"))
        blocks.append(Bullets(tuple((Run(sentence),) for sentence in merged.stale)))
    return tuple(blocks)


def _reason(one: NeverExecuted, merged: MergedCoverage) -> Cell:
    if one.reason:
        return Cell(one.reason)
    return (
        Cell("NO REASON", tone=Tone.BAD)
        if merged.reasons
        else Cell("the product keeps no list of reasons", tone=Tone.MUTED)
    )


def _requirements(record: ReleaseRecord) -> tuple[Block, ...]:
    """What each requirement's tests executed on any board; what all of them do is told once."""
    executed = _by_requirement(record.coverages)
    if not executed:
        return (Paragraph.plain("No test verifies a requirement."),)
    common = set[_Function].intersection(*executed.values()) if len(executed) > 1 else set[_Function]()
    rivals = {function: 0 for functions in executed.values() for function in functions}
    for functions in executed.values():
        for function in functions:
            rivals[function] += 1
    whole = len({(one.file, one.function) for result in record.coverages for one in result.functions})
    titles = {item.id: item.title for item in requirements(record)}
    rows = tuple(
        (
            Cell(name, titles.get(name, ""), strong=True),
            Cell(f"{len(functions):,} of {whole:,}"),
            _own(functions - common, rivals),
        )
        for name, functions in sorted(executed.items())
    )
    columns = (
        Column("Requirement", 30),
        Column("Functions executed", 14, "right"),
        Column("Of these, those that the fewest requirements' tests execute (by how many)", 56),
    )
    names = sorted({name for _, name in common})
    what = "this function" if len(names) == 1 else f"these {len(names)} functions"
    told = f"The tests of every requirement execute {what}: {', '.join(names)}."
    return (
        *([Paragraph.plain(told)] if common else []),
        Table("What the tests of each requirement executed", columns, rows),
    )


def _by_requirement(results: Iterable[CoverageResult]) -> dict[str, set[_Function]]:
    found: dict[str, set[_Function]] = {}
    for result in results:
        for name, places in result.requirements.items():
            ran = {(one.file, one.function) for one in (result.functions[place] for place in places)}
            found.setdefault(name, set()).update(ran)
    return found


def _own(functions: set[_Function], rivals: dict[_Function, int]) -> Cell:
    first = sorted(functions, key=lambda function: (rivals[function], function[1], function[0]))[:_OWN]
    text = ", ".join(f"{name} ({rivals[file, name]})" for file, name in first)
    return Cell(text or "none but those")
