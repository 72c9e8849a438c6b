"""Memory: what each program takes of flash, RAM and stack, what the image leaves of its slot, and the chains behind the figures."""

from __future__ import annotations

from devicepipe.documents.cells import MISSING, memory_cell
from devicepipe.documents.model import Block, Bullets, Cell, Column, Heading, Paragraph, Run, Table, Tone
from devicepipe.documents.record import ReleaseRecord
from devicepipe.evidence.memory import Memory, ProgramMemory, StackFrame, StackUse
from devicepipe.evidence.predicates import MemoryUse


def memory(record: ReleaseRecord, number: str) -> tuple[Block, ...]:
    """The table over all boards, then for each board how its stacks come about."""
    blocks: list[Block] = [memory_table(record)]
    for index, board in enumerate(record.source.boards, start=1):
        measured = record.memory(board)
        blocks.append(Heading(2, board, f"{number}.{index}"))
        if measured is None:
            blocks.append(Paragraph.plain("The evidence holds no measurement of this board's memories."))
            continue
        blocks.append(_levels(measured))
        for program in measured.programs:
            if found := [*program.stack.recursion, *program.stack.unbounded]:
                blocks.append(Paragraph.plain(f"The worst case of the {program.role} is no bound, because:"))
                blocks.append(Bullets(tuple((Run(sentence),) for sentence in found)))
    return tuple(blocks)


def memory_table(record: ReleaseRecord) -> Table:
    """Flash, RAM, worst-case stack and what is free of the slot, per board and program."""
    rows: list[tuple[Cell, ...]] = []
    for board in record.source.boards:
        measured, name = record.memory(board), Cell(board, strong=True)
        if measured is None:
            rows.append((name, *[MISSING] * 5))
            continue
        rows += [
            (
                name,
                Cell(program.role),
                memory_cell(program.flash),
                memory_cell(program.ram),
                stack_cell(program.stack),
                _slot_cell(measured, program),
            )
            for program in measured.programs
        ]
    columns = (
        Column("Board", 14),
        Column("Software", 13),
        Column("Flash, bytes", 18),
        Column("RAM, bytes", 17),
        Column("Stack, worst case, bytes", 20),
        Column("Slot, bytes", 22),
    )
    return Table("Flash, RAM, stack and slot", columns, tuple(rows), group_columns=1, row_header=1)


def stack_cell(stack: StackUse) -> Cell:
    """The worst case of what is reserved; bad where it does not fit or is no bound."""
    cell = memory_cell(MemoryUse(used=stack.worst, limit=stack.reserved))
    if stack.recursion:
        return Cell(cell.text, "NO BOUND: recursion", tone=Tone.BAD)
    if stack.unbounded:
        return Cell(cell.text, "NO BOUND: see Memory and stack", tone=Tone.BAD)
    return cell if stack.reserved else Cell(cell.text, "no stack reserved", tone=Tone.BAD)


def _slot_cell(measured: Memory, program: ProgramMemory) -> Cell:
    if program.role != "application":
        return Cell("no slot", tone=Tone.MUTED)
    slot = measured.slot
    spare = 100 * (1 - slot.used / slot.limit) if slot.limit else 0.0
    short = 100 * (slot.limit - slot.used) < measured.slot_spare * slot.limit
    return Cell(
        f"{slot.used:,} of {slot.limit:,}",
        f"{spare:.1f} % free, {measured.slot_spare} % wanted",
        tone=Tone.BAD if short else Tone.PLAIN,
    )


def _levels(measured: Memory) -> Table:
    rows = tuple(
        (
            Cell(program.role, strong=True),
            Cell(level.name, "not added: it begins on an empty stack" if level.fresh else ""),
            Cell(f"{level.frame:,}"),
            Cell(f"{level.bytes:,}"),
            Cell(" → ".join(map(_frame, level.path)) or "nothing"),
        )
        for program in measured.programs
        for level in program.stack.levels
    )
    columns = (
        Column("Software", 13),
        Column("Level", 20),
        Column("Frame", 8, "right"),
        Column("Bytes", 8, "right"),
        Column("Deepest chain of calls, bytes of each function", 51),
    )
    return Table("Stack, level by level", columns, rows, group_columns=1, row_header=1)


_MARKS = {"compiler": "", "disassembly": "*", "declared": "†"}


def _frame(frame: StackFrame) -> str:
    return f"{frame.function} {frame.bytes}{_MARKS[frame.source]}"
