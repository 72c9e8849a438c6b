"""Memory: what a board's programs take of flash, RAM, stack and slot, measured on the programs that ship."""

from __future__ import annotations

from typing import get_args

from devicepipe.analysis.disassembly import disassemble
from devicepipe.analysis.stack import exception_frame, measure, read_figures
from devicepipe.analysis.stack_table import load_stack_table
from devicepipe.build.collect import Role
from devicepipe.build.compilers import disassembler_of, flags_of
from devicepipe.evidence.files import size_of
from devicepipe.evidence.memory import Memory, ProgramMemory, StackUse
from devicepipe.evidence.predicates import MEMORY, ImageSigning, MemoryUse, Provenance
from devicepipe.project.config import ProjectBoard
from devicepipe.stages.context import Context


def measure_memory(context: Context, board: ProjectBoard) -> None:
    """Measure a board's programs and attest the figures.

    Raises:
        UsageError: The file of declarations is wrong.
        BenchError: The toolchain's objdump is missing or fails.
    """
    bundle, project = context.bundle, context.project
    build = bundle.predicate(Provenance, board.name).devicepipe
    signing = bundle.predicate(ImageSigning, board.name)
    roles: tuple[Role, ...] = get_args(Role)
    _, tool = disassembler_of(context.builds[board.name].databases["application"])
    programs = [
        ProgramMemory(
            role=role,
            flash=build.firmware(role).flash,
            ram=build.firmware(role).ram,
            stack=_stack(context, board, role, build.firmware(role).artifact("elf").path),
        )
        for role in roles
    ]
    memory = Memory(
        board=board.name,
        programs=programs,
        slot=MemoryUse(used=size_of(bundle.folder, signing.image), limit=board.board.slot0.size),
        slot_spare=project.limits.slot_spare,
        tool=tool,
    )
    elves = [build.firmware(role).artifact("elf").path for role in roles]
    context.writer.attest(f"{board.name}/memory", MEMORY, memory, [signing.image, *elves])


def _stack(context: Context, board: ProjectBoard, role: Role, elf: str) -> StackUse:
    database = context.builds[board.name].databases[role]
    core, named = board.board.core, context.project.firmware.stack
    objdump, _ = disassembler_of(database)
    return measure(
        disassemble(objdump, context.bundle.path(elf), cortex_m=core.startswith("cortex-m")),
        read_figures(database.parent),
        load_stack_table(context.project.root / named if named is not None else None, board=board.name, program=role),
        frame=exception_frame(core, flags_of(database)),
    )
