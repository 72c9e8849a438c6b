"""Coverage of a device's programs: what is counted, to which test it belongs, and what must not pass for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.analysis.covered_program import CoveredProgram, Hits, read_program
from devicepipe.bench.coverage_map import CoverageMap
from devicepipe.bench.coverage_record import NAME, CoverageRecord, pack, unpack
from devicepipe.bench.lockstep import LockStep, VirtualTime
from devicepipe.bench.protocol import REPLY, STARTED
from devicepipe.bench.qemu import Qemu
from devicepipe.bench.session import run_session
from devicepipe.bench.symbols import Symbols
from devicepipe.errors import BenchError, UsageError
from tests.bench.samples import MACHINES, SOURCE, Firmware, SpecMaker, reason, verdicts
from tests.bench.test_bench_qemu import flash_of

Start = Callable[..., Qemu]
FirmwareOf = Callable[[str], Firmware]


def program_of(firmware: Firmware) -> CoveredProgram:
    compiler = MACHINES[firmware.board.name].compiler
    objdump, addr2line = (shutil.which(f"{compiler}-{tool}") for tool in ("objdump", "addr2line"))
    assert objdump is not None
    assert addr2line is not None
    return read_program("application", firmware.elf, Path(objdump), Path(addr2line))


@pytest.fixture
def counts_of() -> Iterator[Callable[[Firmware], CoverageMap]]:
    made: list[CoverageMap] = []

    def make(firmware: Firmware) -> CoverageMap:
        made.append(CoverageMap({"application": firmware.elf}, firmware.board.flash))
        return made[-1]

    yield make
    for counts in made:
        counts.close()


def executed(counts: CoverageMap) -> set[int]:
    """The addresses of the instructions that were begun since the last time."""
    (code, *others) = counts.code
    assert all(code.slot <= other.slot for other in others)
    by_slot = {one.slot + place: one.address + 2 * place for one in counts.code for place in range(len(one.data) // 2)}
    return {by_slot[slot] for slot in counts.take().slots}


def functions(program: CoveredProgram, addresses: set[int]) -> set[str]:
    return {program.places[address].function for address in addresses}


def entered(program: CoveredProgram, addresses: set[int]) -> set[str]:
    """The functions that were called. The end of one that has sent its answer may be executed after that was read."""
    first = {place.function: address for address, place in sorted(program.places.items(), reverse=True)}
    return {function for function, address in first.items() if address in addresses}


def ask(qemu: Qemu, command: str) -> str:
    reply = qemu.channel.take_line(REPLY, 20.0, ask=command.encode() + b"\n")
    assert reply is not None
    return reply.decode()


def started(qemu: Qemu) -> None:
    qemu.reset()
    assert qemu.channel.take_line(STARTED, 20) is not None
    ask(qemu, "status")


@pytest.mark.parametrize("name", MACHINES)
def test_what_a_command_executes(
    name: str, firmware_of: FirmwareOf, start: Start, counts_of: Callable[[Firmware], CoverageMap]
) -> None:
    """The function that a command calls is executed in that command and at no other time; the fault's is never."""
    firmware = firmware_of(name)
    program, counts = program_of(firmware), counts_of(firmware)
    qemu = start(firmware.board, coverage=counts)
    qemu.write_flash(flash_of(firmware))
    started(qemu)
    qemu.stop()
    boot = executed(counts)
    assert boot <= set(program.places)
    assert functions(program, boot) >= {"main", "print", "send", "uart_start"}
    assert "number" not in functions(program, boot)
    assert executed(counts) == set()
    qemu.cont()
    assert ask(qemu, "time").startswith("OK time")
    qemu.stop()
    assert "number" in functions(program, executed(counts))
    qemu.cont()
    assert ask(qemu, "status").startswith("OK status")
    qemu.stop()
    told = functions(program, executed(counts))
    assert "number" not in told
    assert "obey" in told
    assert "lock_up" in functions(program, set(program.places))
    assert "lock_up" not in functions(program, boot)


@pytest.mark.parametrize("name", MACHINES)
def test_a_killed_emulator_loses_nothing(
    name: str, firmware_of: FirmwareOf, start: Start, counts_of: Callable[[Firmware], CoverageMap]
) -> None:
    """Also after a reset, a change of the flash and another emulator, what was executed is there."""
    firmware = firmware_of(name)
    program, counts = program_of(firmware), counts_of(firmware)
    qemu = start(firmware.board, coverage=counts)
    qemu.write_flash(flash_of(firmware))
    started(qemu)
    ask(qemu, "time")
    qemu.write_flash(flash_of(firmware, "q"))
    qemu.reset()
    qemu.close()
    other = start(firmware.board, coverage=counts)
    other.write_flash(flash_of(firmware))
    started(other)
    other.close()
    assert functions(program, executed(counts)) >= {"number", "main", "obey"}


