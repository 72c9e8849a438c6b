"""The worst case of stacks, on programs that the real compilers link; and each reason why it would be none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from devicepipe.analysis.disassembly import Program, disassemble
from devicepipe.analysis.stack import exception_frame, measure, read_figures
from devicepipe.analysis.stack_table import load_stack_table
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.memory import StackUse

ARM = ("arm-none-eabi-", ("-mcpu=cortex-m0", "-mthumb"))
M3 = ("arm-none-eabi-", ("-mcpu=cortex-m3", "-mthumb"))
RISCV = ("riscv64-unknown-elf-", ("-march=rv32imac_zicsr", "-mabi=ilp32"))
MACHINES = {"cortex-m0": ARM, "cortex-m3": M3, "rv32": RISCV}

LINK = """
MEMORY { FLASH (rx) : ORIGIN = 0x4000, LENGTH = 0x8000  RAM (rw) : ORIGIN = 0x20000000, LENGTH = 0x1000 }
ENTRY(reset)
SECTIONS
{
    .vectors : { KEEP(*(.vectors)) } > FLASH
    .text : { *(.text .text.*) *(.rodata .rodata.*) } > FLASH
    .stack (NOLOAD) : { . += 0x400; } > RAM
    stack_top = .;
    .data : { *(.data .data.*) } > RAM AT > FLASH
    .bss (NOLOAD) : { *(.bss .bss.*) } > RAM
}
"""

COMMON = """
#define KEPT __attribute__((noinline, used))
extern unsigned char stack_top[];
void use(volatile unsigned char *bytes);
KEPT void use(volatile unsigned char *bytes) { bytes[0] = 1; }
"""

MAIN = """
KEPT static int leaf(int x) { volatile unsigned char bytes[64]; use(bytes); return x + bytes[0]; }
KEPT static int middle(int x) { volatile unsigned char bytes[128]; use(bytes); return leaf(x) + bytes[1]; }
void tick(void);
KEPT void tick(void) { volatile unsigned char bytes[32]; use(bytes); }
_Noreturn void reset(void);
_Noreturn void reset(void) { for (;;) { (void)middle(1); } }
"""

VECTORS = """
__attribute__((section(".vectors"), used)) static const void *const vectors[] =
    {stack_top, (const void *)reset, (const void *)tick};
