"""A linked program as its instructions tell: functions, who calls whom, and what each takes of the stack.

Why the instructions and not the compiler's call graph alone: compilers leave out the calls they make themselves (division, shifts),
know nothing of assembly and of the compiler's library, and tell of files, not of the program that ships. objdump of the toolchain
decodes; this module reads its text.

What always holds: every direct call or jump from one function into another is an edge, and a fall into the next function is told;
what a function takes of the stack is the sum of all its instructions that lower the stack pointer, which is never too little; a
stack pointer that is moved by a register is told (`moves_stack`).
Limits: Arm (Thumb) and RISC-V. Jumps through a register are told (`jumps`) but not followed.

Sources: Arm Architecture Reference Manual ARMv7-M, A7; RISC-V Unprivileged ISA, assembly programmer's handbook.
"""

from __future__ import annotations

import bisect
import io
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from devicepipe.errors import BenchError

TIMEOUT = 120.0

_LINE = re.compile(r"^\s*([0-9a-f]+):\t(\S+)(?:\t(.*))?$")
_TARGET = re.compile(r"(?:^|[ ,(#])(?:0x)?([0-9a-f]+) <[^>]*>")
_CONDITION = r"(?:eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)?"
_WIDTH = r"(?:\.[nw])?"


@dataclass(slots=True)
class Function:
    """A function of the program.

    Attributes:
        name: Its symbol.
        address: Its first byte.
        end: The byte after its last one.
        pushed: Bytes that its instructions take of the stack, summed up.
        moves_stack: Whether it sets the stack pointer, or moves it by a register.
        calls: Addresses of functions that it calls or jumps into.
        falls_into: The function behind it, where its last instruction goes on there. A compiler's function that ends in a call of
            one that never returns looks the same.
        by_register: How many calls through a register it makes.
        jumps: How many jumps through a register, other than returns, it makes.
        sets_traps: Whether it sets a RISC-V's trap vector.
    """

    name: str
    address: int
    end: int
    pushed: int = 0
    moves_stack: bool = False
    calls: set[int] = field(default_factory=set)
    falls_into: int | None = None
    by_register: int = 0
    jumps: int = 0
    sets_traps: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """A disassembled program.

    Attributes:
        functions: By address.
        names: Every function symbol's address; several names may have one.
        entry: The entry's address.
        vectors: On a Cortex-M, the addresses in its vector table but the first two; () elsewhere.
        stack: Bytes of the reserved stack; None if the program does not say.
    """

    functions: dict[int, Function]
    names: dict[str, int]
    entry: int
    vectors: tuple[int, ...]
    stack: int | None


def disassemble(objdump: Path, elf: Path, *, cortex_m: bool) -> Program:
    """Read a linked program.

    Args:
        objdump: The toolchain's objdump.
        elf: The program.
        cortex_m: Whether it begins with a Cortex-M's vector table.

    Raises:
        BenchError: objdump does not run or does not know the program.
    """
    content = elf.read_bytes()
    symbols = _Symbols(ELFFile(io.BytesIO(content)))
    reader = (_Thumb if symbols.arm else _RiscV)(symbols)
    for address, mnemonic, operands in listing(objdump, elf):
        reader.take(address, mnemonic, operands)
    reader.end()
    if not symbols.functions:
        raise BenchError(f"{elf.name} has no functions", remedy="do not strip the program's symbols")
    return Program(
        functions=symbols.functions,
        names=symbols.names,
        entry=symbols.entry,
        vectors=symbols.vectors() if cortex_m else (),
        stack=symbols.stack(),
    )


