"""What people declare about the code in files of the product: read before anything is built, so that a mistake is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from devicepipe.analysis.baseline import load_baseline
from devicepipe.analysis.deviations import load_deviations
from devicepipe.analysis.never_executed import load_reasons
from devicepipe.analysis.stack_table import load_stack_table
from devicepipe.project.config import Project
from devicepipe.project.snapshot_lock import load_pinned
from devicepipe.stages.vulnerability_data import statements_of

PROGRAMS: tuple[Literal["application", "bootloader"], ...] = ("application", "bootloader")


def read_declarations(project: Project) -> None:
    """Read the baseline, the deviations, the stack table, the reasons of what is never executed, the pin and VEX statements.

    The stages read them again, from the commit.

    Raises:
        UsageError: One is not there or has a mistake: names file, line and key.
    """

    def path(name: str | None) -> Path | None:
        return project.root / name if name is not None else None

    load_baseline(path(project.analysis.baseline))
    load_deviations(path(project.firmware.deviations))
    for board in project.boards:
        for program in PROGRAMS:
            load_stack_table(path(project.firmware.stack), board=board.name, program=program)
    if (reasons := path(project.coverage.never_executed)) is not None:
        load_reasons(reasons, [board.name for board in project.boards])
    if project.vulnerabilities is not None:
        load_pinned(project)
        statements_of(project)