"""

TICK = """
[[interrupt]]
priority = 0
handlers = ["tick"]
reason = "The tick."
"""


class Build:
    """Compiles and links one C file for a machine."""

    def __init__(self, folder: Path, machine: str) -> None:
        self.folder = folder
        self.machine = machine
        self.prefix, self.flags = MACHINES[machine]
        if shutil.which(f"{self.prefix}gcc") is None:
            pytest.skip(f"{self.prefix}gcc is not installed")

    @property
    def cortex_m(self) -> bool:
        return self.machine.startswith("cortex")

    def program(self, source: str, *, figures: bool = True, link: str = LINK) -> Program:
        vectors = VECTORS if self.cortex_m else ""
        (self.folder / "main.c").write_text(COMMON + source + vectors, encoding="utf-8")
        (self.folder / "link.ld").write_text(link, encoding="ascii")
        measured = ("-fstack-usage", "-fcallgraph-info=su") if figures else ()
        fixed = ("-Os", "-ffreestanding", "-ffunction-sections", "-fno-inline")
        run = [f"{self.prefix}gcc", *self.flags]
        subprocess.run([*run, *fixed, *measured, "-c", "main.c", "-o", "main.o"], cwd=self.folder, check=True)
        last = ("-nostdlib", "-Wl,--build-id=none,--no-warn-rwx-segments", "-T", "link.ld", "main.o", "-lgcc")
        subprocess.run([*run, *last, "-o", "main.elf"], cwd=self.folder, check=True)
        objdump = Path(shutil.which(f"{self.prefix}objdump") or "")
        return disassemble(objdump, self.folder / "main.elf", cortex_m=self.cortex_m)

    def measure(self, source: str, table: str = "", *, figures: bool = True) -> StackUse:
        program = self.program(source, figures=figures)
        path = self.folder / "stack.toml"
        path.write_text(table, encoding="utf-8")
        return measure(
            program,
            read_figures(self.folder),
            load_stack_table(path, board="sample", program="application"),
            frame=exception_frame(self.machine, self.flags),
        )


@pytest.fixture(params=MACHINES)
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    return Build(tmp_path, request.param)


@pytest.fixture
def arm(tmp_path: Path) -> Build:
    return Build(tmp_path, "cortex-m0")


def names(use: StackUse, level: int = 0) -> list[str]:
    return [frame.function for frame in use.levels[level].path]


def test_the_deepest_chain_and_the_interrupt_on_top_of_it(build: Build) -> None:
    use = build.measure(MAIN, TICK)
    assert (use.recursion, use.unbounded) == ([], [])
    assert names(use)[:3] == ["reset", "middle", "leaf"]
    main, tick = use.levels
    assert 64 + 128 < main.bytes < 64 + 128 + 64
    assert 32 < tick.bytes < 64
    assert tick.frame == (36 if build.cortex_m else 0)
    assert use.worst == main.bytes + tick.bytes + tick.frame
    assert use.reserved == 0x400


def test_the_compiler_and_the_instructions_agree(build: Build) -> None:
    told = build.measure(MAIN, TICK)
    for file in [*build.folder.glob("*.su"), *build.folder.glob("*.ci")]:
        file.unlink()
    seen = build.measure(MAIN, TICK, figures=False)
    assert {frame.source for level in told.levels for frame in level.path if frame.bytes} == {"compiler"}
    assert {frame.source for level in seen.levels for frame in level.path} == {"disassembly"}
    assert (seen.worst, seen.unbounded) == (told.worst, told.unbounded)


REASONS = {
    "direct recursion": (
        "int f(int x); KEPT int f(int x) { return x ? f(x - 1) + leaf(x) : 0; }",
        "f(3)",
        "recursion",
        "f → f",
    ),
    "mutual recursion": (
        """int g(int x); KEPT int f(int x) { return x ? g(x - 1) + leaf(x) : 0; }
        KEPT int g(int x) { return x ? f(x - 1) + leaf(x) : 0; }""",
        "g(3)",
        "recursion",
        "f",
    ),
    "call through a pointer": (
        "int (*volatile hook)(int) = leaf; KEPT int f(int x) { return hook(x) + 1; }",
        "f(3)",
        "unbounded",
        "f calls through a pointer, and no [[indirect]] says what",
    ),
    "tail call through a pointer": (
        "int (*volatile hook)(int) = leaf; KEPT int f(int x) { return hook(x); }",
        "f(3)",
        "unbounded",
        "f calls through a pointer",
    ),
    "array of no fixed size": (
        "KEPT int f(int x) { volatile unsigned char bytes[x]; use(bytes); return bytes[0]; }",
        "f(3)",
        "unbounded",
        "f takes a part of the stack that is not fixed",
    ),
}


def with_function(function: str, call: str) -> str:
    return MAIN.replace("void tick(void);", f"{function}\nvoid tick(void);", 1).replace("middle(1)", call)


@pytest.mark.parametrize(("function", "call", "where", "says"), REASONS.values(), ids=REASONS.keys())
def test_what_has_no_bound_is_named(build: Build, function: str, call: str, where: str, says: str) -> None:
    use = build.measure(with_function(function, call), TICK)
    found = getattr(use, where)
    assert any(says in sentence for sentence in found), found
    assert len(use.recursion) + len(use.unbounded) == 1


def test_without_the_compilers_figures_a_jump_through_a_register_is_named_too(build: Build) -> None:
    function, call, _, says = REASONS["tail call through a pointer"]
    use = build.measure(with_function(function, call), TICK, figures=False)
    assert any(says in sentence for sentence in use.unbounded)


def test_a_declared_call_through_a_pointer_counts_its_deepest_target(build: Build) -> None:
    function, call, _, _ = REASONS["call through a pointer"]
    table = '[[indirect]]\nfunction = "f"\ncalls = ["leaf", "middle"]\nreason = "hooks"\n'
    use = build.measure(with_function(function, call), TICK + table)
    assert use.unbounded == []
    assert names(use)[:4] == ["reset", "f", "middle", "leaf"]


def test_a_call_that_the_compiler_makes_by_itself_counts(arm: Build) -> None:
    """A division on a Cortex-M0 is a call of libgcc that no .ci file tells of."""
    division = "volatile unsigned long long a = 7u; void f(int x); KEPT void f(int x) { a = a / (unsigned)x; }"
    use = arm.measure(with_function(division, "f(3)"), TICK)
    assert use.unbounded == []
    assert "__aeabi_uldivmod" in names(use)
    assert {frame.source for frame in use.levels[0].path if frame.function.startswith("__")} == {"disassembly"}


def test_a_naked_function_counts_what_its_instructions_take(arm: Build) -> None:
    code = "push {r4-r7, lr}\\n sub sp, #400\\n add sp, #400\\n pop {r4-r7, pc}"
    naked = f'int f(int x); __attribute__((naked)) int f(int x) {{ __asm volatile("{code}"); }}'
    use = arm.measure(with_function(naked, "f(3)"), TICK)
    assert [(frame.function, frame.bytes) for frame in use.levels[0].path][1] == ("f", 420)


def test_a_function_that_switches_stacks_must_be_declared(arm: Build) -> None:
    code = "msr msp, r0\\n bl middle\\n bx lr"
    switch = (
        f'void f(int x); __attribute__((naked)) void f(__attribute__((unused)) int x) {{ __asm volatile("{code}"); }}'
    )
    use = arm.measure(with_function(switch, "f(3); (void)middle(2)"), TICK)
    assert use.unbounded == ["f moves the stack pointer by a register"]
    table = '[[function]]\nname = "f"\nbytes = 0\ncalls = ["middle"]\nfresh = true\nreason = "a stack of its own"\n'
    use = arm.measure(with_function(switch, "f(3)"), TICK + table)
    assert use.unbounded == []
    assert use.levels[-1].name == "f, on a fresh stack"
    assert use.worst == use.levels[-1].bytes > sum(level.bytes + level.frame for level in use.levels[:-1])


def test_a_handler_without_a_declared_priority_is_named(arm: Build) -> None:
    assert arm.measure(MAIN).unbounded == ["tick is in the vector table, but in no [[interrupt]]"]


def test_a_trap_vector_without_a_declared_handler_is_named(tmp_path: Path) -> None:
    trap = 'KEPT static int f(void) { __asm volatile("csrw mtvec, %0" :: "r"(tick)); return 0; }'
    source = MAIN.replace("_Noreturn void reset(void);", f"{trap}\n_Noreturn void reset(void);", 1)
    source = source.replace("middle(1)", "f()")
    riscv = Build(tmp_path, "rv32")
    assert riscv.measure(source).unbounded == ["it sets a trap vector, but there is no [[interrupt]]"]
    assert riscv.measure(source, TICK).unbounded == []


@pytest.mark.parametrize("kind", ["handlers", "calls"])
def test_a_declared_function_that_is_not_there_is_named(arm: Build, kind: str) -> None:
    function, call, _, _ = REASONS["call through a pointer"]
    table = '[[indirect]]\nfunction = "f"\ncalls = ["leef"]\nreason = "hooks"\n' if kind == "calls" else ""
    tick = TICK.replace('"tick"]', '"tick", "tock"]') if kind == "handlers" else TICK
    use = arm.measure(with_function(function, call) if kind == "calls" else MAIN, tick + table)
    assert len(use.unbounded) == 1
    assert "which is not in the program" in use.unbounded[0]


def test_handlers_of_one_priority_do_not_add_up_and_those_of_two_do(arm: Build) -> None:
    source = MAIN + "void tock(void); KEPT void tock(void) { volatile unsigned char bytes[100]; use(bytes); }\n"
    together = arm.measure(source, TICK.replace('["tick"]', '["tick", "tock"]'))
    apart = arm.measure(source, TICK + TICK.replace("tick", "tock").replace("priority = 0", "priority = 1"))
    assert apart.worst == together.worst + 36 + 32 + 8
    extra = arm.measure(source, TICK.replace('["tick"]', '["tick", "tock"]\nextra = 12'))
    assert extra.worst == together.worst + 12


def test_a_stack_of_no_known_size_is_named(arm: Build) -> None:
    program = arm.program(MAIN, link=LINK.replace(".stack (NOLOAD) : { . += 0x400; } > RAM\n", ""))
    assert program.stack is None
    use = measure(program, read_figures(arm.folder), load_stack_table(None, board="b", program="application"), frame=36)
    assert "the program does not say how large its stack is (no section .stack)" in use.unbounded


def test_a_program_that_objdump_cannot_read(arm: Build, tmp_path: Path) -> None:
    arm.program(MAIN)
    with pytest.raises(BenchError):
        disassemble(tmp_path / "no-objdump", arm.folder / "main.elf", cortex_m=True)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('reason = "The tick."', "", "interrupt.0.reason"),
        ('reason = "The tick."', 'reason = " "', "interrupt.0.reason"),
        ('handlers = ["tick"]', "handlers = []", "interrupt.0.handlers"),
        ("priority", "prio", "interrupt.0.prio"),
        (TICK, '[[indirect]]\nfunction = "f"\ncalls = []\nreason = "r"\n' * 2, "indirect.1"),
        (TICK, '[[function]]\nname = "f"\nbytes = -1\nreason = "r"\n', "function.0.bytes"),
        (TICK, TICK + 'programs = ["loader"]\n', "interrupt.0.programs.0"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = tmp_path / "stack.toml"
    path.write_text(TICK.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        load_stack_table(path, board="b", program="application")
    assert raised.value.key == key


def test_entries_hold_for_the_boards_and_programs_they_name(tmp_path: Path) -> None:
    path = tmp_path / "stack.toml"
    one = '[[function]]\nname = "f"\nbytes = 1\nreason = "r"\nboards = ["a"]\nprograms = ["bootloader"]\n'
    path.write_text(one + one.replace('"a"', '"b"').replace("= 1", "= 2"), encoding="utf-8")

    def bytes_of(board: str, program: str) -> list[int]:
        table = load_stack_table(path, board=board, program=program)
        return [entry.bytes for entry in table.functions.values()]

    assert bytes_of("a", "bootloader") == [1]
    assert bytes_of("b", "bootloader") == [2]
    assert bytes_of("a", "application") == []
