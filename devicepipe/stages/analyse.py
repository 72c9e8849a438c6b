"""Analyse: what can be said of a board's sources and programs without running them; its bill of materials (stages.sbom)."""

from __future__ import annotations

from typing import get_args

from devicepipe.analysis.cppcheck import analyse as run_cppcheck
from devicepipe.analysis.deviations import load_deviations
from devicepipe.analysis.elf import check_elf
from devicepipe.build.collect import Role
from devicepipe.build.soup import Component, load_lock
from devicepipe.evidence.predicates import (
    STATIC_ANALYSIS,
    BuildResult,
    Check,
    Finding,
    Provenance,
    StaticAnalysis,
    Tool,
)
from devicepipe.project.config import ProjectBoard
from devicepipe.stages.context import Context
from devicepipe.stages.sbom import bill_of_materials

_ROLES: tuple[Role, ...] = get_args(Role)


def analyse(context: Context, board: ProjectBoard) -> None:
    """Run static analysis over the board's firmwares where they were built, check the linked programs, and list their parts.

    Raises:
        BenchError: An analyser failed, or did not report its must-fail sample.
        UsageError: The file of deviations is wrong.
        ProductError: A link map cannot be read.
    """
    build = context.bundle.predicate(Provenance, board.name).devicepipe
    soup = context.project.firmware.soup
    components = load_lock(context.project.root / soup).components if soup is not None else ()
    _static_analysis(context, board, build, components)
    bill_of_materials(context, board, build)


def _static_analysis(
    context: Context, board: ProjectBoard, build: BuildResult, components: tuple[Component, ...]
) -> None:
    bundle, writer = context.bundle, context.writer
    made = context.builds[board.name]
    foreign = {place for component in components for place in component.files}
    # A file that both firmwares are built from is analysed in each, and a finding in it counts once.
    tools: dict[Tool, None] = {}
    findings: dict[Finding, None] = {}
    proven: dict[str, str] = {}
    checks: list[Check] = []
    subjects: list[str] = []
    named = context.project.firmware.deviations
    deviations = load_deviations(context.project.root / named if named is not None else None)
    for role in _ROLES:
        report = run_cppcheck(
            made.databases[role],
            project=made.project,
            root=made.root,
            core=board.board.core,
            foreign=foreign,
            deviations=deviations,
        )
        tools.update(dict.fromkeys(report.tools))
        findings.update(dict.fromkeys(report.findings))
        proven |= report.proven_on
        seen = f"{report.files} source files of the product's own were analysed"
        checks.append(Check(name=f"{role}/own-sources", passed=report.files > 0, message=seen))
        elf = build.firmware(role).artifact("elf").path
        checks += check_elf(bundle.read(elf), role=role, board=board.board)
        subjects.append(elf)
        subjects.append(writer.add_bytes(report.sarif, f"evidence/{board.name}/{role}.sarif").name)
    predicate = StaticAnalysis(
        board=board.name,
        tools=list(tools),
        proven_on=proven,
        findings=list(findings),
        checks=checks,
        deviations=deviations.used() if named is not None else None,
    )
    writer.attest(f"{board.name}/analysis", STATIC_ANALYSIS, predicate, subjects)
