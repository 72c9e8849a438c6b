"""What neither compiler nor disassembler can know of the stack, written down by people: `[firmware] stack` in devicepipe.toml.

The file is TOML::

    [[indirect]]                       # a call through a pointer
    function = "run_hooks"             # the function that makes it
    calls = ["hook_a", "hook_b"]       # all that it can lead to; may be empty
    reason = "…"

    [[function]]                       # code that is not measured well: it switches stacks, or jumps through a register
    name = "switch_context"
    bytes = 32
    calls = ["scheduler"]              # optional: in place of what the disassembly shows
    fresh = true                       # optional: what it calls begins on an empty stack; what was on it is lost
    reason = "…"

    [[interrupt]]                      # the handlers of one priority: they never interrupt each other
    priority = 1                       # any number; another number may interrupt and be interrupted
    handlers = ["tick_handler"]
    extra = 8                          # optional: bytes beyond the core's own exception frame
    reason = "…"

Each may say `boards` and `programs` ("application", "bootloader") where it holds for some only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from devicepipe.project.toml_file import Table, Text, TomlFile

Program = Literal["application", "bootloader"]


class _Entry(Table):
    boards: tuple[Text, ...] = Field(default=(), strict=False)
    programs: tuple[Program, ...] = Field(default=(), strict=False)
    reason: Text

    def holds(self, board: str, program: str) -> bool:
        """Whether it is about that program of that board."""
        return (not self.boards or board in self.boards) and (not self.programs or program in self.programs)


class Indirect(_Entry):
    """What the calls through pointers in a function can lead to."""

    function: Text
    calls: tuple[Text, ...] = Field(strict=False)


class Declared(_Entry):
    """What a function uses of the stack, and what it calls."""

    name: Text
    bytes: int = Field(ge=0)
    calls: tuple[Text, ...] | None = Field(default=None, strict=False)
    fresh: bool = False


class Interrupt(_Entry):
    """The handlers of one priority."""

    priority: int
    handlers: tuple[Text, ...] = Field(min_length=1, strict=False)
    extra: int = Field(default=0, ge=0)


class _File(Table):
    indirect: tuple[Indirect, ...] = Field(default=(), strict=False)
    function: tuple[Declared, ...] = Field(default=(), strict=False)
    interrupt: tuple[Interrupt, ...] = Field(default=(), strict=False)


@dataclass(frozen=True, slots=True)
class StackTable:
    """The entries that are about one program of one board."""

    indirect: dict[str, tuple[str, ...]]
    functions: dict[str, Declared]
    interrupts: tuple[Interrupt, ...]


def load_stack_table(path: Path | None, *, board: str, program: str) -> StackTable:
    """Read the entries about a program of a board; none where there is no file.

    Raises:
        UsageError: A key is missing, unknown or wrong, or two entries are about one function; names file, line and key.
    """
    if path is None:
        return StackTable({}, {}, ())
    source = TomlFile.read(path, advice="docs/reference/memory.md says what is declared and how")
    file = source.parse(_File)

    def unique(kind: str, entries: tuple[_Entry, ...], name: Callable[[int], str]) -> None:
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            if not entry.holds(board, program):
                continue
            if name(index) in seen:
                raise source.error(f"'{name(index)}' stands twice for the {program} of {board}", (kind, index))
            seen.add(name(index))

    unique("indirect", file.indirect, lambda index: file.indirect[index].function)
    unique("function", file.function, lambda index: file.function[index].name)
    return StackTable(
        indirect={entry.function: entry.calls for entry in file.indirect if entry.holds(board, program)},
        functions={entry.name: entry for entry in file.function if entry.holds(board, program)},
        interrupts=tuple(entry for entry in file.interrupt if entry.holds(board, program)),
    )
