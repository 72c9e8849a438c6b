"""ELF checks, each with a program that fails it, linked by the real compiler."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.analysis.elf import check_elf
from devicepipe.project.board import Board

Link = Callable[..., bytes]

PROPERTIES = {
    "application/readable",
    "application/no-writable-executable-segment",
    "application/no-executable-ram",
    "application/vector-table",
    "application/entry-in-flash",
    "application/sections-in-memory",
    "application/no-heap",
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
    assert "cannot be ruled out" in failures(link(flags=("-s",)), board)["no-heap"]


def test_truncated_file_passes_nothing(link: Link, board: Board) -> None:
    assert set(failures(link()[:200], board)) == {"readable"}


@given(noise=st.binary(max_size=200))
def test_noise_is_never_a_crash(noise: bytes, board: Board) -> None:
    check_elf(b"\x7fELF\x01\x01\x01" + noise, role="application", board=board)
    check_elf(noise, role="bootloader", board=board)