def listing(objdump: Path, elf: Path) -> Iterator[tuple[int, str, str]]:
    """What objdump prints of a program: address, mnemonic and operands of each instruction; of data, whatever it makes of it.

    Raises:
        BenchError: objdump does not run or does not know the program.
    """
    command = [str(objdump), "--disassemble", "--no-show-raw-insn", str(elf)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{objdump.name} does not run: {error}", remedy="install the toolchain's binutils") from error
    if done.returncode != 0:
        raise BenchError(f"{objdump.name} failed: {done.stderr.strip()}", remedy="install the toolchain's binutils")
    for line in done.stdout.splitlines():
        if found := _LINE.match(line):
            yield int(found[1], 16), found[2], found[3] or ""


_STACKS = (("__stack_bottom", "__stack_top"), ("__StackLimit", "__StackTop"), ("_sstack", "_estack"))


class _Symbols:
    """Functions by address, from the symbol table."""

    def __init__(self, elf: ELFFile) -> None:
        self._elf = elf
        self.arm = elf["e_machine"] == "EM_ARM"
        self.entry = int(elf["e_entry"]) & self._mask
        self.functions: dict[int, Function] = {}
        self.names: dict[str, int] = {}
        self._values: dict[str, int] = {}
        self._read()
        self._starts = sorted(self.functions)

    @property
    def _mask(self) -> int:
        return ~1 if self.arm else ~0

    def _read(self) -> None:
        table = self._elf.get_section_by_name(".symtab")
        code = {
            index: section
            for index, section in enumerate(self._elf.iter_sections())
            if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
        }
        found: dict[int, tuple[bool, str, int, int]] = {}
        for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
            self._values[symbol.name] = symbol["st_value"]
            kind, section = symbol["st_info"]["type"], code.get(symbol["st_shndx"])
            # Mapping symbols ($t, $d, $x) and local labels are none.
            if section is None or not symbol.name or symbol.name.startswith(("$", ".L")):
                continue
            if kind not in ("STT_FUNC", "STT_NOTYPE"):
                continue
            address = symbol["st_value"] & (self._mask if kind == "STT_FUNC" else ~0)
            limit = section["sh_addr"] + section["sh_size"]
            if not section["sh_addr"] <= address < limit:
                continue
            self.names.setdefault(symbol.name, address)
            rank = (kind == "STT_FUNC", symbol["st_size"])
            if address not in found or rank > (found[address][0], found[address][2]):
                found[address] = (kind == "STT_FUNC", symbol.name, symbol["st_size"], limit)
        end = 0
        addresses = sorted(found)
        for address, following in zip(addresses, [*addresses[1:], 1 << 64], strict=True):
            proper, name, size, limit = found[address]
            if not proper and address < end:
                continue  # a label inside a function
            end = address + size if size else min(following, limit)
            self.functions[address] = Function(name, address, end)

    def holding(self, address: int) -> Function | None:
        """The function that has an instruction."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        function = self.functions[self._starts[index]]
        return function if address < function.end else None

    def next(self, function: Function) -> Function | None:
        """The function that begins where this one ends."""
        return self.functions.get(function.end)

    def vectors(self) -> tuple[int, ...]:
        """The handlers in the first section's vector table."""
        sections = [
            section
            for section in self._elf.iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_type"] != "SHT_NOBITS" and section["sh_size"]
        ]
        first = min(sections, key=lambda section: int(section["sh_addr"]), default=None)
        data = first.data() if first is not None else b""
        words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data) - 3, 4)]
        handlers: dict[int, None] = {}
        for word in words[2:]:
            function = self.holding(word & ~1) if word & 1 else None
            if word and (function is None or function.address != word & ~1):
                break  # the table ends where something else begins
            if word:
                handlers[word & ~1] = None
        return tuple(handlers)

    def stack(self) -> int | None:
        """The reserved stack: the section .stack, or what lies between a known pair of symbols."""
        section = self._elf.get_section_by_name(".stack")
        if section is not None and section["sh_size"]:
            return int(section["sh_size"])
        for bottom, top in _STACKS:
            if bottom in self._values and top in self._values:
                return self._values[top] - self._values[bottom]
        return None


class _Reader:
    """Takes instructions in the order of their addresses."""

    def __init__(self, symbols: _Symbols) -> None:
        self._symbols = symbols
        self._function: Function | None = None
        self._ended = True  # whether the last instruction leads nowhere further down

    def take(self, address: int, mnemonic: str, operands: str) -> None:
        function = self._symbols.holding(address)
        if function is not self._function:
            self.end()
        self._function = function
        if function is None or mnemonic.startswith("."):  # data in between
            return
        if not mnemonic.startswith(("nop", "c.nop")):  # which also fills the space up to the next function
            self._ended = self.instruction(function, mnemonic, operands)

    def end(self) -> None:
        """The last function was read: if it does not end in a return or a jump, it goes on in the next one."""
        if self._function is not None and not self._ended:
            following = self._symbols.next(self._function)
            if following is not None:
                self._function.falls_into = following.address
        self._function, self._ended = None, True

    def instruction(self, function: Function, mnemonic: str, operands: str) -> bool:
        """Read one instruction; whether nothing follows it."""
        raise NotImplementedError

    def edge(self, function: Function, operands: str, *, links: bool) -> bool:
        """An edge to the target that objdump names; False where it names none."""
        found = _TARGET.findall(operands)
        if not found:
            return False
        target = self._symbols.holding(int(found[-1], 16))
        if target is not None and (target is not function or (links and int(found[-1], 16) == function.address)):
            function.calls.add(target.address)
        return True