def test_another_program_does_not_pass_for_the_one_under_test(
    firmware: Firmware, start: Start, counts_of: Callable[[Firmware], CoverageMap]
) -> None:
    """One instruction was altered in flash: it is not counted, what is as before is, and it is told."""
    program, counts = program_of(firmware), counts_of(firmware)
    flash, base = bytearray(flash_of(firmware)), firmware.board.flash.base
    moves = (
        address
        for address, place in program.places.items()
        if place.function == "obey" and flash[address - base + 1] == 0 and 0 < flash[address - base] < 0x40
    )
    number = next(moves)  # movs rd, rs (A6.7.40, T2), which `mov rd, rs` (T1) can stand for
    flash[number - base + 1] = 0x46
    qemu = start(firmware.board, coverage=counts)
    qemu.write_flash(bytes(flash))
    started(qemu)
    qemu.stop()
    taken = counts.take()
    assert taken.foreign > 0
    slot = counts.code[0].slot + (number - counts.code[0].address) // 2
    assert slot not in taken.slots
    assert number in program.places
    assert taken.slots


@pytest.mark.parametrize("name", MACHINES)
def test_a_decision_that_goes_one_way_only(
    name: str, firmware_of: FirmwareOf, start: Start, counts_of: Callable[[Firmware], CoverageMap]
) -> None:
    """Each decision that was come to went at least one way; those on a flag that was never set, one way and not the other."""
    firmware = firmware_of(name)
    program, counts = program_of(firmware), counts_of(firmware)
    qemu = start(firmware.board, coverage=counts)
    qemu.write_flash(flash_of(firmware))
    started(qemu)
    ask(qemu, "id")
    qemu.stop()
    before = outcomes_of(counts, program, "if (lies &&")
    assert sorted(map(bool, before[0])) == [False, True]
    qemu.cont()
    ask(qemu, "lie")
    ask(qemu, "id")
    qemu.stop()
    assert all(outcomes_of(counts, program, "if (lies &&")[0])


