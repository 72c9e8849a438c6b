"""Which instructions of a program decide where it goes on: conditional branches, calls and returns, as objdump prints them.

What always holds: a decision has two ways, on to the next instruction or elsewhere; `target` is None where elsewhere is in a
register. Limits: Arm (Thumb) and RISC-V. A Thumb instruction that is only done under a condition and goes nowhere (`moveq`) is no
decision here: whether its condition held cannot be told from where the processor goes (`is_predicated` tells of it).

Sources: Arm Architecture Reference Manual ARMv7-M, A7.3 "Conditional execution"; RISC-V Unprivileged ISA, 2.5 and 16.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CONDITION = "(?:eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)"
_WIDTH = r"(?:\.[nw])?"
_BRANCH = re.compile(rf"b{_CONDITION}{_WIDTH}|cbn?z{_WIDTH}")
_CALL = re.compile(rf"blx?(?P<condition>{_CONDITION})?{_WIDTH}")
_LEAVES = re.compile(rf"(?:bx|bxns|pop|ldmia|ldmfd|ldr|mov|add)(?P<condition>{_CONDITION}){_WIDTH}")
_IT = re.compile(r"it[te]{0,3}")
_RISCV_BRANCH = re.compile(r"(?:c\.)?b(?:eq|ne|lt|ge|le|gt)(?:u|z)?")
_RISCV_CALLS = ("jal", "jalr", "call", "c.jal", "c.jalr")
_TARGET = re.compile(r"(?:^|[ ,(])(?:0x)?([0-9a-f]+) <[^>]*>")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction as objdump prints it; addresses are those that the processor sees."""

    address: int
    mnemonic: str
    operands: str


@dataclass(frozen=True, slots=True)
class Decision:
    """An instruction after which the program goes on in one of two ways.

    Attributes:
        address: The instruction.
        following: The instruction behind it.
        target: Where it goes otherwise; None: where a register says, which is behind a call.
    """

    address: int
    following: int
    target: int | None


@dataclass(frozen=True, slots=True)
class Flow:
    """How a program goes on where it does not go straight on.

    Attributes:
        decisions: By address, ascending.
        returns: The addresses behind calls: where a return goes.
        predicated: How many instructions are done under a condition without being decisions.
    """

    decisions: tuple[Decision, ...]
    returns: frozenset[int]
    predicated: int


def flow_of(instructions: Iterable[Instruction], *, arm: bool) -> Flow:
    """The decisions of a program.

    Args:
        instructions: All of them, data left out, ascending by address.
        arm: Whether it is Thumb code; else RISC-V.
    """
    decisions: list[Decision] = []
    returns: set[int] = set()
    predicated = within = 0
    listed = list(instructions)
    for one, following in zip(listed, [*listed[1:], None], strict=True):
        if following is None:
            break  # nothing is behind the last one
        conditional, call = (_thumb if arm else _riscv)(one)
        if conditional:
            decisions.append(Decision(one.address, following.address, _target(one)))
        if call:
            returns.add(following.address)
        if within:
            within -= 1
            predicated += not conditional
        if arm and _IT.fullmatch(one.mnemonic):
            within = len(one.mnemonic) - 1
    return Flow(tuple(decisions), frozenset(returns), predicated)


def _target(instruction: Instruction) -> int | None:
    found = _TARGET.findall(instruction.operands)
    return int(found[-1], 16) if found else None


def _thumb(instruction: Instruction) -> tuple[bool, bool]:
    """Whether it is a decision, and whether it is a call."""
    mnemonic, operands = instruction.mnemonic, instruction.operands
    if _BRANCH.fullmatch(mnemonic):
        return True, False
    if call := _CALL.fullmatch(mnemonic):
        return call["condition"] is not None, True
    leaves = _LEAVES.fullmatch(mnemonic)
    if leaves is None:
        return False, False
    if mnemonic.startswith("bx"):
        return True, False
    into = operands[operands.index("{") :] if "{" in operands else operands.partition(",")[0]
    return re.search(r"\bpc\b", into) is not None, False


def _riscv(instruction: Instruction) -> tuple[bool, bool]:
    mnemonic, operands = instruction.mnemonic, instruction.operands
    if _RISCV_BRANCH.fullmatch(mnemonic):
        return True, False
    call = mnemonic in _RISCV_CALLS and operands.partition(",")[0].strip() not in ("zero", "x0")
    return False, call
