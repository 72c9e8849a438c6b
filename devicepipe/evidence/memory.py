"""What the programs of a board take of flash, RAM and stack."""

from __future__ import annotations

from typing import Literal

from devicepipe.evidence.model import Model
from devicepipe.evidence.predicates import MemoryUse, Tool


class StackFrame(Model):
    """What one function of a chain of calls takes of the stack, and who says so."""

    function: str
    bytes: int
    source: Literal["compiler", "disassembly", "declared"]


class StackLevel(Model):
    """The main program or the interrupts of one priority: exception frame, deepest chain of calls, and that chain.

    A `fresh` level begins on an empty stack (a fault handler that gives up what was there): it is not added to the others.
    """

    name: str
    frame: int
    bytes: int
    fresh: bool = False
    path: list[StackFrame]


class StackUse(Model):
    """The worst case of a program's stack against what is reserved for it.

    `worst` is the sum over `levels`, or a fresh one alone if that is more. It is an upper bound only where `recursion` and
    `unbounded` are empty; they say in sentences what makes it none. `functions` is how many were looked at.
    """

    worst: int
    reserved: int
    levels: list[StackLevel]
    functions: int
    recursion: list[str]
    unbounded: list[str]


class ProgramMemory(Model):
    """What one program of a board takes of flash, RAM and stack."""

    role: Literal["application", "bootloader"]
    flash: MemoryUse
    ram: MemoryUse
    stack: StackUse


class Memory(Model):
    """Predicate MEMORY: one board's use of its memories, and of the slot by the signed image.

    `slot` counts the image as it lies in flash, with header and TLVs; `slot_spare` is the share of the slot, in percent, that the
    product wants to stay free. `tool` disassembled the programs.
    """

    board: str
    programs: list[ProgramMemory]
    slot: MemoryUse
    slot_spare: int
    tool: Tool
