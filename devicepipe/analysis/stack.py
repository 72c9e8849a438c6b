"""The worst case of a program's stack: the deepest chain of calls, and on top of it the deepest handler of each interrupt priority.

What a function takes is what people declared (`stack_table.py`), else the larger of what the compiler says (GCC's -fstack-usage)
and what its instructions take (`disassembly.py`): the two differ where assembly stands in a C function, a large frame is taken by a
register, or two functions have one name. Who calls whom is read from the linked program itself; where it calls through a pointer,
people have declared where that can lead.

What always holds: the figure is an upper bound if and only if `unbounded` and `recursion` are empty. What could make it too low is
never guessed away but named there: a call through a pointer that nobody declared, recursion, a frame of no fixed size, a vector
whose handler has no declared priority, a stack whose size the program does not say.

How interrupts count: handlers of one priority do not interrupt each other, those of different priorities may all nest. So the sum
over all priorities of exception frame + declared extra + deepest handler is added to the main program's depth. A Cortex-M
stores 8 words and up to 4 bytes of alignment, with a floating-point unit in use 26 words (ARMv7-M B1.5.6); a RISC-V nothing, its
handlers do it themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devicepipe.analysis.disassembly import Function, Program
from devicepipe.analysis.stack_table import StackTable
from devicepipe.evidence.memory import StackFrame, StackLevel, StackUse

_FRAMES = {"cortex-m": 36}
_FRAME_WITH_FPU = 108
_CLONE = re.compile(r"\.(?:constprop|isra|part|cold|lto_priv)(?:\.\d+)?|\.\d+$")
_MAXIMUM_PATH = 64


@dataclass(frozen=True, slots=True)
class CompilerFigures:
    """What GCC says of functions, by name: bytes, which of them are of no fixed size, and which call through pointers.

    `calls_known` holds the functions for which a call graph was written: of the others, jumps through a register count as calls.
    """

    bytes: Mapping[str, int]
    dynamic: frozenset[str]
    by_pointer: frozenset[str]
    calls_known: frozenset[str]


_SU = re.compile(r"^.*:\d+:\d+:(?P<name>[^\t]+)\t(?P<bytes>\d+)\t(?P<kind>[a-z,]+)$")
_NODE = re.compile(r'^node: \{ title: "(?:[^"]*:)?(?P<name>[^":]+)" label: "[^"]*\\n\d+ bytes')
_POINTER = re.compile(r'^edge: \{ sourcename: "(?:[^"]*:)?(?P<name>[^":]+)" targetname: "__indirect_call"')


def read_figures(folder: Path) -> CompilerFigures:
    """Read all .su and .ci files below a build folder. Where a name stands several times, the larger figure counts."""
    used: dict[str, int] = {}
    dynamic: set[str] = set()
    by_pointer: set[str] = set()
    known: set[str] = set()
    for path in sorted(folder.rglob("*.su")):
        for found in filter(None, map(_SU.match, _lines(path))):
            name = _base(found["name"])
            used[name] = max(used.get(name, 0), int(found["bytes"]))
            if found["kind"] == "dynamic":
                dynamic.add(name)
    for path in sorted(folder.rglob("*.ci")):
        for line in _lines(path):
            if node := _NODE.match(line):
                known.add(_base(node["name"]))
            elif edge := _POINTER.match(line):
                by_pointer.add(_base(edge["name"]))
    return CompilerFigures(used, frozenset(dynamic), frozenset(by_pointer), frozenset(known))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _base(name: str) -> str:
    """The name without what GCC appends to clones of a function."""
    return _CLONE.sub("", name)


def exception_frame(core: str, flags: Iterable[str]) -> int:
    """Bytes that the core itself puts on the stack when it takes an interrupt."""
    if any(flag in ("-mfloat-abi=hard", "-mfloat-abi=softfp") for flag in flags):
        return _FRAME_WITH_FPU
    return next((bytes_ for prefix, bytes_ in _FRAMES.items() if core.startswith(prefix)), 0)


def measure(program: Program, figures: CompilerFigures, table: StackTable, *, frame: int) -> StackUse:
    """The worst case of a program.

    Args:
        program: The linked program.
        figures: What the compiler says.
        table: What people declared.
        frame: Bytes of an exception frame.
    """
    return _Measure(program, figures, table, frame).result()


@dataclass(slots=True)
class _Deep:
    """The deepest chain from a function on."""

    bytes: int
    path: list[StackFrame] = field(default_factory=list)


class _Measure:
    def __init__(self, program: Program, figures: CompilerFigures, table: StackTable, frame: int) -> None:
        self._program = program
        self._figures = figures
        self._table = table
        self._frame = frame
        self._deep: dict[int, _Deep] = {}
        self._open: list[int] = []
        self._fresh: dict[str, set[int]] = {}
        self._unbounded: dict[str, None] = {}
        self._recursion: dict[str, None] = {}

    def result(self) -> StackUse:
        program = self._program
        levels = [self._level("main program", 0, [program.entry])]
        handled: set[int] = set()
        by_priority: dict[int, tuple[int, set[int]]] = {}
        for entry in self._table.interrupts:
            handlers = set(self._addresses(entry.handlers, f"the handlers of priority {entry.priority}"))
            extra, others = by_priority.get(entry.priority, (0, set()))
            by_priority[entry.priority] = (max(extra, entry.extra), others | handlers)
            handled |= handlers
        for priority, (extra, together) in sorted(by_priority.items()):
            levels.append(self._level(f"interrupts of priority {priority}", self._frame + extra, sorted(together)))
        for vector in program.vectors:
            if vector not in handled and vector != program.entry:
                self._note(f"{self._name(vector)} is in the vector table, but in no [[interrupt]]")
        if not self._table.interrupts and any(self._program.functions[at].sets_traps for at in self._deep):
            self._note("it sets a trap vector, but there is no [[interrupt]]")
        if program.stack is None:
            self._note("the program does not say how large its stack is (no section .stack)")
        worst = sum(level.frame + level.bytes for level in levels)
        for name, called in sorted(self._fresh.items()):
            level = self._level(f"{name}, on a fresh stack", 0, sorted(called)).model_copy(update={"fresh": True})
            levels.append(level)
            worst = max(worst, level.bytes)
        return StackUse(
            worst=worst,
            reserved=program.stack or 0,
            levels=levels,
            functions=len(self._deep),
            recursion=list(self._recursion),
            unbounded=list(self._unbounded),
        )

    def _level(self, name: str, frame: int, functions: Iterable[int]) -> StackLevel:
        deepest = max((self._depth(address) for address in functions), key=lambda deep: deep.bytes, default=_Deep(0))
        return StackLevel(name=name, frame=frame, bytes=deepest.bytes, path=deepest.path[:_MAXIMUM_PATH])

    def _depth(self, address: int) -> _Deep:
        """The deepest chain from a function on; a chain that comes back to itself is cut there and noted."""
        if address in self._deep:
            return self._deep[address]
        if address in self._open:
            circle = [*self._open[self._open.index(address) :], address]
            self._recursion[" → ".join(map(self._name, circle))] = None
            return _Deep(0)
        self._open.append(address)
        function = self._program.functions[address]
        own = self._own(function)
        deepest = _Deep(0)
        for called in sorted(self._calls(function)):
            deep = self._depth(called)
            if deep.bytes > deepest.bytes:
                deepest = deep
        self._open.pop()
        result = _Deep(own.bytes + deepest.bytes, [own, *deepest.path])
        self._deep[address] = result
        return result

    def _own(self, function: Function) -> StackFrame:
        name, base = function.name, _base(function.name)
        if name in self._table.functions:
            return StackFrame(function=name, bytes=self._table.functions[name].bytes, source="declared")
        if base in self._figures.dynamic:
            self._note(f"{name} takes a part of the stack that is not fixed")
        told = self._figures.bytes.get(base)
        # Where the compiler tells of a frame, it is the compiler that takes it by a register; else it is assembly.
        if function.moves_stack and not told and function.address != self._program.entry:
            self._note(f"{name} moves the stack pointer by a register")
        if told is not None and told >= function.pushed:
            return StackFrame(function=name, bytes=told, source="compiler")
        return StackFrame(function=name, bytes=function.pushed, source="disassembly")

    def _calls(self, function: Function) -> set[int]:
        name, base = function.name, _base(function.name)
        declared = self._table.functions.get(name)
        if declared is not None and declared.calls is not None:
            called = set(self._addresses(declared.calls, f"[[function]] {name}"))
            if not declared.fresh:
                return called
            self._fresh[name] = called
            return set()
        calls = set(function.calls)
        if function.falls_into is not None and base not in self._figures.bytes:
            calls.add(function.falls_into)
        if name in self._table.indirect or base in self._table.indirect:
            targets = self._table.indirect.get(name, self._table.indirect.get(base, ()))
            return calls | set(self._addresses(targets, f"[[indirect]] {name}"))
        # A jump through a register is a switch or a return to the compiler that wrote a call graph, else perhaps a call.
        jumps = function.jumps if base not in self._figures.calls_known and declared is None else 0
        if function.by_register or jumps or base in self._figures.by_pointer:
            self._note(f"{name} calls through a pointer, and no [[indirect]] says what")
        return calls

    def _addresses(self, names: Iterable[str], where: str) -> Iterable[int]:
        for name in names:
            address = self._program.names.get(name)
            if address is None or address not in self._program.functions:
                self._note(f"{where} names {name}, which is not in the program")
            else:
                yield address

    def _name(self, address: int) -> str:
        function = self._program.functions.get(address)
        return function.name if function else f"{address:#010x}"

    def _note(self, sentence: str) -> None:
        self._unbounded[sentence] = None