class _Thumb(_Reader):
    _BRANCH = re.compile(rf"b{_CONDITION}{_WIDTH}|cbn?z{_WIDTH}")
    _LINK = re.compile(rf"blx?{_CONDITION}{_WIDTH}")
    _PUSH = re.compile(rf"v?push{_CONDITION}{_WIDTH}|v?stmdb{_CONDITION}{_WIDTH}|stmfd{_WIDTH}")
    _DOUBLE = re.compile(r"d(\d+)")

    def instruction(self, function: Function, mnemonic: str, operands: str) -> bool:
        name = mnemonic.partition(".")[0]
        if self._LINK.fullmatch(mnemonic):
            if not self.edge(function, operands, links=True):
                function.by_register += 1
            return False
        if self._BRANCH.fullmatch(mnemonic):
            self.edge(function, operands, links=False)
            return name == "b"
        if name == "bx":
            function.jumps += operands.strip() != "lr"
            return True
        if name in ("mov", "movs", "add", "ldr") and operands.startswith("pc,"):
            function.jumps += operands.replace(" ", "") not in ("pc,lr", "pc,[sp],#4")
            return True
        if name in ("pop", "ldmia", "ldmfd") and "pc" in operands:
            return True
        self._stack(function, name, mnemonic, operands)
        return name == "udf"

    def _stack(self, function: Function, name: str, mnemonic: str, operands: str) -> None:
        if self._PUSH.fullmatch(mnemonic) and ("push" in mnemonic or operands.startswith("sp!")):
            function.pushed += _registers(operands[operands.index("{") :]) * (8 if "{d" in operands else 4)
        elif name in ("sub", "subw", "subs") and operands.startswith("sp,"):
            self._lowered(function, operands)
        elif name in ("str", "strd") and (found := re.search(r"\[sp, #-(\d+)\]!", operands)):
            function.pushed += int(found[1])
        elif name in ("add", "addw", "mov", "ldr", "bic", "and", "orr") and operands.startswith("sp,"):
            function.moves_stack |= name not in ("add", "addw") or "#" not in operands
        elif name == "msr" and operands.upper().startswith(("MSP,", "PSP,")):
            function.moves_stack = True

    @staticmethod
    def _lowered(function: Function, operands: str) -> None:
        if found := re.search(r"#(\d+)", operands):
            function.pushed += int(found[1])
        else:
            function.moves_stack = True


def _registers(names: str) -> int:
    """How many registers a list such as {r4, r5, lr} or {d8-d15} has."""
    count = 0
    for part in names.strip("{} ").split(","):
        numbers = [int(number) for number in re.findall(r"\d+", part)]
        count += numbers[1] - numbers[0] + 1 if "-" in part and len(numbers) == 2 else 1  # noqa: PLR2004 - first and last
    return count


class _RiscV(_Reader):
    _RETURNS = ("ret", "mret", "sret", "uret")

    def instruction(self, function: Function, mnemonic: str, operands: str) -> bool:
        name = mnemonic.removeprefix("c.")
        if name in self._RETURNS:
            return True
        if name in ("j", "tail", "jal", "call", "jr", "jalr"):
            return self._jump(function, name, operands)
        if name.startswith("b"):
            self.edge(function, operands, links=False)
            return False
        function.sets_traps |= name.startswith("csr") and "mtvec" in operands
        self._stack(function, name, operands.replace(" ", ""))
        return name in ("unimp", "ebreak")

    def _jump(self, function: Function, name: str, operands: str) -> bool:
        first = operands.partition(",")[0].strip()
        links = name in ("jal", "call", "jalr") and first not in ("zero", "x0")
        if self.edge(function, operands, links=links):
            return not links
        if links:
            function.by_register += 1
            return False
        function.jumps += operands.strip() not in ("ra", "0(ra)", "zero,0(ra)", "zero,ra,0")
        return True

    @staticmethod
    def _stack(function: Function, name: str, operands: str) -> None:
        if name in ("add", "addi", "addi16sp") and (found := re.fullmatch(r"sp,(?:sp,)?(-?\d+)", operands)):
            function.pushed += max(0, -int(found[1]))
        elif operands.startswith("sp,") and not name.startswith(("sw", "sb", "sh", "swsp", "beq", "bne")):
            function.moves_stack = True
