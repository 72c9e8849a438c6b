"""Coverage: which lines, functions and decisions of the programs that ship were executed by the device tests.

The programs are those under test, without any instrumentation; what counts is the emulator. Lines and functions are told by the
debug information of the linked programs. What a test's preparation executes (start, identity) counts as executed, but for no
requirement.
"""

from __future__ import annotations

import csv
import io
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from devicepipe.analysis.coverage import Coverage, FileCoverage, cover, merge, totals
from devicepipe.analysis.coverage_files import read_lcov, to_cobertura, to_lcov
from devicepipe.analysis.covered_program import CoveredProgram, Hits, read_program
from devicepipe.analysis.merged_coverage import merged_files, merged_total
from devicepipe.analysis.never_executed import explain, load_reasons
from devicepipe.bench.coverage_record import NAME, CoverageRecord
from devicepipe.build.collect import Role
from devicepipe.build.compilers import addr2line_of, disassembler_of
from devicepipe.errors import BenchError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.coverage import (
    COVERAGE,
    MERGED_COVERAGE,
    OUTSIDE,
    CoverageResult,
    FileShares,
    FunctionShare,
    MergedCoverage,
    Minimum,
    Share,
)
from devicepipe.evidence.layout import kind_of_model
from devicepipe.evidence.predicates import ImageSigning, Provenance, SourceInfo
from devicepipe.evidence.results import TestResult, TestRun
from devicepipe.project.config import ProjectBoard
from devicepipe.project.sections import CoverageSettings
from devicepipe.stages.context import Context
from devicepipe.stages.source import check_source

LCOV, COBERTURA, FUNCTIONS = "coverage.info", "coverage.xml", "coverage-functions.csv"
MERGED = "evidence/coverage/"


def measure_coverage(context: Context, board: ProjectBoard) -> None:
    """Attest what a board's test session executed, with the details in `evidence/<board>/coverage*`.

    Raises:
        BenchError: The session recorded no coverage, or the toolchain's tools fail.
    """
    bundle, writer = context.bundle, context.writer
    run, signing = bundle.predicate(TestResult, board.name).devicepipe, bundle.predicate(ImageSigning, board.name)
    data = _read(context.work / "test" / board.name / NAME)
    record = CoverageRecord(data)
    programs = _programs(context, board)
    hits = record.hits([case.id for case in run.cases])
    covered = merge(
        cover(program, Hits(hits[program.name].instructions, hits[program.name].ways)) for program in programs
    )
    functions = _functions(covered)
    result = CoverageResult(
        board=board.name,
        image_digest=signing.image_digest,
        tests=len(record.tests),
        minimum=_minimum(context.project.coverage),
        total=_shares("", [file for path, file in covered.items() if path != OUTSIDE]),
        files=[_shares(path, [file]) for path, file in sorted(covered.items())],
        functions=functions,
        requirements=_requirements(functions, programs, record, run),
        foreign=sum(record.foreign.values()),
        tool=disassembler_of(context.builds[board.name].databases["application"])[1],
    )
    files = {
        LCOV: to_lcov(covered, board.name),
        COBERTURA: to_cobertura(covered, version=version("devicepipe"), timestamp=int(time.time())),
        FUNCTIONS: _table([result]),
        NAME: data,
    }
    made = [writer.add_bytes(content, f"evidence/{board.name}/{name}").name for name, content in files.items()]
    elves = [_elf(bundle, board, program.name) for program in programs]
    tested = kind_of_model(TestResult).path_for(board.name)
    writer.attest(f"{board.name}/coverage", COVERAGE, result, [signing.image, *elves, tested, *made])


def merge_coverage(context: Context) -> None:
    """Attest the coverage of all boards that record it, merged, with the details in `evidence/coverage/`.

    Raises:
        UsageError: The list of functions that no test executes is wrong.
        IntegrityError: A board's evidence is missing or malformed.
    """
    project, bundle, writer = context.project, context.bundle, context.writer
    check_source(context)
    boards = bundle.predicate(SourceInfo).coverage or []
    results = [bundle.predicate(CoverageResult, board) for board in boards]
    names = {board: f"evidence/{board}/{LCOV}" for board in boards}
    lines = {board: read_lcov(bundle.read(name), name) for board, name in names.items()}
    listed = project.coverage.never_executed
    known = [board.name for board in project.boards]
    explained = explain(results, load_reasons(project.root / listed, known) if listed is not None else ())
    files = merged_files(results, lines)
    merged = MergedCoverage(
        boards=list(boards),
        total=merged_total(results, files),
        files=files,
        never_executed=explained.never,
        reasons=listed is not None,
        stale=explained.stale,
    )
    together = _together(results, lines)
    made = {
        LCOV: to_lcov(together),
        COBERTURA: to_cobertura(together, version=version("devicepipe"), timestamp=int(time.time())),
        FUNCTIONS: _table(results),
    }
    subjects = [writer.add_bytes(content, f"{MERGED}{name}").name for name, content in made.items()]
    if listed is not None:
        subjects.append(writer.add_file(project.root / listed, f"{MERGED}{Path(listed).name}").name)
    subjects += [kind_of_model(CoverageResult).path_for(board) for board in boards]
    writer.attest("merged-coverage", MERGED_COVERAGE, merged, [*subjects, *names.values()])


