"""Decisions read from a disassembly, places read from addr2line, sums over programs, and the files that other tools read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.analysis.branches import Flow, Instruction, flow_of
from devicepipe.analysis.coverage import Coverage, FileCoverage, FunctionCoverage, cover, merge, totals
from devicepipe.analysis.coverage_files import to_cobertura, to_lcov
from devicepipe.analysis.covered_program import CoveredProgram, Hits, read_program
from devicepipe.analysis.source_lines import Place, parse_answer, places_of


def decisions(*listing: tuple[str, str], arm: bool = True) -> dict[int, tuple[int, int | None]]:
    code = [Instruction(2 * place, *one) for place, one in enumerate([*listing, ("nop", "")])]
    return {one.address: (one.following, one.target) for one in flow_of(code, arm=arm).decisions}


@pytest.mark.parametrize(
    ("mnemonic", "operands", "target"),
    [
        ("beq.n", "20 <main+0x8>", 0x20),
        ("bhi.w", "120 <main+0x108>", 0x120),
        ("cbz", "r0, 20 <main+0x8>", 0x20),
        ("cbnz", "r3, 20 <main+0x8>", 0x20),
        ("bxeq", "lr", None),
        ("popne", "{r4, pc}", None),
        ("moveq", "pc, r3", None),
    ],
)
def test_thumb_decision(mnemonic: str, operands: str, target: int | None) -> None:
    assert decisions((mnemonic, operands)) == {0: (2, target)}


@pytest.mark.parametrize(
    ("mnemonic", "operands"),
    [
        ("b.n", "20 <main+0x8>"),
        ("bl", "20 <main+0x8>"),
        ("bx", "lr"),
        ("pop", "{r4, pc}"),
        ("popne", "{r4, r5}"),
        ("moveq", "r0, r1"),
        ("bics", "r0, r1"),
    ],
)
def test_thumb_instruction_that_decides_nothing(mnemonic: str, operands: str) -> None:
    assert decisions((mnemonic, operands)) == {}


def test_riscv_decisions() -> None:
    code = [("beqz", "a0,20 <main+0x8>"), ("j", "20 <main+0x8>"), ("bltu", "a0,a1,20 <main+0x8>"), ("ret", "")]
    assert decisions(*code, arm=False) == {0: (2, 0x20), 4: (6, 0x20)}


def test_calls_are_where_returns_go() -> None:
    code = [Instruction(0, "bl", "20 <f>"), Instruction(4, "jal", "zero,20 <f>"), Instruction(8, "nop", "")]
    assert flow_of(code, arm=True).returns == {4}
    assert flow_of([Instruction(0, "jal", "ra,20 <f>"), *code[1:]], arm=False).returns == {4}


def test_places_are_the_innermost_ones() -> None:
    answer = (
        "0x00000100\nclamp.constprop.0\nsrc/a.c:7 (discriminator 2)\nmain\nsrc/a.c:20\n"
        "0x00000102\n??\n??:0\n0x00000104\n__udivsi3\n/usr/lib/gcc/div.c:12\n0x00000106\nmain\nsrc/a.c:?\n"
    )
    assert parse_answer(answer) == {
        0x100: Place("clamp", "src/a.c", 7, "main"),
        0x102: Place("", "", 0),
        0x104: Place("__udivsi3", "", 0, "__udivsi3"),
        0x106: Place("main", "src/a.c", 0, "main"),
    }


def test_debug_information_of_a_function_that_was_dropped(tmp_path: Path) -> None:
    """The linker leaves it at address 0, over the code that is there: that code is not the dropped function's."""
    unused = "void dropped(void) { " + "x++; " * 40 + "}"
    (tmp_path / "a.c").write_text(f"volatile int x;\n{unused}\nvoid kept(void) {{ x = 1; }}\n")
    start = '.section .text.start,"ax"\n.global start\n.type start, %function\nstart: nop\nbl kept\n.size start, . - start\n'
    (tmp_path / "start.s").write_text(f".syntax unified\n.thumb\n{start}nop\nb start\n")
    target = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb"]
    for command in (
        [*target, "-c", "start.s"],
        [*target, "-c", "-g", "-Os", "-ffunction-sections", f"-ffile-prefix-map={tmp_path}=.", "a.c"],
        [*target, "-nostdlib", "-Wl,--gc-sections,-Ttext=0,-estart", "start.o", "a.o", "-o", "program.elf"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    elf = tmp_path / "program.elf"
    objdump, addr2line = (Path(shutil.which(f"arm-none-eabi-{name}") or name) for name in ("objdump", "addr2line"))
    assert {place.function for place in places_of(addr2line, elf, [0, 6]).values()} == {"dropped"}
    places = read_program("application", elf, objdump, addr2line).places
    assert {place.function for address, place in places.items() if address < 6} == {""}
    assert {place.function for address, place in places.items() if address >= 12} == {"kept"}
    assert not set(places) & {6, 8}, "what lies between functions is no code"


def program() -> tuple[CoveredProgram, Flow]:
    """`main` tests and calls `used`, or goes on; `unused` is never called."""
    code = [
        Instruction(0, "cmp", "r0, #0"),
        Instruction(2, "beq.n", "6 <main+0x6>"),
        Instruction(4, "nop", ""),
        Instruction(6, "bx", "lr"),
        Instruction(8, "bx", "lr"),
    ]
    flow = flow_of(code, arm=True)
    lines = {0: 10, 2: 10, 4: 11, 6: 12, 8: 20}
    places = {at: Place("unused" if at == 8 else "main", "src/a.c", line) for at, line in lines.items()}
    return CoveredProgram("application", places, flow), flow


def test_one_way_of_two() -> None:
    covered = cover(program()[0], Hits({0: 3, 2: 3, 6: 3}, {(2, 6): 3}))
    file = covered["src/a.c"]
    assert file.lines == {10: 3, 11: 0, 12: 3, 20: 0}
    assert file.decisions == {10: [(0, 3)]}
    assert file.functions["unused"] == FunctionCoverage(20, 0, 1, 0)
    figures = totals(covered.values())
    assert (figures.lines_executed, figures.lines) == (2, 4)
    assert (figures.functions_executed, figures.functions) == (1, 2)
    assert (figures.outcomes_executed, figures.outcomes) == (1, 2)


def test_nothing_executed_is_nothing_covered() -> None:
    figures = totals(cover(program()[0], Hits({}, {})).values())
    executed = (figures.instructions_executed, figures.lines_executed, figures.functions_executed)
    assert (*executed, figures.outcomes_executed) == (0, 0, 0, 0)
    assert figures.instructions == 5


@given(st.dictionaries(st.sampled_from([0, 2, 4, 6, 8]), st.integers(1, 9)))
def test_sums_over_boards(counts: dict[int, int]) -> None:
    one = cover(program()[0], Hits(counts, {}))
    both = merge([one, cover(program()[0], Hits({}, {}))])
    assert both["src/a.c"].lines == one["src/a.c"].lines
    assert totals(both.values()).outcomes == 2 * totals(one.values()).outcomes


def test_lcov() -> None:
    covered = cover(program()[0], Hits({0: 3, 2: 3, 6: 3}, {(2, 6): 3})) | {"": FileCoverage(lines={1: 1})}
    assert to_lcov(covered, "microbit").decode().splitlines() == [
        "TN:microbit",
        "SF:src/a.c",
        "FN:10,main",
        "FN:20,unused",
        "FNDA:3,main",
        "FNDA:0,unused",
        "FNF:2",
        "FNH:1",
        "BRDA:10,0,0,0",
        "BRDA:10,0,1,3",
        "BRF:2",
        "BRH:1",
        "DA:10,3",
        "DA:11,0",
        "DA:12,3",
        "DA:20,0",
        "LF:4",
        "LH:2",
        "end_of_record",
    ]


def test_lcov_of_a_decision_that_was_never_reached() -> None:
    covered: Coverage = {"src/a.c": FileCoverage(lines={10: 0}, decisions={10: [(0, 0)]})}
    assert "BRDA:10,0,0,-\nBRDA:10,0,1,-\n" in to_lcov(covered).decode()


def test_cobertura() -> None:
    covered = cover(program()[0], Hits({0: 3, 2: 3, 6: 3}, {(2, 6): 3}))
    text = to_cobertura(covered, version="1", timestamp=0)
    assert text == to_cobertura(covered, version="1", timestamp=0)
    root = ET.fromstring(text)
    assert (root.get("lines-covered"), root.get("lines-valid"), root.get("line-rate")) == ("2", "4", "0.5000")
    lines = {line.get("number"): line for line in root.iterfind(".//class/lines/line")}
    assert {number: line.get("hits") for number, line in lines.items()} == {"10": "3", "11": "0", "12": "3", "20": "0"}
    assert lines["10"].get("condition-coverage") == "50% (1/2)"
