"""ELF checks, each with a program that fails it, linked by the real compiler."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.analysis.elf import FORBIDDEN, check_elf
from devicepipe.evidence.findings import Check
from devicepipe.project.board import Board, DebugLock

Link = Callable[..., bytes]

PROPERTIES = {
    "application/readable",
    "application/no-writable-executable-segment",
    "application/no-executable-ram",
    "application/vector-table",
    "application/entry-in-flash",
    "application/sections-in-memory",
    "application/no-heap",
    "application/no-forbidden-symbols",
    "application/debug-port-locked",
}

RESET = "_Noreturn void reset(void); _Noreturn void reset(void) { for (;;) { } }\n"
TABLE = '__attribute__((section(".vectors"), used)) static const void *const vectors[] = '


def failures(content: bytes, board: Board) -> dict[str, str]:
    checks = check_elf(content, role="application", board=board)
    assert {check.name for check in checks} in (PROPERTIES, {"application/readable"})
    return {check.name.removeprefix("application/"): check.message for check in checks if not check.passed}


def test_sound_program_passes_every_check(link: Link, board: Board) -> None:
    checks = check_elf(link(), role="application", board=board)
    assert {check.name for check in checks} == PROPERTIES
    assert all(check.passed and check.message for check in checks)


def test_application_at_the_bootloaders_place(link: Link, board: Board) -> None:
    found = failures(link(change=("ORIGIN = 0x4200", "ORIGIN = 0x0")), board)
    assert set(found) == {"vector-table", "entry-in-flash", "sections-in-memory"}
    assert "outside slot0 0x00004000-0x00008000" in found["vector-table"]


def test_writable_and_executable_segment(link: Link, board: Board) -> None:
    found = failures(link(flags=("-Wl,-N",)), board)
    assert "no-writable-executable-segment" in found
    assert "is writable and executable" in found["no-writable-executable-segment"]


def test_code_in_ram(link: Link, board: Board) -> None:
    in_ram = '__attribute__((section(".data.code"), used)) static void in_ram(void) { }\n'
    found = failures(link(extra=in_ram), board)
    assert "lies in RAM 0x20000000-0x20001000" in found["no-executable-ram"]


@pytest.mark.parametrize(("allowed", "passes"), [(64, True), (2, False)], ids=["enough", "too_little"])
def test_code_in_ram_that_the_manifest_allows(link: Link, board: Board, allowed: int, passes: bool) -> None:
    in_ram = """__attribute__((section(".data.code"), used)) static int in_ram(int a) { return a * 3 + 7; }\n"""
    allowing = board.model_copy(update={"ram": board.ram.model_copy(update={"code": allowed})})
    found = failures(link(extra=in_ram), allowing)
    assert ("no-executable-ram" not in found) == passes
    if not passes:
        assert "the manifest allows 2 bytes of code there" in found["no-executable-ram"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("{(void *)0x20001004, (const void *)reset};", "initial stack pointer 0x20001004 is outside RAM"),
        ("{(void *)0x20000ffc, (const void *)reset};", "0x20000ffc is not aligned to 8 bytes"),
        ("{(void *)0x20001000, (const void *)0x4240};", "reset handler 0x00004240 lacks the Thumb bit"),
        ("{(void *)0x20001000, (const void *)0x101};", "reset handler 0x00000101 is outside slot0"),
    ],
    ids=["stack_outside_ram", "stack_misaligned", "no_thumb_bit", "reset_outside_slot"],
)
def test_insane_vector_table(link: Link, board: Board, table: str, message: str) -> None:
    found = failures(link(source=RESET + TABLE + table), board)
    assert set(found) == {"vector-table"}
    assert message in found["vector-table"]


def test_entry_outside_the_flash(link: Link, board: Board) -> None:
    found = failures(link(change=("ENTRY(reset)", "ENTRY(stack_top)")), board)
    assert set(found) == {"entry-in-flash"}


def test_section_beyond_the_ram(link: Link, board: Board) -> None:
    content = link(extra="unsigned char large[8192] = {1};", change=("LENGTH = 0x1000", "LENGTH = 0x4000"))
    found = failures(content, board)
    assert "section .data" in found["sections-in-memory"]


def test_initial_values_loaded_outside_the_flash(link: Link, board: Board) -> None:
    content = link(extra="int value = 1;", change=("> RAM AT > FLASH", "> RAM"))
    found = failures(content, board)
    assert "section .data is loaded to 0x20000000" in found["sections-in-memory"]


def test_heap_linked_in(link: Link, board: Board) -> None:
    content = link(extra="void *malloc(unsigned long); void *malloc(unsigned long n) { (void)n; return 0; }")
    assert failures(content, board) == {"no-heap": "a heap is linked in: malloc"}


def test_stripped_program_cannot_prove_that_it_has_no_heap(link: Link, board: Board) -> None:
    found = failures(link(flags=("-s",)), board)
    assert all("cannot be ruled out" in found[name] for name in ("no-heap", "no-forbidden-symbols"))


PRINTF = "int printf(const char *f, ...); int printf(const char *f, ...) { (void)f; return 0; }"


def test_a_forbidden_function_is_named(link: Link, board: Board) -> None:
    assert failures(link(extra=PRINTF), board) == {"no-forbidden-symbols": "forbidden functions are linked in: printf"}


@pytest.mark.parametrize("name", ["gets", "sprintf", "vsniprintf", "_printf_r", "sscanf", "strcpy", "longjmp"])
def test_the_usual_forbidden_functions(name: str) -> None:
    assert name in FORBIDDEN


def test_a_product_forbids_its_own_list(link: Link, board: Board) -> None:
    content = link(extra=PRINTF + "int rand_one(void); int rand_one(void) { return 4; }")
    checks = check_elf(content, role="application", board=board, forbidden=["rand*"])
    assert [check.message for check in checks if not check.passed] == ["forbidden functions are linked in: rand_one"]


def test_fault_handlers_need_the_thumb_bit(link: Link, board: Board) -> None:
    table = "{(void *)0x20001000, (const void *)reset, (const void *)reset, (const void *)0x4240};"
    found = failures(link(source=RESET + TABLE + table), board)
    assert "HardFault handler 0x00004240" in found["vector-table"]


LOCK = "\n    .uicr 0x10001004 : { KEEP(*(.uicr)) }\n    stack_top"
WORD = '__attribute__((section(".uicr"), used)) static const unsigned lock = '


def debug_port(content: bytes, board: Board) -> Check:
    lock = DebugLock(name="RBPCONF", address=0x10001004, mask=0xFF00, value=0)
    boot = board.model_copy(update={"debug_lock": lock, "regions": board.regions | {"bootloader": board.slot0}})
    checks = {check.name: check for check in check_elf(content, role="bootloader", board=boot)}
    assert checks["bootloader/sections-in-memory"].passed
    return checks["bootloader/debug-port-locked"]


def test_a_locked_debug_port(link: Link, board: Board) -> None:
    content = link(extra=WORD + "0xffff00ffu;", change=("\n    stack_top", LOCK))
    assert debug_port(content, board).passed


def test_a_debug_port_that_stays_open(link: Link, board: Board) -> None:
    check = debug_port(link(extra=WORD + "0xffffffffu;", change=("\n    stack_top", LOCK)), board)
    assert not check.passed
    assert "RBPCONF at 0x10001004 is 0xffffffff" in check.message


def test_a_debug_port_that_nobody_locks(link: Link, board: Board) -> None:
    check = debug_port(link(), board)
    assert (check.passed, "stays open" in check.message) == (False, True)


def test_a_board_that_does_not_say_how_is_told_as_such(link: Link, board: Board) -> None:
    for role in ("application", "bootloader"):
        check = check_elf(link(), role=role, board=board)[-1]
        assert check.not_applicable
        assert check.message.startswith("not applicable: the board's manifest does not say")


def test_truncated_file_passes_nothing(link: Link, board: Board) -> None:
    assert set(failures(link()[:200], board)) == {"readable"}


@given(noise=st.binary(max_size=200))
def test_noise_is_never_a_crash(noise: bytes, board: Board) -> None:
    check_elf(b"\x7fELF\x01\x01\x01" + noise, role="application", board=board)
    check_elf(noise, role="bootloader", board=board)