def _together(results: Sequence[CoverageResult], lines: Mapping[str, Coverage]) -> Coverage:
    """The boards' coverage as one; their tracefiles do not say how many instructions a function has."""
    together = merge(lines.values())
    for result in results:
        for one in result.functions:
            into = together[one.file].functions[one.function]
            into.instructions += one.instructions.all
            into.executed += one.instructions.executed
    return together


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BenchError(f"the session recorded no coverage: {error.strerror}", remedy="run it again") from error


def _elf(bundle: Bundle, board: ProjectBoard, program: str) -> str:
    return bundle.predicate(Provenance, board.name).devicepipe.firmware(program).artifact("elf").path


def _programs(context: Context, board: ProjectBoard) -> list[CoveredProgram]:
    roles: tuple[Role, ...] = get_args(Role)
    found = []
    for role in roles:
        database = context.builds[board.name].databases[role]
        objdump, _ = disassembler_of(database)
        elf = context.bundle.path(_elf(context.bundle, board, role))
        found.append(read_program(role, elf, objdump, addr2line_of(database)))
    return found


def _minimum(settings: CoverageSettings) -> Minimum:
    asked = settings.minimum
    return Minimum(
        instructions=asked.instructions, lines=asked.lines, functions=asked.functions, outcomes=asked.outcomes
    )


def _functions(covered: Coverage) -> list[FunctionShare]:
    return [
        FunctionShare(
            file=path,
            line=function.line,
            function=name,
            instructions=Share(executed=function.executed, all=function.instructions),
            hits=function.hits,
        )
        for path, file in sorted(covered.items())
        for name, function in sorted(file.functions.items(), key=lambda item: (item[1].line, item[0]))
        if path != OUTSIDE
    ]


def _requirements(
    functions: Sequence[FunctionShare], programs: list[CoveredProgram], record: CoverageRecord, run: TestRun
) -> dict[str, list[int]]:
    """Requirement → the places of the functions that its tests executed while they ran."""
    number = {(function.file, function.function): place for place, function in enumerate(functions)}
    verified = defaultdict[str, list[str]](list)
    for case in run.cases:
        for item in case.verifies:
            verified[item].append(case.id)
    found: dict[str, list[int]] = {}
    for item, tests in sorted(verified.items()):
        hits = record.hits(tests, ("test",))
        began = (
            place
            for program in programs
            for address in hits[program.name].instructions
            if (place := program.places.get(address)) is not None
        )
        numbers = {number[place.file, place.function] for place in began if (place.file, place.function) in number}
        found[item] = sorted(numbers)
    return found


def _shares(path: str, files: Iterable[FileCoverage]) -> FileShares:
    figures = totals(files)
    return FileShares(
        file=path,
        instructions=Share(executed=figures.instructions_executed, all=figures.instructions),
        lines=Share(executed=figures.lines_executed, all=figures.lines),
        functions=Share(executed=figures.functions_executed, all=figures.functions),
        outcomes=Share(executed=figures.outcomes_executed, all=figures.outcomes),
    )


def _table(results: Sequence[CoverageResult]) -> bytes:
    """CSV, a line for each function of the product's sources on each board."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["board", "file", "line", "function", "instructions", "executed", "hits", "requirements"])
    for result in results:
        items = defaultdict[int, list[str]](list)
        for item, places in result.requirements.items():
            for place in places:
                items[place].append(item)
        for place, one in enumerate(result.functions):
            share = one.instructions
            row = [result.board, one.file, one.line, one.function, share.all, share.executed, one.hits]
            writer.writerow([*row, " ".join(items[place])])
    return out.getvalue().encode("utf-8")
