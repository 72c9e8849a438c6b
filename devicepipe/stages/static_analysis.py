"""Static analysis: what tools say of a board's own sources, what the linked programs show, and what was decided about findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import get_args

from devicepipe.analysis import clang_tidy, gcc
from devicepipe.analysis.baseline import add_fingerprints, load_baseline
from devicepipe.analysis.cppcheck import analyse as run_cppcheck
from devicepipe.analysis.deviations import Deviations, load_deviations
from devicepipe.analysis.elf import FORBIDDEN, check_elf
from devicepipe.analysis.sarif import Log, check_log, dump_log, findings_of
from devicepipe.build.collect import Role
from devicepipe.build.soup import load_lock
from devicepipe.evidence.findings import Check, Finding, StaticAnalysis
from devicepipe.evidence.predicates import STATIC_ANALYSIS, Provenance, Tool
from devicepipe.project.config import ProjectBoard
from devicepipe.stages.context import Context

_ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(slots=True)
class _Found:
    """What all tools found in all programs of a board. A finding in a file that two programs share counts once."""

    tools: dict[Tool, None] = field(default_factory=dict)
    proven: dict[str, str] = field(default_factory=dict)
    unproven: set[str] = field(default_factory=set)
    absent: dict[str, str] = field(default_factory=dict)
    findings: dict[Finding, None] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def note(self, tools: Iterable[Tool], proven: dict[str, str], absent: dict[str, str]) -> None:
        tools = list(tools)
        self.tools.update(dict.fromkeys(tools))
        # A tool that was off over one of the programs was off.
        self.unproven |= {tool.name for tool in tools if tool.name not in proven}
        self.proven |= proven
        self.absent |= absent


def analyse_statically(context: Context, board: ProjectBoard) -> None:
    """Run static analysis over the board's firmwares where they were built, check the linked programs, and attest both.

    Raises:
        BenchError: An analyser failed, or did not report its must-fail sample.
        UsageError: The file of deviations or the baseline is wrong.
    """
    bundle, writer, project = context.bundle, context.writer, context.project
    build = bundle.predicate(Provenance, board.name).devicepipe
    named, known = project.firmware.deviations, project.analysis.baseline
    deviations = load_deviations(project.root / named if named is not None else None)
    baseline = load_baseline(project.root / known if known is not None else None)
    found = _Found()
    subjects: list[str] = []
    for role in _ROLES:
        log = _analyse_program(context, board, role, found, deviations)
        add_fingerprints(log, context.builds[board.name].root)
        baseline.mark(log)
        check_log(log)
        found.findings.update(dict.fromkeys(findings_of(log)))
        elf = build.firmware(role).artifact("elf").path
        forbidden = project.analysis.forbidden_symbols
        found.checks += check_elf(
            bundle.read(elf), role=role, board=board.board, forbidden=FORBIDDEN if forbidden is None else forbidden
        )
        subjects += [elf, writer.add_bytes(dump_log(log), f"evidence/{board.name}/{role}.sarif").name]
    predicate = StaticAnalysis(
        board=board.name,
        tools=list(found.tools),
        proven_on={name: sample for name, sample in found.proven.items() if name not in found.unproven},
        findings=list(found.findings),
        checks=found.checks,
        deviations=deviations.used() if named is not None else None,
        wanted=list(project.analysis.tools),
        absent=found.absent,
        dispositions=baseline.used() if known is not None else None,
    )
    writer.attest(f"{board.name}/analysis", STATIC_ANALYSIS, predicate, subjects)


def _analyse_program(context: Context, board: ProjectBoard, role: Role, found: _Found, deviations: Deviations) -> Log:
    """All tools over one program's sources: one SARIF log with a run of each."""
    made, wanted = context.builds[board.name], context.project.analysis.tools
    soup = context.project.firmware.soup
    components = load_lock(context.project.root / soup).components if soup is not None else ()
    foreign = {place for component in components for place in component.files}
    database, place = made.databases[role], {"project": made.project, "root": made.root}
    report = run_cppcheck(
        database, **place, core=board.board.core, foreign=foreign, deviations=deviations, cache=context.analysed
    )
    found.note(report.tools, report.proven_on, {})
    seen = f"{report.files} source files of the product's own were analysed"
    found.checks.append(Check(name=f"{role}/own-sources", passed=report.files > 0, message=seen))
    logs = [report.log]
    if {gcc.WARNINGS, gcc.ANALYZER} & set(wanted):
        by_gcc = gcc.analyse(database, **place, foreign=foreign, cache=context.analysed, cancel=context.cancel)
        found.note(by_gcc.tools, by_gcc.proven_on, by_gcc.absent)
        logs += [by_gcc.log] if by_gcc.log is not None else []
    by_clang = clang_tidy.analyse(database, **place, foreign=foreign)
    if by_clang.tool is not None and by_clang.log is not None:
        found.note([by_clang.tool], {by_clang.tool.name: clang_tidy.SAMPLE}, {})
        logs.append(by_clang.log)
    else:
        found.absent[clang_tidy.NAME] = by_clang.absent
    return {**report.log, "runs": [run for log in logs for run in log["runs"]]}