def outcomes_of(counts: CoverageMap, program: CoveredProgram, text: str) -> list[tuple[int, int]]:
    """How often each decision on a line of the firmware went which way, so far."""
    line = next(n for n, one in enumerate((SOURCE / "main.c").read_text().splitlines(), 1) if text in one)
    counts.take()
    code = counts.code
    by_slot = {one.slot + place: one.address + 2 * place for one in code for place in range(len(one.data) // 2)}
    ways = {(by_slot.get(a, -1), by_slot.get(b, -1)): 1 for a, b in counts.ways}
    hits = Hits({}, ways)
    found = [one for one in program.flow.decisions if program.places[one.address].line == line]
    assert found, f"there is no decision at {text!r}"
    return [hits.outcomes(one, program.flow) for one in found]


def test_with_the_plugin_of_virtual_time(
    firmware: Firmware, start: Start, counts_of: Callable[[Firmware], CoverageMap]
) -> None:
    counts = counts_of(firmware)
    program = program_of(firmware)
    qemu = start(firmware.board, halt_at=Symbols(firmware.elf).address("exchanged"), coverage=counts)
    qemu.write_flash(flash_of(firmware, "v"))
    steps = LockStep(qemu, VirtualTime("exchanged"), hex)
    qemu.reset(run=False)
    steps.begin()
    steps.settle(20)
    counts.drop()
    steps.advance(5)
    assert "exchanged" in functions(program, executed(counts))
    assert executed(counts) == set()


def test_no_plugin_is_an_error(firmware: Firmware, start: Start, counts_of: Callable[[Firmware], CoverageMap]) -> None:
    """What an emulator without the plugin executed is not nothing, and not everything: it is not known."""
    counts = counts_of(firmware)
    qemu = start(firmware.board)
    qemu.write_flash(flash_of(firmware))
    started(qemu)
    with pytest.raises(BenchError, match="does not have the plugin"):
        counts.take()


def test_program_without_instructions_is_refused(firmware: Firmware, tmp_path: Path) -> None:
    (tmp_path / "no.elf").write_bytes(b"no ELF file")
    with pytest.raises(UsageError, match="is not an ELF file"):
        CoverageMap({"application": tmp_path / "no.elf"}, firmware.board.flash)
    with pytest.raises(UsageError, match="cannot be read"):
        CoverageMap({"application": tmp_path / "missing.elf"}, firmware.board.flash)


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_each_test_has_its_own(make_spec: SpecMaker, firmware: Firmware) -> None:
    """Two tests' coverage do not mix: not in either order, and not over the flash writes and resets between them."""
    spec = make_spec(
        {
            "test_some.py": """
            def test_time(device):
                device.command("time")

            def test_status(device):
                device.command("status")

            def test_flash(device):
                device.write_flash(0x6000, b"x")
                device.reset()
                device.wait_started()

            def test_time_again(device):
                device.command("time")
            """
        },
        coverage=True,
    )
    run = run_session(spec)
    assert set(verdicts(run).values()) == {"passed"}
    record = CoverageRecord((spec.output / NAME).read_bytes())
    program = program_of(firmware)
    ran = {
        test.rpartition("::")[2]: entered(program, set(record.hits([test], ["test"])["application"].instructions))
        for test in record.tests
    }
    assert {test for test, names in ran.items() if "number" in names} == {"test_time", "test_time_again"}
    assert {test for test, names in ran.items() if "uart_start" in names} == {"test_flash"}
    assert "identify" not in ran["test_status"]
    prepared = record.hits(record.tests, ["preparation"])["application"].instructions
    assert entered(program, set(prepared)) >= {"identify", "uart_start"}
    assert max(prepared.values()) == 4
    assert record.foreign == dict.fromkeys(record.foreign, 0)


def test_session_without_the_programs_elf(make_spec: SpecMaker) -> None:
    spec = make_spec({"test_some.py": "def test_nothing(device): pass"}, coverage=True, elf=None)
    with pytest.raises((BenchError, UsageError), match="coverage needs the application's ELF file"):
        run_session(spec)


def test_lost_coverage_makes_the_test_an_error(make_spec: SpecMaker) -> None:
    """A plugin that says it lost ways: no test may pass as if its coverage were whole."""
    spec = make_spec(
        {
            "conftest.py": """
            from devicepipe.bench import coverage_map

            coverage_map._LEAST_CAPACITY = 1
            original = coverage_map._places

            def small(sizes):
                return original(sizes)

            class Header:
                size = coverage_map._HEADER.size
                @staticmethod
                def pack_into(*arguments):
                    return coverage_map_header.pack_into(*arguments)
                @staticmethod
                def unpack_from(memory):
                    entries = list(coverage_map_header.unpack_from(memory))
                    entries[10] = 1
                    return tuple(entries)

            coverage_map_header = coverage_map._HEADER
            coverage_map._HEADER = Header
            """,
            "test_some.py": "def test_status(device): device.command('status')",
        },
        coverage=True,
    )
    run = run_session(spec)
    assert verdicts(run) == {"test_some.py::test_status": "error"}
    assert "coverage was lost" in reason(run, "test_status")


# --- the record -------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 5000)))
def test_sets_of_numbers_come_back(numbers: set[int]) -> None:
    assert unpack(pack(sorted(numbers))) == sorted(numbers)


@given(st.text(max_size=40))
def test_no_set_of_numbers(text: str) -> None:
    try:
        unpack(text)
    except ValueError:
        return


PROGRAMS = '{"event":"programs","code":[{"program":"application","address":0,"size":8,"slot":0}]}\n'


def executed_line(slots: list[int], ways: list[int], found: str = "[]", **others: str) -> str:
    fields = {"id": "a", "when": "test"} | others
    return (
        f'{{"event":"executed","id":"{fields["id"]}","when":"{fields["when"]}","slots":"{pack(slots)}",'
        f'"ways":"{pack(ways)}","found":{found},"foreign":0}}\n'
    )


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("", "is empty"),
        (executed_line([0], []), "line 1"),
        (PROGRAMS + PROGRAMS, "line 2: the programs belong on the first line"),
        (PROGRAMS + executed_line([4], []), "line 2: slot 4 lies in no program"),
        (PROGRAMS + executed_line([0], [0]), "line 2: way 0 was never found"),
        (PROGRAMS + '{"event":"executed"}\n', "line 2"),
        (PROGRAMS + executed_line([0], []).replace('"slots":"', '"slots":"!'), "line 2"),
    ],
)
def test_damaged_record(record: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        CoverageRecord(record.encode())


def test_record_that_was_cut_off_by_a_kill() -> None:
    whole = PROGRAMS + executed_line([0, 2], [0], "[[2,0]]")
    record = CoverageRecord((whole + executed_line([3], [])[:-5]).encode())
    hits = record.hits(["a"])["application"]
    assert hits.instructions == {0: 1, 4: 1}
    assert hits.ways == {(4, 0): 1}
